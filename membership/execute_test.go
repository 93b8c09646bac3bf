package membership_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

const threeVoters = `
	m1 leader
	m2
	m3`

// operator is somebody who runs a command, and what is told meanwhile.
type operator struct {
	membership.Executor
	story []string
}

func newOperator(c *membershiptest.Cluster, client membership.Client) *operator {
	op := &operator{Executor: membership.Executor{
		Client: client, Endpoints: c.Endpoints(), Zones: c.Zones(), Who: "an operator", Now: c.Now, Sleep: c.Sleep,
	}}
	op.Reporter = op
	return op
}

// tell goes on with the story. What is told again and again is told once.
func (op *operator) tell(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); len(op.story) == 0 || op.story[len(op.story)-1] != line {
		op.story = append(op.story, line)
	}
}

func (op *operator) Observed(_ *membership.Observation, plan []membership.Planned) {
	var steps []membership.Step
	for _, p := range plan {
		steps = append(steps, p.Step)
	}
	op.tell("plan: %s", words(steps))
}

func (op *operator) Doing(p membership.Planned) {
	op.tell("doing %s", p.Step)
	for _, w := range p.Warnings {
		op.tell("warning: %s", w)
	}
}

func (op *operator) Waiting(s membership.Step, why string) { op.tell("waiting to %s: %s", s, why) }

func (op *operator) Done(p membership.Planned, o *membership.Observation) {
	op.tell("done %s: %s", p.Step, o.State().Count())
}

// reads compares the story with lines.
func (op *operator) reads(t *testing.T, want string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if !slices.Equal(op.story, lines) {
		t.Errorf("the story is\n%s\nwant\n%s", strings.Join(op.story, "\n"), strings.Join(lines, "\n"))
	}
}

// url is the peer URL of a host, as the cluster in memory gives them out.
func url(host int) string { return fmt.Sprintf("https://192.0.2.%d:2380", host) }

func clusterIs(t *testing.T, c *membershiptest.Cluster, want string) {
	t.Helper()
	if got := c.String(); got != want {
		t.Errorf("the cluster is %s\nwant           %s", got, want)
	}
}

func TestADeadMemberIsReplaced(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3 stopped")
	c.StartsAfter = 3 * time.Second
	op := newOperator(c, c)
	o, err := op.Run(t.Context(), membership.Replace("m3", "m4", []string{url(4)}))
	if err != nil {
		t.Fatal(err)
	}
	op.reads(t, `
		plan: remove m3, add m4, heal m4, promote m4
		doing remove m3
		done remove m3: 2 voters, 2 healthy, quorum 2: can lose none
		doing add m4
		done add m4: 2 voters, 2 healthy, quorum 2: can lose none
		doing heal m4
		waiting to heal m4: its etcd has not been started yet
		done heal m4: 2 voters, 2 healthy, quorum 2: can lose none
		doing promote m4
		done promote m4: 3 voters, 3 healthy, quorum 2: can lose 1`)
	clusterIs(t, c, "m1 voter leader, m2 voter, m4 voter")
	if got := o.State().Count().Tolerates(); got != 1 {
		t.Errorf("the last observation tolerates %d failures", got)
	}
}

func TestTheLeaderIsReplaced(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2 latency=5ms\nm3")
	c.StartsAfter = time.Second
	op := newOperator(c, c)
	op.Endpoints = c.Endpoints()[:1] // that of the leader, which is gone in the end
	if _, err := op.Run(t.Context(), membership.Replace("m1", "m4", []string{url(4)})); err != nil {
		t.Fatal(err)
	}
	want := []string{"add m4", "promote m4", "move-leader m3", "remove m1"}
	if got := c.Changes(); !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	clusterIs(t, c, "m2 voter, m3 voter leader, m4 voter")
}

func TestNothingToDo(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	op := newOperator(c, c)
	op.Approve = func([]membership.Planned) error { return errors.New("asked for nothing") }
	op.Backup = func(context.Context) error { return errors.New("backup for nothing") }
	if _, err := op.Run(t.Context(), reach(t, "m1 1, m2 2, m3 3")); err != nil || len(op.story) > 0 {
		t.Errorf("error %v, story %q", err, op.story)
	}
}

