package membership

import (
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// The goals here are about one member that is there, by its name or its id in
// hex. The first observation says which one that is.

// Promote is that the learner votes.
func Promote(member string) Goal { return goal{promotion{who: member}} }

type promotion struct {
	who string
	id  quorum.ID
}

func (p promotion) settle(o *Observation) (decider, error) {
	if p.id != 0 {
		return p, nil
	}
	m, err := o.named(p.who)
	if err != nil {
		return nil, err
	}
	p.id = m.ID
	return p, nil
}

func (p promotion) next(o *Observation) (Step, bool, error) {
	m := o.member(p.id)
	if m == nil {
		return Step{}, false, gone(p.who)
	}
	return o.step(quorum.Promote, m), m.Learner, nil
}

// gone is for a member that was there when the goal was settled.
func gone(who string) error {
	return fail.Usagef("member %s is not there any more: somebody else has removed it", who)
}

// Remove is that there is no such member. An id that nobody has is reached, with a
// note ([Notes]); a name that nobody has is an error, for it may be a typing error.
func Remove(member string) Goal { return goal{removal{who: member}} }

type removal struct {
	who string
	id  quorum.ID
}

func (r removal) settle(o *Observation) (decider, error) {
	if r.id != 0 {
		return r, nil
	}
	m, err := o.named(r.who)
	if err != nil && !isID(r.who) {
		return nil, err
	}
	if m != nil {
		r.id = m.ID
	}
	return r, nil
}

func (r removal) notes(o *Observation) []string {
	if r.id != 0 {
		return nil
	}
	return o.absent(r.who)
}

func (r removal) next(o *Observation) (Step, bool, error) {
	m := o.member(r.id)
	if m == nil {
		return Step{}, false, nil
	}
	return o.removal(m, func(other *Member) bool { return other.ID != r.id }), true, nil
}

// Update is that the member has these peer URLs.
func Update(member string, peerURLs []string) Goal {
	return goal{update{who: member, peerURLs: peerURLs}}
}

type update struct {
	who      string
	peerURLs []string
	id       quorum.ID
}

func (u update) settle(o *Observation) (decider, error) {
	if u.id != 0 {
		return u, nil
	}
	if len(u.peerURLs) == 0 {
		return nil, fail.Usagef("no peer URLs for member %s", u.who)
	}
	if err := checkPeerURLs(u.peerURLs); err != nil {
		return nil, err
	}
	m, err := o.named(u.who)
	if err != nil {
		return nil, err
	}
	u.id = m.ID
	return u, nil
}

func (u update) next(o *Observation) (Step, bool, error) {
	m := o.member(u.id)
	switch {
	case m == nil:
		return Step{}, false, gone(u.who)
	case sameURLs(m.PeerURLs, u.peerURLs):
		return Step{}, false, nil
	}
	s := o.step(quorum.Update, m)
	s.PeerURLs = u.peerURLs
	return s, true, o.checkFree(u.peerURLs, m)
}

// MoveLeader is that this voter leads. [Best] is the healthiest voter that does
// not lead when it is asked first.
func MoveLeader(target string) Goal { return goal{transfer{who: target}} }

type transfer struct {
	who string
	id  quorum.ID
}

func (t transfer) settle(o *Observation) (decider, error) {
	if t.id != 0 {
		return t, nil
	}
	m, err := o.named(t.who)
	if t.who == Best {
		if m = o.healthiest(anyone); m == nil {
			return nil, fail.Unsafef("no other voter is able to lead")
		}
		err = nil
	}
	if err != nil {
		return nil, err
	}
	t.id = m.ID
	return t, nil
}

func (t transfer) next(o *Observation) (Step, bool, error) {
	m := o.member(t.id)
	if m == nil {
		return Step{}, false, gone(t.who)
	}
	return o.step(quorum.MoveLeader, m), m.ID != o.Leader, nil
}
