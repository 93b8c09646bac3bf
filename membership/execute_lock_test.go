package membership_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

func TestTwoOperators(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	other := c.NewOperator()
	lock, err := other.Lock(t.Context(), c.Endpoints(), "ops@bastion pid 42")
	if err != nil {
		t.Fatal(err)
	}
	since := c.Now()
	op := newOperator(c, c)
	_, err = op.Run(t.Context(), membership.Remove("m3"))
	locked, is := errors.AsType[*membership.LockedError](err)
	if !is || locked.Who != "ops@bastion pid 42" || !locked.Since.Equal(since) || len(c.Changes()) > 0 {
		t.Errorf("error %v, changes %q", err, c.Changes())
	}
	if waited := c.Now().Sub(since); waited < membership.LockWait || waited > membership.LockWait+5*time.Second {
		t.Errorf("it waited %s", waited)
	}
	op.reads(t, `
		plan: remove m3
		waiting to remove m3: ops@bastion pid 42 is changing the membership, since 2026-11-21T03:00:00Z`)

	c.After(5*time.Second, func() { _ = lock.Release(t.Context()) })
	if _, err := newOperator(c, c).Run(t.Context(), membership.Remove("m3")); err != nil {
		t.Errorf("after the other: %v", err)
	}
}

func TestTheLockOfTheDeadEndsByItself(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	other := c.NewOperator()
	if _, err := other.Lock(t.Context(), c.Endpoints(), "another"); err != nil {
		t.Fatal(err)
	}
	other.Crash()
	c.After(5*time.Second, func() { c.Stop("m1") }) // the new leader extends the lease
	if _, err := newOperator(c, c).Run(t.Context(), membership.Remove("m1")); err != nil {
		t.Fatal(err)
	}
	clusterIs(t, c, "m2 voter leader, m3 voter")
}

// What somebody else does between two steps is seen, and the plan is another.
func TestSomebodyElseActsInBetween(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	c.StartsAfter = 2 * time.Second
	other := c.NewOperator()
	op := newOperator(c, c)
	c.AfterChange = func(number int, _ membership.Step) error {
		if number == 1 { // what etcdctl does, which takes no lock
			step := membership.Step{PeerURLs: []string{url(2)}, Name: "m2"}
			step.Kind, step.ID = "remove", c.ID("m2")
			c.After(5*time.Second, func() { _ = other.Change(t.Context(), c.Endpoints()[0], step) })
		}
		return nil
	}
	approvals := 0
	op.Approve = func([]membership.Planned) error { approvals++; return nil }
	if _, err := op.Run(t.Context(), reach(t, "m1 1, m2 2, m4 4")); err != nil {
		t.Fatal(err)
	}
	clusterIs(t, c, "m1 voter leader, m2 voter, m4 voter")
	if approvals != 1 {
		t.Errorf("asked %d times, though nobody else is taken out than was approved", approvals)
	}
}

func TestASecondRemovalIsApprovedAnew(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	c.StartsAfter = 2 * time.Second
	op := newOperator(c, c)
	var asked []string
	op.Approve = func(plan []membership.Planned) error {
		var steps []membership.Step
		for _, p := range plan {
			steps = append(steps, p.Step)
		}
		asked = append(asked, words(steps))
		if len(asked) == 1 {
			return nil
		}
		return errors.New("no")
	}
	c.AfterChange = func(number int, _ membership.Step) error {
		if number != 2 { // m4 votes
			return nil
		}
		step := membership.Step{Name: "m9", PeerURLs: []string{url(9)}}
		step.Kind = "add"
		return c.NewOperator().Change(t.Context(), c.Endpoints()[0], step)
	}
	_, err := op.Run(t.Context(), reach(t, "m1 1, m2 2, m3 3, m4 4, m5 5"))
	if err == nil || err.Error() != "no" {
		t.Errorf("error %v", err)
	}
	if len(asked) != 2 || !strings.HasPrefix(asked[1], fmt.Sprintf("remove %s, add m5", c.ID("m9"))) {
		t.Errorf("asked for %q", asked)
	}
}

