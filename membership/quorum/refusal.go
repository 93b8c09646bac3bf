package quorum

import (
	"fmt"
	"strings"
)

// Reason is why a step is refused. The values are fit for programs; what people
// read is [Refusal.Error].
type Reason string

const (
	NotAChange    Reason = "not-a-change"   // Heal, or a kind that is not known
	NoSuchMember  Reason = "no-such-member" // the id is in no list
	NotALearner   Reason = "not-a-learner"  // what votes cannot be promoted
	NotAVoter     Reason = "not-a-voter"    // what does not vote cannot lead
	AlreadyLeader Reason = "already-leader" // the leadership would move nowhere
	NoQuorum      Reason = "no-quorum"      // too few voters take part to commit anything
	NoLeader      Reason = "no-leader"      // none is known to answer
	PendingMember Reason = "pending-member" // another learner is on its way, or was given up
	CorruptLeader Reason = "corrupt-leader" // it would fill the new member with what it holds
	VoterDown     Reason = "voter-down"     // the next failure comes on top
	NotStarted    Reason = "not-started"    // the member's etcd has never run
	NotAnswering  Reason = "not-answering"  // the member may be dead
	NotCaughtUp   Reason = "not-caught-up"  // the member is behind by nobody knows how much
	CorruptMember Reason = "corrupt-member" // what the member holds must not spread
	LastVoter     Reason = "last-voter"     // without it there is no cluster
	IsLeader      Reason = "is-leader"      // a removed leader can take its last answers with it
	LosesQuorum   Reason = "would-lose-quorum"
)

// Refusal is the error of [Check].
type Refusal struct {
	Step    Step
	Reason  Reason
	Members []ID   // whom the reason is about
	Remedy  []Step // the fewest steps after which this one is safe; nil if there are none
	State   State
}

// Error says why, with the names of the members.
func (r *Refusal) Error() string { return r.what() + ": " + r.why() }

// what is the step in words.
func (r *Refusal) what() string {
	if r.Step.Kind == AddLearner {
		return "add a learner"
	}
	return fmt.Sprintf("%s %s", r.Step.Kind, r.State.label(r.Step.ID))
}

var whys = map[Reason]string{
	NotAChange:    "it is no change of the membership, so that there is nothing to judge",
	NoSuchMember:  "there is no such member",
	NotALearner:   "it is a voter already",
	NotAVoter:     "it is a learner, which cannot lead",
	AlreadyLeader: "it is the leader already",
	NoLeader:      "no leader answers",
	NotStarted:    "its etcd has never started",
	NotAnswering:  "it does not answer",
	NotCaughtUp:   "it has not caught up with the leader",
	CorruptMember: "its data is corrupt",
	LastVoter:     "it is the only voter",
	IsLeader:      "it is the leader",
}

func (r *Refusal) why() string {
	switch r.Reason {
	case NoQuorum:
		c := r.State.Count()
		if r.State.Leader == 0 && c.Able+c.Corrupt == 0 { // the others may see one, and have quorum
			return fmt.Sprintf("no leader answers, so that none of %s is known to take part, quorum is %d", plural(c.Voters, "voter"), c.Quorum())
		}
		return fmt.Sprintf("quorum is lost: %d of %s %s, quorum is %d", c.Able+c.Corrupt, plural(c.Voters, "voter"), takePart(c), c.Quorum())
	case PendingMember:
		if len(r.Members) > 1 {
			return r.labels() + " are still learners"
		}
		return r.labels() + " is still a learner"
	case CorruptLeader:
		return fmt.Sprintf("the leader %s has corrupt data and would fill the new member with it", r.labels())
	case VoterDown:
		return r.conditions()
	case LosesQuorum:
		return r.left()
	default:
		return whys[r.Reason]
	}
}

func takePart(c Count) string {
	if c.Able+c.Corrupt == 1 {
		return "takes part"
	}
	return "take part"
}

// left is what the step would leave.
func (r *Refusal) left() string {
	c := r.State.After(r.Step).Count()
	voters := plural(c.Voters, "voter")
	healthy := fmt.Sprintf("%d healthy, quorum is %d", c.Able, c.Quorum())
	m, _ := r.State.Member(r.Step.ID)
	switch {
	case r.Step.Kind == Promote:
		return fmt.Sprintf("there would be %s with %s", voters, healthy)
	case r.Step.Kind == Update:
		return fmt.Sprintf("should its new URLs be wrong, there would be %s with %s", voters, healthy)
	case m.Able():
		return fmt.Sprintf("%s would be left with %s", voters, healthy)
	default:
		return fmt.Sprintf("%s would be left, of which %d %s, quorum is %d", voters, c.Able+c.Corrupt, takePart(c), c.Quorum())
	}
}

// conditions says what is the matter with each member of the refusal.
func (r *Refusal) conditions() string {
	var words []string
	for _, id := range r.Members {
		m, _ := r.State.Member(id)
		words = append(words, fmt.Sprintf("the voter %s %s", m.label(), m.condition()))
	}
	return strings.Join(words, ", ")
}

// condition says what keeps a member from being able.
func (m Member) condition() string {
	switch {
	case !m.Started:
		return "has never started"
	case !m.Answers:
		return "does not answer"
	case !m.CaughtUp:
		return "has not caught up"
	default:
		return "has corrupt data"
	}
}

func (r *Refusal) labels() string {
	var names []string
	for _, id := range r.Members {
		names = append(names, r.State.label(id))
	}
	return strings.Join(names, ", ")
}

// label is what people call the member with that id, listed or not.
func (s State) label(id ID) string {
	if m, ok := s.Member(id); ok {
		return m.label()
	}
	return id.String()
}
