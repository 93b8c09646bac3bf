package quorum

import (
	"slices"
	"strings"
	"testing"
)

// Operators look, decide and act, while members fail and come back, and while
// they themselves die, in any order. Whatever happens, quorum is lost only if more
// members have failed since a step was judged than it was said to survive.
func TestOperatorsNeverCostQuorum(t *testing.T) {
	t.Parallel()
	unlocked := sound
	unlocked.may, unlocked.shared = withoutLock, true
	unlocked.failures = []slot{silent}
	large := sound
	large.room, large.learners, large.failures = 7, 2, []slot{silent}
	for _, c := range []struct {
		title string
		model model
	}{
		{"with the lock, and every kind of failure", sound},
		{"with the lock, up to seven members", large},
		{"without a lock, only steps that need none", unlocked},
	} {
		worlds, story := c.model.run()
		if story != nil {
			t.Errorf("%s:\n%s", c.title, strings.Join(story, "\n"))
		}
		t.Logf("%s: %d worlds, and quorum is lost in none", c.title, worlds)
	}
}

// What keeps operators apart is needed: without it the model tells how quorum is lost.
func TestModelNoticesOperatorsWhoAreNotKeptApart(t *testing.T) {
	t.Parallel()
	freely := func(kind Kind) func(bool, State, Step) bool {
		return func(busy bool, s State, step Step) bool { return step.Kind == kind || withoutLock(busy, s, step) }
	}
	for _, c := range []struct {
		title  string
		shared bool
		may    func(busy bool, s State, step Step) bool
	}{
		{"no lock at all", true, func(bool, State, Step) bool { return true }},
		{"removals of able members without a lock", true, freely(Remove)},
		{"updates without a lock", true, freely(Update)},
		{"one with the lock beside one without", false, func(busy bool, s State, step Step) bool {
			return withLock(busy, s, step) || withoutLock(busy, s, step)
		}},
		{"no lock, and yet each counts on what only it was told", false, withoutLock},
	} {
		broken := sound
		broken.failures, broken.may, broken.shared = []slot{silent}, c.may, c.shared
		mustLose(t, c.title, broken)
	}
}

// So are the rules that quorum rests on. The four about a learner and the one
// about what its promotion leaves stand in for each other.
func TestModelNoticesRulesThatAreMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind    Kind
		reasons []Reason
	}{
		{Remove, []Reason{LosesQuorum}},
		{Update, []Reason{LosesQuorum}},
		{Promote, []Reason{NotStarted, LosesQuorum}},
		{Promote, []Reason{NotAnswering, LosesQuorum}},
		{Promote, []Reason{NotCaughtUp, LosesQuorum}},
		{Promote, []Reason{CorruptMember, LosesQuorum}},
	} {
		broken := sound
		broken.rules = slices.DeleteFunc(slices.Clone(rules), func(r rule) bool {
			return r.kind == c.kind && slices.Contains(c.reasons, r.reason)
		})
		if len(broken.rules) != len(rules)-len(c.reasons) {
			t.Fatalf("%s: there are no rules %q", c.kind, c.reasons)
		}
		mustLose(t, string(c.kind), broken)
	}
}

// And it is needed to count the worse of before and after.
func TestModelNoticesAPromiseThatIsTooGreat(t *testing.T) {
	t.Parallel()
	for title, during := range map[string]func(State, Step) Count{
		"what is survived before": func(s State, _ Step) Count { return s.Count() },
		"what is survived after":  func(s State, step Step) Count { return s.After(step).Count() },
	} {
		broken := sound
		broken.during = during
		mustLose(t, title, broken)
	}
}

func mustLose(t *testing.T, title string, m model) {
	t.Helper()
	worlds, story := m.run()
	if story == nil {
		t.Errorf("%s: quorum is lost in none of %d worlds", title, worlds)
		return
	}
	t.Logf("%s: quorum is lost after %d worlds:\n%s", title, worlds, strings.Join(story, "\n"))
}