func TestWhatIsUnsafeIsRefusedBeforeAnythingElse(t *testing.T) {
	for _, s := range []struct {
		cluster   string
		goal      membership.Goal
		err, hint string
	}{
		{
			"m1 leader\nm2\nm3 stopped", membership.Add("m4", []string{url(4)}, true),
			"add a learner: the voter m3 does not answer", "first: start m3; if it is gone for good: etcdha member remove m3",
		},
		{
			"m1 leader\nm2\nm3 stopped", membership.Remove("m2"),
			"remove m2: 2 voters would be left with 1 healthy, quorum is 2", "first: start m3; if it is gone for good: etcdha member remove m3",
		},
		{
			"m1\nm2\nm3 stopped\nm4 stopped", membership.Remove("m3"),
			"remove m3: no leader answers, so that none of 4 voters is known to take part, quorum is 3", "etcdha member status says what is left to recover from",
		},
		{
			threeVoters + "\nm4 learner stopped", membership.Promote("m4"),
			"promote m4: it does not answer", "first: let m4 run and catch up",
		},
		{ // whom the target wants is not to be removed
			"m1 leader\nm2\nm3 stopped", reach(t, "m1 1, m2 2, m3 3, m4 4"),
			"add a learner: the voter m3 does not answer", "first: start m3, or take it out of the target",
		},
		{ // a name that a shell would not read as one word
			"m1 leader\nm2\nm$3 stopped", membership.Remove("m2"),
			"remove m2: 2 voters would be left with 1 healthy, quorum is 2", "first: start 'm$3'; if it is gone for good: etcdha member remove 'm$3'",
		},
		{ // the leader is not moved for nothing
			"m1 leader\nm2\nm3 stopped", membership.Remove("m1"),
			"remove m1: 2 voters would be left with 1 healthy, quorum is 2", "first: start m3; if it is gone for good: etcdha member remove m3",
		},
		{
			"m1 leader nospace\nm2\nm3", membership.Remove("m3"),
			"remove m3: an alarm is on, so that etcd cannot keep other operators out meanwhile", "cure the alarm first: etcdha alarm list says what is on",
		},
		{"m1 leader", membership.Remove("m1"), "remove m1: it is the only voter", ""},
		{
			threeVoters + "\nm4 learner never-started", membership.Add("m5", []string{url(5)}, false),
			"add a learner: 143fa8e1a51b8a1b is still a learner", "first: etcdha member remove 143fa8e1a51b8a1b",
		},
		{
			threeVoters + "\nm4 learner version=3.5.7", membership.Promote("m4"),
			"promote m4: m4 runs etcd 3.5.7, which can forget a promotion: with 3.6, the voter is a learner again",
			"upgrade every member to etcd 3.5.26 or later first",
		},
	} {
		c := membershiptest.New(t, s.cluster)
		op := newOperator(c, c)
		op.Approve = func([]membership.Planned) error { return errors.New("asked to approve what is unsafe") }
		_, err := op.Run(t.Context(), s.goal)
		if !errors.Is(err, fail.ErrUnsafe) || len(c.Changes()) > 0 {
			t.Errorf("%s: %v, changes %q", s.cluster, err, c.Changes())
			continue
		}
		if err.Error() != s.err || fail.Hint(err) != s.hint {
			t.Errorf("error %q\nwant  %q\nhint  %q\nwant  %q", err, s.err, fail.Hint(err), s.hint)
		}
		_, refusal := errors.AsType[*quorum.Refusal](err)
		_, hazard := errors.AsType[*membership.Hazard](err)
		if refusal == hazard && !strings.Contains(s.cluster, "nospace") {
			t.Errorf("%v has no reason for programs in it", err)
		}
	}
}

// What etcd would do on request is done when it is forced, and it is said what
// that is.
func TestForcedAndLost(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2 learner stopped")
	op := newOperator(c, c)
	op.ForceUnsafe = "a test of what happens"
	_, err := op.Run(t.Context(), membership.Promote("m2"))
	if err == nil || c.HasQuorum() {
		t.Errorf("error %v, quorum %v", err, c.HasQuorum())
	}
	op.reads(t, `
		plan: promote m2
		waiting to promote m2: promote m2: it does not answer
		doing promote m2
		warning: 2 voters can lose none, no more than 1 voter can
		warning: UNSAFE, and forced (a test of what happens): promote m2: it does not answer
		waiting to promote m2: a leader that answers
		waiting to promote m2: it was acknowledged, but its effect is not seen`)
}
