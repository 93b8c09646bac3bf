package membership

import (
	"cmp"
	"slices"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Reach is that the members are those of the target, no more and no less. Its plans
// keep the most fault tolerance on the way: the dead go first, for they only
// cost; then everything that is missing comes, one at a time; what lives and
// goes is taken out last.
//
// A member is the one of the target that has its peer URLs, else the one that
// has its name. Members of the target that are down are not touched: they are
// wanted as they are, and their hosts have to be seen to.
func Reach(t Target) Goal { return goal{reach{t}} }

type reach struct{ target Target }

func (r reach) settle(*Observation) (decider, error) { return r, r.target.check() }

// next tries the kinds of steps in the order in which they are best.
func (r reach) next(o *Observation) (Step, bool, error) {
	v := r.view(o)
	if err := v.checkNames(); err != nil {
		return Step{}, false, err
	}
	for _, kind := range []func() (Step, bool, error){
		v.removeDead, v.removeLearner, v.bringLearner, v.addVoter, v.update, v.removeVoter, v.addLearner,
	} {
		if s, found, err := kind(); found || err != nil {
			return s, found, err
		}
	}
	return Step{}, false, nil
}

// keeps tells whether the target has a member of that name.
func (r reach) keeps(m quorum.Member) bool {
	return slices.ContainsFunc(r.target.Members, func(t TargetMember) bool { return t.Name == m.Name })
}

// view is an observation beside the target.
type view struct {
	*Observation
	target Target
	wanted map[quorum.ID]*TargetMember // what each member is to be; absent if it is to go
}

func (r reach) view(o *Observation) *view {
	v := &view{o, r.target, make(map[quorum.ID]*TargetMember)}
	for _, is := range []func(*Member, *TargetMember) bool{
		func(m *Member, t *TargetMember) bool { return sameURLs(m.PeerURLs, t.PeerURLs) },
		func(m *Member, t *TargetMember) bool { return shareURL(m.PeerURLs, t.PeerURLs) },
		func(m *Member, t *TargetMember) bool { return m.Name == t.Name },
	} {
		for i := range v.target.Members {
			t := &v.target.Members[i]
			if v.memberFor(t) != nil {
				continue
			}
			if m := o.find(func(m *Member) bool { return v.wanted[m.ID] == nil && is(m, t) }); m != nil {
				v.wanted[m.ID] = t
			}
		}
	}
	return v
}

// memberFor is the member that is to be what t says, or nil.
func (v *view) memberFor(t *TargetMember) *Member {
	return v.find(func(m *Member) bool { return v.wanted[m.ID] == t })
}

// checkNames refuses to call a member that runs something else.
func (v *view) checkNames() error {
	m := v.find(func(m *Member) bool { return v.misnamed(m) && !v.dead(m) })
	if m == nil {
		return nil
	}
	return fail.WithHint(fail.Usagef("the target calls member %s %s", m.Name, v.wanted[m.ID].Name),
		"an etcd has the name that it was started with: name it so in the target, give %s other peer URLs, or stop the etcd of %s to have it replaced", v.wanted[m.ID].Name, m.Name)
}

// misnamed tells whether the target has another name for the member that has these
// peer URLs: it means another member on the same host.
func (v *view) misnamed(m *Member) bool {
	t := v.wanted[m.ID]
	return t != nil && m.Name != "" && m.Name != t.Name
}

// goes tells whether the member has to be removed, be it to come again: a voter
// cannot become a learner, nor one name another, and a member that does not run
// cannot be told other URLs.
func (v *view) goes(m *Member) bool {
	t := v.wanted[m.ID]
	switch {
	case t == nil, t.Learner && !m.Learner, v.misnamed(m):
		return true
	case sameURLs(m.PeerURLs, t.PeerURLs):
		return false
	}
	return !v.able(m.ID) || v.comesAgain(m, t)
}

// comesAgain tells whether other peer URLs are better given to a member by
// removing and adding it: where the others are too few without it, which it
// is lost to should the URLs be wrong, and where a bug would make it a voter.
func (v *view) comesAgain(m *Member, t *TargetMember) bool {
	if !risky(v.Observation, v.updated(m, t)) {
		return false
	}
	o := v.Observation
	for o.member(m.ID) != nil { // at most twice: the leader is moved first
		s := o.removal(o.member(m.ID), v.stays)
		if risky(o, s) {
			return false
		}
		o = o.play(s)
	}
	return !risky(o, newMember(t.Name, t.PeerURLs))
}

// risky tells whether quorum or a bug refuses a step. That an alarm does is no
// reason to go another way: it ends.
func risky(o *Observation, s Step) bool {
	p := judge(o, s)
	return p.Refusal != nil || p.Hazard != nil
}

func (v *view) updated(m *Member, t *TargetMember) Step {
	s := v.step(quorum.Update, m)
	s.PeerURLs = t.PeerURLs
	return s
}

func (v *view) stays(m *Member) bool { return v.wanted[m.ID] != nil && !v.wanted[m.ID].Learner }

// removeDead takes out what is not able and has to go.
func (v *view) removeDead() (Step, bool, error) {
	m := v.find(func(m *Member) bool { return !v.able(m.ID) && v.goes(m) })
	return v.takeOut(m)
}

func (v *view) takeOut(m *Member) (Step, bool, error) {
	if m == nil {
		return Step{}, false, nil
	}
	return v.removal(m, v.stays), true, nil
}

// removeLearner makes room, for etcd has one learner at a time: it takes out
// one that goes, and one that stays while voters are missing.
func (v *view) removeLearner() (Step, bool, error) {
	return v.takeOut(v.find(func(m *Member) bool {
		return m.Learner && (v.goes(m) || v.wanted[m.ID].Learner && v.missing(false) != nil)
	}))
}

// bringLearner makes a voter of a learner that is to be one, and waits for one that
// is to stay one until it has started.
func (v *view) bringLearner() (Step, bool, error) {
	waits := func(m *Member) bool { return m.Learner && (!v.wanted[m.ID].Learner || !m.Started()) }
	m := v.find(func(m *Member) bool { return waits(m) && v.able(m.ID) })
	if m == nil {
		m = v.find(waits)
	}
	if m == nil {
		return Step{}, false, nil
	}
	if t := v.wanted[m.ID]; !sameURLs(m.PeerURLs, t.PeerURLs) {
		return v.updated(m, t), true, v.checkFree(t.PeerURLs, m)
	}
	return v.bring(m, v.wanted[m.ID].Name), true, nil
}

func (v *view) addVoter() (Step, bool, error) { return v.add(false) }

func (v *view) addLearner() (Step, bool, error) { return v.add(true) }

func (v *view) add(learner bool) (Step, bool, error) {
	t := v.missing(learner)
	if t == nil {
		return Step{}, false, nil
	}
	return newMember(t.Name, t.PeerURLs), true, v.checkFree(t.PeerURLs, nil)
}

// missing is the member of the target to add next: one of the zone with the
// fewest voters; nil if all are there.
func (v *view) missing(learner bool) *TargetMember {
	var found []*TargetMember
	for i := range v.target.Members {
		if t := &v.target.Members[i]; t.Learner == learner && v.memberFor(t) == nil {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return nil
	}
	in := v.votersIn()
	return slices.MinFunc(found, func(a, b *TargetMember) int { return cmp.Compare(in[a.Zone], in[b.Zone]) })
}

// votersIn counts the voters of each zone.
func (v *view) votersIn() map[string]int {
	in := make(map[string]int)
	for i := range v.Members {
		if m := &v.Members[i]; !m.Ghost && !m.Learner {
			in[v.zone(m)]++
		}
	}
	return in
}

func (v *view) zone(m *Member) string {
	if t := v.wanted[m.ID]; t != nil && t.Zone != "" {
		return t.Zone
	}
	return m.Zone
}

// update gives a member that runs its new peer URLs.
func (v *view) update() (Step, bool, error) {
	m := v.find(func(m *Member) bool { return !v.goes(m) && !sameURLs(m.PeerURLs, v.wanted[m.ID].PeerURLs) })
	if m == nil {
		return Step{}, false, nil
	}
	t := v.wanted[m.ID]
	return v.updated(m, t), true, v.checkFree(t.PeerURLs, m)
}

// removeVoter takes out what lives and goes, from the zone with the most voters
// first, and the leader last.
func (v *view) removeVoter() (Step, bool, error) {
	in := v.votersIn()
	var going []*Member
	for i := range v.Members {
		if m := &v.Members[i]; !m.Ghost && v.goes(m) {
			going = append(going, m)
		}
	}
	if len(going) == 0 {
		return Step{}, false, nil
	}
	return v.takeOut(slices.MinFunc(going, func(a, b *Member) int {
		return cmp.Or(first(a.ID != v.Leader, b.ID != v.Leader), cmp.Compare(in[v.zone(b)], in[v.zone(a)]))
	}))
}
