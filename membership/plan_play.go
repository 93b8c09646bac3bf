package membership

import (
	"math"
	"slices"

	"github.com/etcdha/etcdha/membership/quorum"
)

// play is what would be observed once the step has taken effect. A member that
// was added gets an id that nobody has; etcd gives it another one.
func (o *Observation) play(s Step) *Observation {
	out := *o
	out.Members = slices.Clone(o.Members)
	switch s.Kind {
	case quorum.AddLearner:
		out.Members = append(out.Members, Member{Listed: Listed{ID: o.unusedID(), PeerURLs: s.PeerURLs, Learner: true}})
		return &out
	case quorum.Remove:
		out.Members = slices.DeleteFunc(out.Members, func(m Member) bool { return m.ID == s.ID && !m.Ghost })
		if out.Leader == s.ID {
			out.Leader = 0
		}
		return &out
	case quorum.MoveLeader:
		return out.follow(s.ID)
	}
	m := out.member(s.ID)
	if m == nil {
		return &out
	}
	switch s.Kind {
	case quorum.Update:
		m.PeerURLs = s.PeerURLs
	case quorum.Promote:
		m.Learner = false
		if m.Status != nil {
			status := *m.Status
			status.Learner = false
			m.Status = &status
		}
	case quorum.Heal:
		out.heal(m, s.Name)
	}
	return &out
}

// heal makes the member run as if it had been there all the time.
func (o *Observation) heal(m *Member, name string) {
	status := Status{ClusterID: o.ClusterID, MemberID: m.ID, Leader: o.Leader, Learner: m.Learner}
	if leader := o.member(o.Leader); leader != nil && leader.Status != nil {
		status = *leader.Status
		status.MemberID, status.Learner = m.ID, m.Learner
		status.RaftApplied = status.RaftIndex
	}
	m.Status, m.Err, m.CaughtUp = &status, nil, true
	for i := range o.Members { // nobody knows its latency, so that the others are preferred
		m.Latency = max(m.Latency, o.Members[i].Latency)
	}
	if m.Name == "" {
		m.Name = name
	}
}

// follow is the observation with another leader. Those that followed the old
// one follow it.
func (o *Observation) follow(leader quorum.ID) *Observation {
	for i, m := range o.Members {
		if m.Status != nil && m.Status.Leader == o.Leader {
			status := *m.Status
			status.Leader = leader
			o.Members[i].Status = &status
		}
	}
	o.Leader = leader
	return o
}

// unusedID is the largest id that no member has.
func (o *Observation) unusedID() quorum.ID {
	id := quorum.ID(math.MaxUint64)
	for o.member(id) != nil {
		id--
	}
	return id
}

// idOf is the id of the member that the step is about, which the step does not
// know if the member was not there when the plan was made.
func (o *Observation) idOf(s Step) quorum.ID {
	if s.ID != 0 || s.Kind == quorum.AddLearner {
		return s.ID
	}
	if m := o.withPeerURLs(s.PeerURLs); m != nil {
		return m.ID
	}
	return 0
}

// member returns the member of the list with that id, or nil.
func (o *Observation) member(id quorum.ID) *Member {
	return o.find(func(m *Member) bool { return m.ID == id && id != 0 })
}

// withPeerURLs returns the member with exactly these peer URLs, or nil.
func (o *Observation) withPeerURLs(urls []string) *Member {
	return o.find(func(m *Member) bool { return sameURLs(m.PeerURLs, urls) })
}

func (o *Observation) find(is func(*Member) bool) *Member {
	for i := range o.Members {
		if m := &o.Members[i]; !m.Ghost && is(m) {
			return m
		}
	}
	return nil
}

func (o *Observation) count(is func(*Member) bool) int {
	n := 0
	for i := range o.Members {
		if m := &o.Members[i]; !m.Ghost && is(m) {
			n++
		}
	}
	return n
}

// able tells whether the member can be counted on, as package quorum has it.
// Without a leader nobody follows one; then it is who is caught up, which only
// a plan says of anybody.
func (o *Observation) able(id quorum.ID) bool {
	m, _ := o.State().Member(id)
	if o.Leader == 0 {
		return m.CaughtUp && !m.Corrupt
	}
	return m.Able()
}

// sameURLs compares sets: etcd sorts them.
func sameURLs(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(u string) bool { return !slices.Contains(b, u) })
}

func shareURL(a, b []string) bool {
	return slices.ContainsFunc(a, func(u string) bool { return slices.Contains(b, u) })
}
