package quorum

import "slices"

// slot is where a member of a world is, or may come to be: its role and
// condition in the lower bits, and marks above.
type slot uint16

const (
	gone slot = iota
	// Each of these lacks one thing, so that no rule can stand in for another.
	unstarted
	silent
	behind
	rotten // corrupt
	up

	conditionBits slot = 7
	votesBit      slot = 8
)

// Marks of a slot: who aims at it, and in whose account its failure is.
const (
	aimedAt   slot = 16 // shifted by the operator
	counted   slot = 64 // shifted by the account
	allCounts      = counted | counted<<1 | counted<<2
)

func (s slot) condition() slot { return s & conditionBits }
func (s slot) votes() bool     { return s&votesBit != 0 }

// with returns the slot with another condition.
func (s slot) with(condition slot) slot { return s&^conditionBits | condition }

// account says how many more failures a step was said to survive: those since
// the observation that it was judged on. It is negative when there were more.
// Whose failure is in it already has a mark.
type account int8

// void is an account that has been overdrawn: no promise holds any more.
const void account = -1

// Accounts: one of each operator's pending step, and the one that holds for the
// cluster since the last step took effect.
const (
	operators = 2
	current   = operators
)

const slots = 7

// world is a cluster and its operators. It is comparable, and worlds that are
// the same but for names are equal once they are canonical.
type world struct {
	slots    [slots]slot
	pending  [operators]int8 // index of kinds, of the step that was judged safe and is not taken yet; 0 for none
	accounts [operators + 1]account
}

// kinds of steps that operators take.
var kinds = []Kind{"", AddLearner, Promote, Remove, Update, MoveLeader}

func (w *world) canonical() {
	slices.Sort(w.slots[:])
}

// state is the world as an observer sees it. The id of a member is the number of
// its slot, from 1. Who leads is up to the caller.
func (w *world) state() State {
	var s State
	for i, slot := range w.slots {
		if condition := slot.condition(); condition != gone {
			s.Members = append(s.Members, Member{
				ID: ID(i + 1), Learner: !slot.votes(), Started: condition != unstarted,
				Answers: condition != silent, CaughtUp: condition != behind, Corrupt: condition == rotten,
			})
		}
	}
	return s
}

// lost tells whether there is no majority of voters that work.
func (w *world) lost() bool {
	voters, works := 0, 0
	for _, slot := range w.slots {
		if slot.votes() {
			if slot.condition() == up {
				works |= 1 << voters
			}
			voters++
		}
	}
	return !someMajorityWorks[voters][works]
}

// promised tells whether there should still be a quorum: by what was said of the
// last step, or of one that is under way.
func (w *world) promised() bool {
	if w.accounts[current] != void {
		return true
	}
	for op := range operators {
		if w.pending[op] != 0 && w.accounts[op] != void {
			return true
		}
	}
	return false
}

// fail makes what is in the slot fail. That counts if it votes, or if somebody
// is about to promote it.
func (w *world) fail(i int, how slot) {
	w.slots[i] = w.slots[i].with(how)
	counts := w.slots[i].votes()
	for op := range operators {
		if w.slots[i]&(aimedAt<<op) != 0 && kinds[w.pending[op]] == Promote {
			counts = true
		}
	}
	if !counts {
		return
	}
	for a := range w.accounts {
		if w.accounts[a] != void && w.slots[i]&(counted<<a) == 0 {
			w.accounts[a]--
			w.slots[i] |= counted << a
			if w.accounts[a] == void {
				w.clear(counted << a)
			}
		}
	}
}

// clear removes a mark everywhere.
func (w *world) clear(mark slot) {
	for i := range w.slots {
		w.slots[i] &^= mark
	}
}

// intend makes a step pending that was judged on how the world is now. Without
// any failure every step has to be survived.
func (w *world) intend(op int, step Step, during Count) {
	w.pending[op] = int8(slices.Index(kinds, step.Kind))
	w.accounts[op] = account(max(0, during.Tolerates()))
	if step.ID != 0 {
		w.slots[step.ID-1] |= aimedAt << op
	}
}

// forget ends the operator's intention.
func (w *world) forget(op int) {
	w.pending[op] = 0
	w.accounts[op] = void
	w.clear(aimedAt<<op | counted<<op)
}

// act makes the pending step take effect, on whatever the world has become. The
// server stops nothing but what makes no sense. With shared accounts, the other
// operator's step, judged on a world without this one, has no greater account.
func (w *world) act(op, room int, shared bool) {
	w.copyAccount(op, current)
	other := 1 - op
	if shared && w.pending[other] != 0 && w.accounts[op] < w.accounts[other] {
		w.copyAccount(op, other)
	}
	target := slices.IndexFunc(w.slots[:], func(s slot) bool { return s&(aimedAt<<op) != 0 })
	kind := kinds[w.pending[op]]
	w.forget(op)
	switch {
	case kind == AddLearner && w.members() < room:
		w.slots[slices.Index(w.slots[:], gone)] = unstarted
	case target < 0: // somebody else has removed it, or there is no room
	case kind == Promote:
		w.slots[target] |= votesBit
	case kind == Remove:
		w.slots[target] = gone
	case kind == Update && w.slots[target].condition() == up && w.members() > 1:
		w.slots[target] = w.slots[target].with(silent)
	}
}

func (w *world) members() (n int) {
	for _, slot := range w.slots {
		if slot != gone {
			n++
		}
	}
	return n
}

func (w *world) copyAccount(from, to int) {
	w.accounts[to] = w.accounts[from]
	for i := range w.slots {
		w.slots[i] &^= counted << to
		if w.slots[i]&(counted<<from) != 0 {
			w.slots[i] |= counted << to
		}
	}
}
