package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/membership/quorum"
)

// Member is a member as it was observed.
type Member struct {
	Listed
	Endpoint   string        // where it answered
	Status     *Status       // nil: it did not answer
	Err        error         // why it did not, or why its answer counts for nothing
	Latency    time.Duration // of the answer
	CaughtUp   bool
	Alarms     []AlarmType // its own
	Zone       string
	Ghost      bool     // answers, but is in no list: removed and still running
	Unresolved []string // hosts of its client URLs that have no address
}

// Observation is what was seen of a cluster.
type Observation struct {
	At        time.Time
	ClusterID uint64
	Members   []Member  // those of the list first, in its order, then ghosts
	Leader    quorum.ID // if the leader answered; else 0
	Committed uint64    // the leader's commit index, which to have applied is to have caught up; 0 without a leader
	HasQuorum bool      // a linearizable list was read: Members is the cluster's own list
	Lists     []List    // of every member that answered
	Alarms    []Alarm   // also of members that are gone
	Foreign   []Foreign // what answered for another cluster
	Conflict  string    // why it cannot be known which list is the cluster's, so that nothing may be changed; "" if it can
}

// Foreign is an endpoint of another cluster than the observed one.
type Foreign struct {
	Endpoint  string
	ClusterID uint64
}

// Member returns the member with that id, or nil.
func (o *Observation) Member(id quorum.ID) *Member {
	i := slices.IndexFunc(o.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	return &o.Members[i]
}

// Alarmed tells whether any member has that alarm.
func (o *Observation) Alarmed(t AlarmType) bool {
	return slices.ContainsFunc(o.Alarms, func(a Alarm) bool { return a.Type == t })
}

// State is what the arithmetic of quorum needs of the observation. A member
// answers if it follows the observed leader, in the leader's term. Ghosts are
// left out: they are no members.
func (o *Observation) State() quorum.State {
	s := quorum.State{Leader: o.Leader}
	for i := range o.Members {
		m := &o.Members[i]
		if m.Ghost {
			continue
		}
		s.Members = append(s.Members, quorum.Member{
			ID:       m.ID,
			Name:     m.Name,
			Learner:  m.Learner,
			Started:  m.Started(),
			Answers:  o.follows(m),
			CaughtUp: m.CaughtUp,
			Corrupt:  slices.Contains(m.Alarms, Corrupt),
			Zone:     m.Zone,
		})
	}
	return s
}

// Started tells whether the member's etcd has ever run: only that tells the
// cluster its name.
func (m *Member) Started() bool { return m.Name != "" || m.Status != nil }

// follows tells whether the member answered as one that is led by the leader.
func (o *Observation) follows(m *Member) bool {
	if m.Status == nil || m.Err != nil || o.Leader == 0 || m.Status.Leader != o.Leader {
		return false
	}
	leader := o.Member(o.Leader)
	return leader != nil && leader.Status != nil && m.Status.RaftTerm == leader.Status.RaftTerm
}

// Lag is by how many entries of the raft log the member is behind the leader.
func (o *Observation) Lag(m *Member) uint64 {
	if m.Status == nil || m.Status.RaftApplied >= o.Committed {
		return 0
	}
	return o.Committed - m.Status.RaftApplied
}

// OtherMemberError says that the endpoint of one member was answered by
// another, as through a tunnel or at a loopback address.
type OtherMemberError struct {
	Endpoint string
	ID       quorum.ID // who answered
}

func (e *OtherMemberError) Error() string {
	return fmt.Sprintf("%s: member %s answers there", e.Endpoint, e.ID)
}

// CutOffError says that a member answers but cannot reach its leader.
type CutOffError struct {
	Endpoint string
	Err      error
}

func (e *CutOffError) Error() string {
	return fmt.Sprintf("%s: is cut off from the leader", e.Endpoint)
}

func (e *CutOffError) Unwrap() error { return e.Err }
