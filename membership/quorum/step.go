package quorum

import "slices"

// Kind is what a step does. The values are words that people read.
type Kind string

const (
	AddLearner Kind = "add"         // a member that does not vote yet
	Promote    Kind = "promote"     // a learner to a voter
	Remove     Kind = "remove"      // a voter or a learner
	Update     Kind = "update"      // other peer URLs: the member is lost if they are wrong
	MoveLeader Kind = "move-leader" // to another voter
	// Heal is no change of the membership but what one may have to wait for:
	// that the etcd of the member runs, answers and catches up. It does not
	// cure corrupt data: such a member is replaced.
	Heal Kind = "heal"
)

// Step is one change of a membership.
type Step struct {
	Kind Kind
	ID   ID // of the member that it is about; for AddLearner the new one's, 0 if it is not known yet
}

// After is the state once the step has taken effect; s itself stays as it is.
//
// A learner that was added has the id of the step, and nothing of it is known to
// run. A member that was updated is lost until it is seen at its new URLs, unless
// it is alone. After a Heal without a leader there is one as soon as enough
// voters take part; which one is a guess, so look again.
func (s State) After(step Step) State {
	s.Members = slices.Clone(s.Members)
	if step.Kind == AddLearner {
		s.Members = append(s.Members, Member{ID: step.ID, Learner: true})
		return s
	}
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == step.ID })
	if i < 0 {
		return s
	}
	m := &s.Members[i]
	switch step.Kind {
	case Promote:
		m.Learner = false
	case Remove:
		s.Members = slices.Delete(s.Members, i, i+1)
		if s.Leader == step.ID {
			s.Leader = 0
		}
	case Update:
		if len(s.Members) > 1 { // nobody else has to find it otherwise
			return s.Lose(step.ID)
		}
	case MoveLeader:
		s.Leader = step.ID
	case Heal:
		m.Started, m.Answers, m.CaughtUp = true, true, true
		s.elect()
	}
	return s
}

// elect fills in a leader where there is none and there can be one: the first
// voter that is able, or at least votes.
func (s *State) elect() {
	if s.Leader != 0 || !s.Count().commits() {
		return
	}
	for _, fit := range []func(Member) bool{Member.Able, Member.votes} {
		i := slices.IndexFunc(s.Members, func(m Member) bool { return !m.Learner && fit(m) })
		if i >= 0 {
			s.Leader = s.Members[i].ID
			return
		}
	}
}

// During is what the cluster survives while the step is under way: the lesser
// of before and after, since nobody sees the moment when it takes effect.
func During(s State, step Step) Count {
	before, after := s.Count(), s.After(step).Count()
	if after.Tolerates() < before.Tolerates() {
		return after
	}
	return before
}

// NeedsLock tells whether the safety of the step depends on nobody else changing
// the membership between the observation s and the moment when the step takes
// effect.
//
// It does not for what takes no able member away: an able learner that becomes a
// voter brings as much as it asks for, and what was not able served nobody. Steps
// of this kind may be taken by several operators at once, whatever the others
// have done since each looked; together they survive what [During] says of the
// one that survives least. It needs the lock to take away, or to risk, a member
// that somebody else may be counting on. For the same reason nobody may go
// without a lock while somebody else can hold one.
//
// An alarm, be it NOSPACE or CORRUPT, keeps etcd from granting the lease of a
// lock. So a corrupt member is removed without one even where the healthy ones
// are no quorum and its vote is still needed: then a second operator, acting on
// what it saw before other failures, can take a vote too many.
func (s State) NeedsLock(step Step) bool {
	switch step.Kind {
	case AddLearner, Promote, MoveLeader, Heal:
		return false
	case Remove:
		m, ok := s.Member(step.ID)
		return !ok || m.Able()
	default:
		return true
	}
}
