package membership

import (
	"errors"
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/membership/quorum"
)

// Health is one word for how a member is, the same wherever it is told.
type Health string

const (
	Healthy           Health = "ok"
	Ghost             Health = "runs, but is no member"
	NeverStarted      Health = "never started"
	WrongMember       Health = "another member answers" // at its client URL
	LeaderUnreachable Health = "leads, no answer here"
	Down              Health = "down"
	Leaderless        Health = "has no leader" // nor has anybody else that is seen
	LeaderUnseen      Health = "its leader is not seen here"
	CutOff            Health = "cut off" // answers, and does not reach the leader
	CorruptData       Health = "corrupt"
	Behind            Health = "behind"
)

// Health judges a member of the observation.
func (o *Observation) Health(m *Member) Health {
	_, cutOff := errors.AsType[*CutOffError](m.Err)
	_, isOther := errors.AsType[*OtherMemberError](m.Err)
	switch {
	case m.Ghost:
		return Ghost
	case !m.Started():
		return NeverStarted
	case isOther:
		return WrongMember
	case m.Status == nil && o.isNamedLeader(m):
		return LeaderUnreachable
	case m.Status == nil:
		return Down
	case o.HasQuorum && o.Leader == 0 && m.Status.Leader != 0:
		return LeaderUnseen
	case !o.HasQuorum || o.Leader == 0:
		return Leaderless
	case cutOff || !o.follows(m):
		return CutOff
	case slices.Contains(m.Alarms, Corrupt):
		return CorruptData
	case !m.CaughtUp:
		return Behind
	}
	return Healthy
}

// isNamedLeader tells whether the members follow it, whether it answers or not.
func (o *Observation) isNamedLeader(m *Member) bool {
	return o.HasQuorum && o.has(func(other *Member) bool { return other.Status != nil && other.Status.Leader == m.ID })
}

// Summary is one line for people: what the cluster survives. Where no leader is
// seen, nobody can be healthy, and what counts is who answers.
func (o *Observation) Summary() string {
	count := o.State().Count()
	if o.HasQuorum && o.Leader != 0 {
		return count.String()
	}
	answering := o.count(func(m *Member) bool { return !m.Learner && m.Status != nil })
	missing := count.Quorum() - answering
	voters := fmt.Sprintf("%d voters, %d answer", count.Voters, answering)
	if count.Voters == 1 {
		voters = fmt.Sprintf("1 voter, %d answer", answering)
	}
	if answering == 1 {
		voters += "s"
	}
	voters += fmt.Sprintf(", quorum %d: ", count.Quorum())
	switch {
	case o.HasQuorum:
		return voters + "there is quorum, but its leader does not answer here"
	case missing > 1:
		return voters + fmt.Sprintf("quorum is lost, %d more have to come back", missing)
	case missing == 1:
		return voters + "quorum is lost, 1 more has to come back"
	}
	return voters + "quorum is lost, for they have no leader"
}

// Label is what people call the member with that id, whether it is there or not.
func (o *Observation) Label(id quorum.ID) string {
	if m := o.Member(id); m != nil {
		return m.Label()
	}
	return id.String()
}

// Named returns the member of the list that people mean by a name, or by an id
// in hex. It is a usage error if there is none, or more than one.
func (o *Observation) Named(who string) (*Member, error) { return o.named(who) }
