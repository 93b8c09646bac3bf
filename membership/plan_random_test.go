package membership_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

// wish is a cluster and what it should be, both by chance.
type wish struct {
	cluster, target string
	downWanted      bool // the target has a voter that is down
	waitsForever    bool // the target has a learner that is down
}

var zones = []string{"", " zone=a", " zone=b", " zone=c"}

// newWish makes a cluster that has quorum, of up to six voters and a learner.
func newWish(d *rand.Rand) wish {
	var w wish
	var cluster, target []string
	voters := 1 + d.IntN(6)
	down := (voters - 1) / 2
	for i, host := range d.Perm(9) {
		host++
		line := fmt.Sprintf("m%d%s", host, zones[d.IntN(len(zones))])
		wanted, listed := d.IntN(3) == 0, i <= voters
		words := ""
		switch {
		case i < voters && i > 0 && down > 0 && d.IntN(3) == 0:
			words, down = []string{" stopped", " paused", " corrupt", " lagging"}[d.IntN(4)], down-1
		case i == 0:
			words = " leader"
		case i == voters && d.IntN(2) == 0:
			words = " learner" + []string{"", " never-started", " stopped", " lagging"}[d.IntN(4)]
		case i >= voters:
			listed = false
		}
		if listed {
			cluster = append(cluster, fmt.Sprintf("%s%s peer=%s client=https://192.0.2.%d:2379", line, words, url(host), host))
			wanted = d.IntN(2) == 0
		}
		if !wanted {
			continue
		}
		at := host
		if listed && d.IntN(4) == 0 {
			at = host + 20
		}
		target = append(target, fmt.Sprintf("m%d %d%s", host, at, zones[d.IntN(len(zones))]))
		if at == host && i < voters && i > 0 && words != "" {
			w.downWanted = true
		}
		if at == host && listed && (strings.Contains(words, "learner stopped") || strings.Contains(words, "learner lagging")) {
			w.waitsForever = true
		}
	}
	if len(target) == 0 {
		target = []string{"m1 1"}
		w.downWanted = true // nobody knows
	}
	if len(target) > 1 && d.IntN(4) == 0 {
		target[0] += " learner"
	}
	w.cluster, w.target = strings.Join(cluster, "\n"), strings.Join(target, ",")
	return w
}

// Plans for thousands of clusters and targets keep what they promise.
func TestPlansByChance(t *testing.T) {
	const wishes = 1000
	seen := make(map[string]int)
	for seed := range uint64(wishes) {
		w := newWish(rand.New(rand.NewPCG(seed, 0)))
		goal := reach(t, w.target)
		o := observe(t, membershiptest.New(t, w.cluster))
		steps, err := goal.Steps(o)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s\n%s", seed, err, w.cluster, w.target)
		}
		if again, _ := goal.Steps(o); words(again) != words(steps) {
			t.Fatalf("seed %d: once %s, once %s", seed, words(steps), words(again))
		}
		plan := membership.MakePlan(o, steps)
		if problem := w.judge(plan); problem != "" {
			t.Fatalf("seed %d: %s\n%s\ntarget %s\nplan %s", seed, problem, w.cluster, w.target, describe(plan))
		}
		if got := resumes(t, goal, o, steps); got != w.end() {
			t.Fatalf("seed %d: in the end there are %s, want %s\n%s\nplan %s", seed, got, w.end(), w.cluster, describe(plan))
		}
		seen[fmt.Sprintf("plans of %d steps", len(steps)/5*5)]++
		for _, s := range steps {
			seen[string(s.Kind)]++
		}
		if slices.ContainsFunc(plan, func(p membership.Planned) bool { return p.Refused() != nil }) {
			seen["refused, for a wanted voter is down or an alarm is on"]++
		}
	}
	t.Logf("%d wishes: %v", wishes, seen)
	for _, kind := range []quorum.Kind{quorum.AddLearner, quorum.Promote, quorum.Remove, quorum.Update, quorum.MoveLeader, quorum.Heal} {
		if seen[string(kind)] < wishes/20 {
			t.Errorf("%s was planned only %d times", kind, seen[string(kind)])
		}
	}
}

func describe(plan []membership.Planned) string {
	var out []string
	for _, p := range plan {
		out = append(out, fmt.Sprintf("%s (%d/%d: %d)", p.Step, p.After.Able, p.After.Voters, p.After.Tolerates()))
	}
	return strings.Join(out, ", ")
}

// judge wants that no step is refused, and that fault tolerance never is less than
// both at the start, when the dead are removed, and at the end.
func (w wish) judge(plan []membership.Planned) string {
	if len(plan) == 0 {
		return ""
	}
	start, end := plan[0].Before.Tolerates(), plan[len(plan)-1].After.Tolerates()
	for i, p := range plan {
		if err := p.Refused(); err != nil && (w.downWanted || p.NoLock != nil) {
			return "" // it ends here, until somebody sees to that voter or to the alarm
		} else if err != nil {
			return "refused: " + err.Error()
		}
		after := p.After.Tolerates()
		if after < min(start, end) {
			return fmt.Sprintf("after step %d, %s, it tolerates %d, at the start %d, at the end %d", i+1, p.Step, after, start, end)
		}
		if p.After.Able == p.Before.Able { // the dead go
			start = max(start, after)
		}
	}
	return ""
}

// resumes wants that whoever looks after any step of a plan finds the rest of it.
// It returns the members in the end.
func resumes(t *testing.T, goal membership.Goal, o *membership.Observation, steps []membership.Step) string {
	t.Helper()
	for i, s := range steps {
		o = membership.Play(o, s)
		rest, err := goal.Steps(o)
		if err != nil || words(rest) != words(steps[i+1:]) {
			t.Fatalf("after %s of %s there remains %s, %v", s, words(steps), words(rest), err)
		}
	}
	return members(o)
}

// members are those of a cluster as in the target of a wish.
func members(o *membership.Observation) string {
	var out []string
	for _, m := range o.Members {
		role := "voter"
		if m.Learner {
			role = "learner"
		}
		out = append(out, fmt.Sprintf("%s %s %s", m.Name, strings.Join(m.PeerURLs, ","), role))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// end is what the target asks for.
func (w wish) end() string {
	var out []string
	for line := range strings.SplitSeq(w.target, ",") {
		fields := strings.Fields(line)
		role := "voter"
		if slices.Contains(fields, "learner") {
			role = "learner"
		}
		out = append(out, fmt.Sprintf("%s https://192.0.2.%s:2380 %s", fields[0], fields[1], role))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