func TestAnAlarmKeepsNoCureOut(t *testing.T) {
	for _, s := range []struct {
		cluster string
		goal    membership.Goal
		err     string
	}{
		{"m1 leader nospace\nm2\nm3 paused", membership.Replace("m3", "m4", []string{url(4)}), ""},
		{"m1 leader\nm2\nm3 corrupt", membership.Replace("m3", "m4", []string{url(4)}), ""},
		{"m1 leader corrupt\nm2\nm3", membership.Replace("m1", "m4", []string{url(4)}), ""},
		{"m1 leader nospace\nm2\nm3", membership.MoveLeader("m3"), ""},
		{"m1 leader nospace\nm2\nm3", membership.Remove("m3"), "remove m3: an alarm is on, so that etcd cannot keep other operators out meanwhile"},
	} {
		c := membershiptest.New(t, s.cluster)
		c.StartsAfter = time.Second
		_, err := newOperator(c, c).Run(t.Context(), s.goal)
		if text := fmt.Sprint(err); s.err == "" && err != nil || s.err != "" && (text != s.err || !errors.Is(err, fail.ErrUnsafe) || len(c.Changes()) > 0) {
			t.Errorf("%s: error %v, changes %q", s.cluster, err, c.Changes())
		}
	}
}

func TestAnInterruptedRunLeavesNoLock(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	ctx, cancel := context.WithCancel(t.Context())
	c.After(3*time.Second, cancel)
	_, err := newOperator(c, c).Run(ctx, membership.Replace("m3", "m4", []string{url(4)}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := c.NewOperator().Lock(t.Context(), c.Endpoints(), "another"); err != nil {
		t.Errorf("the next operator: %v", err)
	}
}

// fickle gives locks that are lost: each holds for so many questions.
type fickle struct {
	*membershiptest.Operator
	holds   []int // of each lock; no more locks when there are none left
	current *fickleLock
	locks   int
	unheld  bool // a change was asked for without a lock
}

type fickleLock struct {
	membership.Lock
	left int
	held bool // at the last question
}

func (l *fickleLock) Held(d time.Duration) error {
	if l.held = l.left > 0; !l.held {
		return membership.ErrLockLost
	}
	l.left--
	return l.Lock.Held(d)
}

func (f *fickle) Lock(ctx context.Context, endpoints []string, who string) (membership.Lock, error) {
	if f.locks == len(f.holds) {
		return nil, fmt.Errorf("grant lease: %w", membership.ErrAlarmed)
	}
	lock, err := f.Operator.Lock(ctx, endpoints, who)
	f.current = &fickleLock{Lock: lock, left: f.holds[f.locks]}
	f.locks++
	return f.current, err
}

func (f *fickle) Change(ctx context.Context, endpoint string, step membership.Step) error {
	f.unheld = f.unheld || f.current != nil && !f.current.held
	return f.Operator.Change(ctx, endpoint, step)
}

func TestALostLockIsTakenAnewBeforeAnythingIsDone(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	client := &fickle{Operator: c.NewOperator(), holds: []int{0, 1, 2}}
	if _, err := newOperator(c, client).Run(t.Context(), membership.Remove("m1")); err != nil {
		t.Fatal(err)
	}
	if client.unheld || client.locks != 3 {
		t.Errorf("changes without a lock: %v; %d locks", client.unheld, client.locks)
	}
	clusterIs(t, c, "m2 voter leader, m3 voter")
}

// The alarm may be so new that nobody has seen it: the lock is what tells.
func TestNoLockForAnAlarmThatIsNotSeen(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	_, err := newOperator(c, &fickle{Operator: c.NewOperator()}).Run(t.Context(), membership.Remove("m3"))
	if !errors.Is(err, fail.ErrUnsafe) || fail.Hint(err) != "cure the alarm first: etcdha alarm list says what is on" || len(c.Changes()) > 0 {
		t.Errorf("error %v, hint %q, changes %q", err, fail.Hint(err), c.Changes())
	}
	_, err = newOperator(c, &fickle{Operator: c.NewOperator()}).Run(t.Context(), membership.MoveLeader("m3"))
	if err != nil {
		t.Errorf("what needs no lock: %v", err)
	}
}
