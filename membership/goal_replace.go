package membership

import (
	"fmt"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Replace is that the new member votes and the old one is gone. An old member
// that is not able goes first: it only costs. One that is able goes last.
//
// The new member is known by its peer URLs; without any, it gets those of the
// old one, on whose host it then runs. The old member is the one of that name,
// or id in hex, that has other peer URLs, or the same ones but is dead; named by
// its id, it need only be not able. Who has the name and the URLs and is merely
// behind is taken for the new one, which is waited for.
//
// Without peer URLs, an old one that is gone leaves no trace of its own: then the
// same call cannot go on, and its error says which one can.
func Replace(old, new string, peerURLs []string) Goal {
	return goal{replacement{old: old, name: new, peerURLs: peerURLs}}
}

type replacement struct {
	old      string
	name     string
	peerURLs []string
	oldID    quorum.ID // 0 if there is none any more
	settled  bool
}

func (r replacement) settle(o *Observation) (decider, error) {
	if r.settled {
		return r, nil
	}
	r.settled = true
	old, err := r.namedOld(o)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return r.goOn(o)
	}
	if len(r.peerURLs) == 0 {
		r.peerURLs = old.PeerURLs
	}
	if err := checkNew(r.name, r.peerURLs); err != nil {
		return nil, err
	}
	inPlace := sameURLs(old.PeerURLs, r.peerURLs)
	switch {
	case !inPlace || !old.Learner && r.isOld(o, old):
		r.oldID = old.ID
	case old.Learner || old.Name == r.name: // it is the new one
	default:
		return nil, fail.WithHint(fail.Usagef("member %s runs at the peer URLs that the new member is to have", old.Label()),
			"give the new member --peer-urls of its own, or stop the old one first")
	}
	return r, nil
}

// isOld tells whether a voter that has the name and the URLs of both the old
// member and the new one is the old one. The new one has another id. By its name it
// is the old one if it is dead; one that answers and is behind may have been
// promoted a moment ago.
func (r replacement) isOld(o *Observation, m *Member) bool {
	if m.Name != r.old || m.Name != r.name {
		return !o.able(m.ID)
	}
	return o.dead(m)
}

// notes say that the old member is not there: then this only adds one.
func (r replacement) notes(o *Observation) []string {
	if r.settled || o.withPeerURLs(r.peerURLs) != nil {
		return nil
	}
	return o.absent(r.old)
}

// namedOld is the member that is called what the old one is called; nil if there
// is none. Of two of that name, it is the one with other peer URLs.
func (r replacement) namedOld(o *Observation) (*Member, error) {
	other := func(m *Member) bool { return m.Name == r.old && !sameURLs(m.PeerURLs, r.peerURLs) }
	if len(r.peerURLs) > 0 && o.count(other) == 1 {
		return o.find(other), nil
	}
	m, err := o.named(r.old)
	if err != nil && o.count(func(m *Member) bool { return m.Name == r.old }) == 0 {
		return nil, nil
	}
	return m, err
}

// goOn is for an old member that is gone already. Without peer URLs, the new one is
// the member of its name. One that has not started has none, and may be anybody's.
func (r replacement) goOn(o *Observation) (decider, error) {
	if len(r.peerURLs) > 0 {
		return r, checkNew(r.name, r.peerURLs)
	}
	called := func(m *Member) bool { return m.Name == r.name }
	if o.count(called) == 1 {
		r.peerURLs = o.find(called).PeerURLs
		return r, nil
	}
	urls, where := "URL", fmt.Sprintf(", with the URL that %s had, which the plan told", r.old)
	if m := o.find(func(m *Member) bool { return m.Learner && !m.Started() }); m != nil {
		urls, where = shellQuote(strings.Join(m.PeerURLs, ",")), fmt.Sprintf(", if %s is the new %s", m.Label(), r.name)
	}
	return nil, fail.WithHint(fail.Usagef("no member %q", r.old),
		"there are %s; if it has been removed already, go on with: etcdha member replace %s %s --peer-urls=%s%s",
		o.labels(), shellQuote(r.old), shellQuote(r.name), urls, where)
}

func (r replacement) next(o *Observation) (Step, bool, error) {
	stays := func(m *Member) bool { return m.ID != r.oldID }
	old := o.member(r.oldID)
	if old != nil && !o.able(old.ID) {
		return o.removal(old, stays), true, nil
	}
	added := o.find(func(m *Member) bool { return stays(m) && sameURLs(m.PeerURLs, r.peerURLs) })
	switch {
	case added == nil:
		return newMember(r.name, r.peerURLs), true, r.check(o)
	case added.Name != "" && added.Name != r.name:
		return Step{}, false, o.checkFree(r.peerURLs, old)
	case added.Learner:
		return o.bring(added, r.name), true, nil
	case old == nil && o.Leader != 0 && !o.able(added.ID) && !o.dead(added):
		return o.step(quorum.Heal, added), true, nil
	case old != nil:
		return o.removal(old, stays), true, nil
	}
	return Step{}, false, nil
}

// check refuses a new member that could not start beside those there are. etcd
// takes two members of one name in its initial cluster for one with two URLs.
func (r replacement) check(o *Observation) error {
	if m := o.find(func(m *Member) bool { return m.Name == r.name }); m != nil {
		return fail.WithHint(fail.Usagef("member %s is there already, at %s", m.Name, strings.Join(m.PeerURLs, ",")),
			"give the new member another name, or stop the old one first")
	}
	return o.checkFree(r.peerURLs, nil)
}
