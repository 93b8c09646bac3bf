package quorum

import (
	"fmt"
	"slices"
	"strings"
)

// model is how operators act, and within which bounds.
type model struct {
	voters, learners int    // at most, in the beginning
	room             int    // for members, at most as many as there are slots
	failures         []slot // what may become of a member that is up
	rules            []rule
	// may tells whether an operator takes a step that is safe, where it looks and
	// the other one is busy with another step, or is not.
	may func(busy bool, s State, step Step) bool
	// during says what a step survives while it is under way.
	during func(State, Step) Count
	// shared: no step promises more than those that were taken at the same time.
	shared bool

	known map[[slots]slot][]Step // choices
}

// Ways to keep operators apart that do.
var (
	withLock    = func(busy bool, _ State, _ Step) bool { return !busy }
	withoutLock = func(_ bool, s State, step Step) bool { return !s.NeedsLock(step) }
)

// sound is the rules as they are, by operators who keep to them.
var sound = model{
	voters: 5, learners: 1, room: 6, failures: []slot{silent, behind, rotten},
	rules: rules, may: withLock, during: During,
}

// event is what leads from one world to another.
type event struct {
	before world
	verb   string // "" at the beginning
	who    int    // a slot, or an operator
	step   Step
}

func (e event) String() string {
	switch {
	case e.step.Kind == AddLearner:
		return fmt.Sprintf("operator %c looks, and is going to add a learner", 'A'+e.who)
	case e.step.Kind != "":
		return fmt.Sprintf("operator %c looks, and is going to %s %v", 'A'+e.who, e.step.Kind, e.step.ID)
	case e.verb == "acts" || e.verb == "dies":
		return fmt.Sprintf("operator %c %s", 'A'+e.who, e.verb)
	default:
		return fmt.Sprintf("%d %s", e.who+1, e.verb)
	}
}

// run explores every world that can be reached, and returns how many there are,
// and the story of the shortest way to a loss that no failures excuse.
func (m model) run() (worlds int, story []string) {
	m.known = make(map[[slots]slot][]Step)
	seen := make(map[world]event)
	var queue []world
	visit := func(w world, e event) (violation bool) {
		w.canonical()
		if _, known := seen[w]; known {
			return false
		}
		seen[w] = e
		if w.lost() {
			story = tell(seen, w)
			return w.promised()
		}
		queue = append(queue, w)
		return false
	}
	for w := range m.beginnings {
		visit(w, event{})
	}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		for next, e := range m.from(w) {
			if visit(next, e) {
				return len(seen), story
			}
		}
	}
	return len(seen), nil
}

// tell goes back to the beginning.
func tell(seen map[world]event, w world) []string {
	story := []string{w.String() + ": quorum is lost"}
	for seen[w].verb != "" {
		e := seen[w]
		story = append(story, e.before.String()+": "+e.String())
		w = e.before
	}
	slices.Reverse(story)
	return story
}

// beginnings yields every cluster that has a quorum.
func (m model) beginnings(yield func(world) bool) {
	conditions := append([]slot{up}, m.failures...)
	for voters := 1; voters <= m.voters; voters++ {
		for learners := range m.learners + 1 {
			for v := range multisets(voters, len(conditions)) {
				for l := range multisets(learners, len(conditions)+1) {
					w := world{accounts: [operators + 1]account{void, void, void}}
					for i, c := range v {
						w.slots[i] = conditions[c] | votesBit
					}
					for i, c := range l {
						w.slots[voters+i] = append(conditions, unstarted)[c]
					}
					if w.lost() {
						continue
					}
					w.accounts[current] = account(w.state().Count().Tolerates())
					if !yield(w) {
						return
					}
				}
			}
		}
	}
}

// from yields what can come next, and what happened.
func (m model) from(w world) func(func(world, event) bool) {
	return func(yield func(world, event) bool) {
		for i := range w.slots {
			if !m.befall(w, i, yield) {
				return
			}
		}
		for op := range operators {
			if !m.operate(w, op, yield) {
				return
			}
		}
	}
}

// befall: a member that is up may fail, another one may come up.
func (m model) befall(w world, i int, yield func(world, event) bool) bool {
	switch w.slots[i].condition() {
	case gone, rotten:
		return true
	case up:
		for _, how := range m.failures {
			next := w
			next.fail(i, how)
			if !yield(next, event{before: w, verb: "becomes " + conditionNames[how], who: i}) {
				return false
			}
		}
		return true
	default:
		next := w
		next.slots[i] = next.slots[i].with(up)
		return yield(next, event{before: w, verb: "comes up", who: i})
	}
}

// operate: one who has no step looks and decides on one; one who has, takes it
// or dies.
func (m model) operate(w world, op int, yield func(world, event) bool) bool {
	if w.pending[op] != 0 {
		acted, died := w, w
		acted.act(op, m.room, m.shared)
		died.forget(op)
		return yield(acted, event{before: w, verb: "acts", who: op}) && yield(died, event{before: w, verb: "dies", who: op})
	}
	s := w.state()
	for _, step := range m.choices(w, s) {
		if !m.may(w.pending[1-op] != 0, s, step) {
			continue
		}
		next := w
		next.intend(op, step, m.during(s, step))
		if !yield(next, event{before: w, verb: "looks", who: op, step: step}) {
			return false
		}
	}
	return true
}

// choices are the steps that are safe under some leader.
func (m model) choices(w world, s State) []Step {
	for i := range w.slots {
		w.slots[i] &= votesBit | conditionBits
	}
	safe, known := m.known[w.slots]
	if known {
		return safe
	}
	for _, leader := range s.Members {
		s.Leader = leader.ID
		for _, kind := range kinds[1:] {
			for _, member := range s.Members {
				step := Step{kind, member.ID}
				if kind == AddLearner {
					step.ID = 0
				}
				if !slices.Contains(safe, step) && verdict(m.rules, s, step) == "" {
					safe = append(safe, step)
				}
			}
		}
	}
	m.known[w.slots] = safe
	return safe
}

var conditionNames = map[slot]string{unstarted: "unstarted", silent: "silent", behind: "behind", rotten: "corrupt", up: "up"}

// String names members by the numbers of their slots, which can change with each event.
func (w world) String() string {
	var words []string
	for i, slot := range w.slots {
		if slot == gone {
			continue
		}
		word := fmt.Sprintf("%d=%s", i+1, conditionNames[slot.condition()])
		if !slot.votes() {
			word += "(learner)"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
