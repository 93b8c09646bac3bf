package quorum

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// Each condition that keeps a member from being able, and none.
var healed = []Member{
	{},
	{Started: true},
	{Started: true, Answers: true},
	{Started: true, Answers: true, CaughtUp: true, Corrupt: true},
	{Started: true, Answers: true, CaughtUp: true},
}

// route is how a state is reached: as short as can be, and with as few heals.
type route struct {
	length, heals int
	end           State
}

// A remedy works, each of its steps is safe, and there is none that is shorter,
// or as short with fewer heals. Where there is no remedy, none exists.
func TestRemediesAreTheShortest(t *testing.T) {
	t.Parallel()
	lengths := make(map[int]int)
	states := 0
	look := func(s State) {
		states++
		without, with := routes(s, false), routes(s, true)
		for _, step := range stepsOf(s) {
			err := Check(s, step)
			if (err == nil) != (oracle(s, step) == "") {
				t.Fatalf("%v: %v\n%s", step, err, describe(s))
			}
			if err == nil {
				continue
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("%v: %v", step, err)
			}
			remedy := refusal.Remedy
			best, found := shortest(without, step)
			if !found {
				best, found = shortest(with, step)
			}
			if !found && remedy == nil {
				lengths[0]++
				continue
			}
			heals, err := follow(s, append(remedy, step))
			if err != nil || len(remedy) != best.length || heals != best.heals {
				t.Fatalf("%v: remedy %v, %v; the best has %d steps with %d heals\n%s", step, remedy, err, best.length, best.heals, describe(s))
			}
			lengths[len(remedy)]++
		}
	}
	for voters := 1; voters <= 3; voters++ {
		for learners := range 2 {
			for s := range statesOf(voters, learners, healed) {
				look(s)
			}
		}
	}
	skipped := 0
	for s := range statesOf(6, 1, healed) { // some that are larger
		if skipped++; skipped%400 == 0 {
			look(s)
		}
	}
	t.Logf("%d states; refusals by the number of steps of their remedy, 0 for none: %v", states, lengths)
}

// follow takes the steps, and counts the heals.
func follow(s State, steps []Step) (heals int, err error) {
	for _, step := range steps {
		m, _ := s.Member(step.ID)
		switch {
		case step.Kind == Heal:
			heals++
		case oracle(s, step) != "":
			return 0, fmt.Errorf("%v is not safe: %s", step, oracle(s, step))
		case step.Kind == Remove && serves(m) && step != steps[len(steps)-1]:
			return 0, fmt.Errorf("%v takes a healthy member away", step)
		}
		s = played(s, step)
	}
	return heals, nil
}

// place is a state that can be compared: a number for each member.
type place struct {
	leader  ID
	members [9]int
}

func placeOf(s State) place {
	p := place{leader: s.Leader}
	for i, m := range s.Members {
		for bit, is := range []bool{true, m.Learner, m.Started, m.Answers, m.CaughtUp, m.Corrupt} {
			if is {
				p.members[i] |= 1 << bit
			}
		}
		p.members[i] |= int(m.ID) << 8
	}
	return p
}

// routes finds every state that can be reached by up to three steps that a
// remedy may have.
func routes(s State, adding bool) map[place]route {
	all := map[place]route{placeOf(s): {end: s}}
	level := []route{{end: s}}
	for length := 1; length <= 3; length++ {
		next := make(map[place]route)
		for _, r := range level {
			for _, step := range legs(r.end, adding) {
				longer := route{length, r.heals, played(r.end, step)}
				if step.Kind == Heal {
					longer.heals++
				}
				key := placeOf(longer.end)
				_, earlier := all[key]
				same, known := next[key]
				if !earlier && (!known || longer.heals < same.heals) {
					next[key] = longer
				}
			}
		}
		level = nil
		for key, r := range next {
			all[key] = r
			level = append(level, r)
		}
	}
	return all
}

// legs are the steps that can be taken on the way.
func legs(s State, adding bool) []Step {
	var out []Step
	for _, m := range s.Members {
		for _, kind := range []Kind{Promote, Remove, MoveLeader, Heal} {
			step := Step{kind, m.ID}
			if kind == Heal && !writes(m) || kind != Heal && oracle(s, step) == "" && (kind != Remove || !serves(m)) {
				out = append(out, step)
			}
		}
	}
	if adding && oracle(s, Step{Kind: AddLearner}) == "" {
		out = append(out, Step{Kind: AddLearner})
	}
	return out
}

func shortest(all map[place]route, step Step) (best route, found bool) {
	for _, r := range all {
		if oracle(r.end, step) == "" &&
			(!found || r.length < best.length || r.length == best.length && r.heals < best.heals) {
			best, found = r, true
		}
	}
	return best, found
}

// What a step leads to is what the oracle plays, and s stays as it was.
func TestAfterIsAsPlayed(t *testing.T) {
	t.Parallel()
	states, steps := 0, 0
	for voters := 1; voters <= 4; voters++ {
		for learners := range 2 {
			for s := range statesOf(voters, learners, possible) {
				states++
				before := describe(s)
				for _, step := range append(stepsOf(s), nonsense...) {
					steps++
					if is, want := s.After(step), played(s, step); is.Leader != want.Leader || !reflect.DeepEqual(is.Members, want.Members) && len(want.Members) > 0 {
						t.Fatalf("after %v\n%s\nand played\n%s\nfrom\n%s", step, describe(is), describe(want), describe(s))
					}
				}
				if describe(s) != before {
					t.Fatalf("%s\nhas become\n%s", before, describe(s))
				}
			}
		}
	}
	t.Logf("%d states, %d steps", states, steps)
}
