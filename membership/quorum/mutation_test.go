package quorum

import (
	"fmt"
	"slices"
	"testing"
)

// Small bounds in which every rule decides about something.
var mutated = []bounds{
	{"possible", 3, 1, possible, true}, // first, since it is enough for a rule that refuses too much
	{"all, with a learner", 2, 1, every, true},
	{"all, without one", 3, 0, every, true},
}

// A rule that is missing, and one that is always broken, is noticed by the
// oracle: by steps that are let pass though they are not safe. A few rules only
// give the better reason for what others refuse as well.
func TestOracleNoticesEachRule(t *testing.T) {
	t.Parallel()
	reasonOnly := map[string]string{
		"promote no-such-member":     "who does not exist is no learner",
		"move-leader no-such-member": "who does not exist has not started",
		"add corrupt-leader":         "who is corrupt is a voter that is not able",
		"remove last-voter":          "who is the only voter leads",
	}
	for i, r := range rules {
		name := fmt.Sprintf("%s %s", r.kind, r.reason)
		without := slices.Delete(slices.Clone(rules), i, i+1)
		passed, other := differences(r.kind, without, mutated)
		switch _, known := reasonOnly[name]; {
		case passed+other == 0:
			t.Errorf("without %q, nobody notices", name)
		case known != (passed == 0):
			t.Errorf("without %q, %d steps pass that are not safe, and %d are refused for another reason", name, passed, other)
		}
		always := slices.Clone(rules)
		always[i].broken = func(*change) bool { return true }
		if _, other := differences(r.kind, always, mutated[:1]); other == 0 {
			t.Errorf("%q refuses everything, and nobody notices", name)
		}
		t.Logf("%-26s missing: %5d unsafe steps pass, %5d get another reason", name, passed, other)
	}
}

// differences counts the steps of a kind, or of any, that the rules let pass
// though they are not safe, and those of which they say something else that the
// oracle does not say.
func differences(kind Kind, rules []rule, within []bounds) (passed, other int) {
	look := func(s State) {
		for _, step := range append(stepsOf(s), nonsense...) {
			if kind != "" && kind != step.Kind {
				continue
			}
			switch verdict(rules, s, step) {
			case oracle(s, step):
			case "":
				passed++
			default:
				other++
			}
		}
	}
	for _, b := range within {
		for voters := 1; voters <= b.voters; voters++ {
			for learners := range b.learners + 1 {
				for s := range statesOf(voters, learners, b.conditions) {
					look(s)
				}
			}
		}
	}
	return passed, other
}
