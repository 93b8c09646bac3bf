package membership

import (
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Add is that there is a member with these peer URLs: a learner, for an etcd of
// that name still to be started. With promote, its etcd has started and caught
// up, and it votes.
func Add(name string, peerURLs []string, promote bool) Goal {
	return goal{addition{name, peerURLs, promote}}
}

type addition struct {
	name     string
	peerURLs []string
	promote  bool
}

func (a addition) settle(*Observation) (decider, error) {
	return a, checkNew(a.name, a.peerURLs)
}

func (a addition) next(o *Observation) (Step, bool, error) {
	m := o.withPeerURLs(a.peerURLs)
	if m == nil {
		return newMember(a.name, a.peerURLs), true, a.check(o)
	}
	if m.Name != "" && m.Name != a.name {
		return Step{}, false, o.checkFree(a.peerURLs, nil)
	}
	if !a.promote || !m.Learner {
		return Step{}, false, nil
	}
	return o.bring(m, a.name), true, nil
}

// check refuses an addition whose name or URLs are in use. etcd would accept the
// name, and then nobody could tell the two apart.
func (a addition) check(o *Observation) error {
	if m := o.find(func(m *Member) bool { return m.Name == a.name }); m != nil {
		err := fail.Usagef("member %s is there already, with other peer URLs", a.name)
		name, urls := shellQuote(a.name), shellQuote(strings.Join(a.peerURLs, ","))
		if o.dead(m) {
			return fail.WithHint(err, "etcdha member replace %[1]s %[1]s --peer-urls=%[2]s", name, urls)
		}
		return fail.WithHint(err, "if it is to move there: etcdha member update %s --peer-urls=%s; else give the new member another name", name, urls)
	}
	return o.checkFree(a.peerURLs, nil)
}

// giveUp takes out what was added and never started: it would keep anybody
// from adding another member. One that has started is left to the operator.
func (a addition) giveUp(o *Observation) (Step, bool) {
	m := o.withPeerURLs(a.peerURLs)
	if m == nil || !m.Learner || m.Started() {
		return Step{}, false
	}
	s := o.step(quorum.Remove, m)
	s.Name = a.name
	return s, true
}
