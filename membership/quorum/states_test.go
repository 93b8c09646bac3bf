package quorum

import (
	"iter"
	"slices"
	"strings"
)

// every is all combinations of what is known of a member, possible or not.
var every = func() (all []Member) {
	for i := range 16 {
		all = append(all, Member{Started: i&8 != 0, Answers: i&4 != 0, CaughtUp: i&2 != 0, Corrupt: i&1 != 0})
	}
	return all
}()

// possible is those that an observer can come to: what answers has started, what
// has caught up has answered, and only what has started can be corrupt.
var possible = slices.DeleteFunc(slices.Clone(every), func(m Member) bool {
	return m.Answers && !m.Started || m.CaughtUp && !m.Answers || m.Corrupt && !m.Started
})

// multisets yields all ways to take n of k kinds, as indices in ascending order.
func multisets(n, k int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		set := make([]int, n)
		for {
			if !yield(set) {
				return
			}
			i := n - 1
			for i >= 0 && set[i] == k-1 {
				i--
			}
			if i < 0 {
				return
			}
			for next := set[i] + 1; i < n; i++ {
				set[i] = next
			}
		}
	}
}

// statesOf yields every state with exactly so many voters and learners of these
// conditions, up to renaming, with no leader and with each voter as the leader.
// What is yielded is valid until the next one.
func statesOf(voters, learners int, conditions []Member) iter.Seq[State] {
	return func(yield func(State) bool) {
		for v := range multisets(voters, len(conditions)) {
			for l := range multisets(learners, len(conditions)) {
				members := membersOf(v, l, conditions)
				for i := range voters + 1 {
					if i > 1 && v[i-1] == v[i-2] { // leads like the one before
						continue
					}
					if !yield(State{Members: members, Leader: ID(i)}) {
						return
					}
				}
			}
		}
	}
}

var names = strings.Fields("m1 m2 m3 m4 m5 m6 m7 m8 m9")

func membersOf(voters, learners []int, conditions []Member) []Member {
	members := make([]Member, 0, len(voters)+len(learners))
	for i, condition := range slices.Concat(voters, learners) {
		m := conditions[condition]
		m.ID = ID(i + 1)
		m.Name = names[i]
		m.Learner = i >= len(voters)
		members = append(members, m)
	}
	return members
}

// stranger is in no state.
const stranger = ID(99)

// stepsOf returns every step of a state, each on one of the members that are alike.
func stepsOf(s State) []Step {
	steps := make([]Step, 0, 1+4*len(s.Members))
	steps = append(steps, Step{Kind: AddLearner})
	for i := range s.Members {
		if s.likeAnEarlierOne(i) {
			continue
		}
		for _, kind := range targeted {
			steps = append(steps, Step{kind, s.Members[i].ID})
		}
	}
	return steps
}

// nonsense is steps that are none in any state.
var nonsense = []Step{
	{Heal, 1}, {Heal, stranger}, {"dance", 1},
	{Promote, stranger}, {Remove, stranger}, {Update, stranger}, {MoveLeader, stranger},
}

// targeted are the kinds of steps that are about a member.
var targeted = []Kind{Promote, Remove, Update, MoveLeader}

func (s State) likeAnEarlierOne(i int) bool {
	m := &s.Members[i]
	for j := range i {
		other := &s.Members[j]
		if m.ID != s.Leader && other.ID != s.Leader && m.Learner == other.Learner && m.Started == other.Started &&
			m.Answers == other.Answers && m.CaughtUp == other.CaughtUp && m.Corrupt == other.Corrupt {
			return true
		}
	}
	return false
}

// describe is a state for people who look for what went wrong.
func describe(s State) string {
	var lines []string
	for _, m := range s.Members {
		words := []string{m.label()}
		for _, word := range []struct {
			is   bool
			text string
		}{
			{m.ID == s.Leader, "leader"}, {m.Learner, "learner"}, {m.Started, "started"}, {m.Answers, "answers"},
			{m.CaughtUp, "caught-up"}, {m.Corrupt, "corrupt"},
		} {
			if word.is {
				words = append(words, word.text)
			}
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "\n")
}
