package quorum

import (
	"slices"
)

// remedyDepth bounds the length of a remedy. Whoever needs more steps needs a
// plan; and each one more multiplies the search by the number of members.
const remedyDepth = 3

// path is steps that can be taken one after the other, and where they lead.
type path struct {
	steps []Step
	heals int // among the steps
	end   State
}

// remedy is the fewest steps after which the step is safe, nil if there are none
// within [remedyDepth]. Each of them is safe where it is taken. No able member
// is ever removed: that would pay for one step with what it should protect. A
// member is added only if nothing else helps. Among remedies of one length
// those with the fewest heals come first, since heals are not ours to do; then
// it is the order of kinds and of members that decides.
func remedy(s State, step Step) []Step {
	if p := search(s, step, waysOf); p != nil {
		return p
	}
	return search(s, step, func(s State) []Step {
		return append(waysOf(s), Step{Kind: AddLearner})
	})
}

// search goes through all paths, the shortest first.
func search(s State, step Step, ways func(State) []Step) []Step {
	level := []path{{end: s}}
	seen := map[string]bool{s.key(): true}
	for range remedyDepth {
		var next []path
		for _, p := range level {
			next = append(next, p.longer(ways(p.end))...)
		}
		slices.SortStableFunc(next, func(a, b path) int { return a.heals - b.heals })
		level = nil
		for _, p := range next {
			if judge(rules, p.end, step) == nil {
				return p.steps
			}
			if key := p.end.key(); !seen[key] {
				seen[key] = true
				level = append(level, p)
			}
		}
	}
	return nil
}

// longer returns the path with each of the steps that is safe at its end.
func (p path) longer(steps []Step) []path {
	var out []path
	for _, step := range steps {
		longer := path{append(slices.Clone(p.steps), step), p.heals, p.end.After(step)}
		if step.Kind == Heal {
			longer.heals++
		} else if judge(rules, p.end, step) != nil {
			continue
		}
		out = append(out, longer)
	}
	return out
}

// waysOf returns the steps that a remedy may consist of, safe or not.
func waysOf(s State) []Step {
	var ways []Step
	for _, way := range []struct {
		kind Kind
		fit  func(Member) bool
	}{
		{Promote, func(m Member) bool { return m.Learner }},
		{Remove, func(m Member) bool { return !m.Able() }},
		{MoveLeader, func(m Member) bool { return !m.Learner }},
		{Heal, func(m Member) bool { return !m.votes() }},
	} {
		for _, id := range s.which(way.fit) {
			ways = append(ways, Step{way.kind, id})
		}
	}
	return ways
}

// key is the same for states that are the same to every rule.
func (s State) key() string {
	key := []byte(s.Leader.String())
	for _, m := range s.Members {
		key = append(key, ' ')
		key = append(key, m.ID.String()...)
		for _, is := range []bool{m.Learner, m.Started, m.Answers, m.CaughtUp, m.Corrupt} {
			key = append(key, map[bool]byte{false: '-', true: '+'}[is])
		}
	}
	return string(key)
}
