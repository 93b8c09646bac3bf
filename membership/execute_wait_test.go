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
)

// A playbook may take longer than the wait, which begins when it has ended.
func TestTheWaitBeginsAfterTheAutomation(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	op := newOperator(c, c)
	op.Wait = time.Minute
	op.OnStep = func(ctx context.Context, e membership.Event) error {
		if e.Step != membership.EventStart {
			return nil
		}
		c.After(100*time.Second, func() { c.Start("m4") })
		return c.Sleep(ctx, 90*time.Second)
	}
	if _, err := op.Run(t.Context(), membership.Add("m4", []string{url(4)}, true)); err != nil {
		t.Errorf("%v; changes %q", err, c.Changes())
	}
	clusterIs(t, c, "m1 voter leader, m2 voter, m3 voter, m4 voter")
}

// late is the client of an operator whose lock takes until the new member has started.
type late struct {
	*membershiptest.Operator
	start func()
}

func (l *late) Lock(ctx context.Context, endpoints []string, who string) (membership.Lock, error) {
	lock, err := l.Operator.Lock(ctx, endpoints, who)
	return &lateLock{lock, l}, err
}

type lateLock struct {
	membership.Lock
	client *late
}

func (l *lateLock) Held(d time.Duration) error {
	l.client.start()
	return l.Lock.Held(d)
}

// A new member that starts in the last moment is not taken out, however long it
// takes to catch up then.
func TestAMemberThatStartsInTheLastMomentStays(t *testing.T) {
	for name, s := range map[string]struct {
		catchUp time.Duration
		err     string
	}{
		"and catches up":            {time.Second, ""},
		"and does not catch up yet": {time.Hour, "wait for m4: after 1m0s, it is 100001 entries behind the leader"},
	} {
		c := membershiptest.New(t, threeVoters)
		c.CatchUp = s.catchUp
		var began time.Time
		questions := 0 // after the wait: one before the look that ends it, one by who gives up
		client := &late{c.NewOperator(), func() {
			if began.IsZero() || c.Now().Sub(began) < time.Minute {
				return
			}
			if questions++; questions == 2 {
				c.Start("m4")
			}
		}}
		op := newOperator(c, client)
		op.Wait = time.Minute
		op.OnStep = func(_ context.Context, e membership.Event) error {
			if e.Step == membership.EventStart {
				began = c.Now()
			}
			return nil
		}
		_, err := op.Run(t.Context(), membership.Add("m4", []string{url(4)}, true))
		if text := fmt.Sprint(err); slices.Contains(c.Changes(), "remove m4") || s.err == "" && err != nil || s.err != "" && text != s.err {
			t.Errorf("%s: error %v, want %s; changes %q", name, err, s.err, c.Changes())
		}
	}
}

// The replacement was promoted a moment ago and is behind. Who repeats the command
// waits for it and does not begin anew.
func TestAReplacementThatIsBehindIsNotReplaced(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3 lagging")
	c.After(6*time.Second, c.Heal)
	if _, err := newOperator(c, c).Run(t.Context(), membership.Replace("m3", "m3", nil)); err != nil || len(c.Changes()) > 0 {
		t.Errorf("error %v, changes %q", err, c.Changes())
	}
	c.Lag("m3", 5000)
	_, err := newOperator(c, c).Run(t.Context(), membership.Replace("m3", "m3", nil))
	if err == nil || !strings.HasPrefix(err.Error(), "wait for m3: after 10m0s, ") || fail.Hint(err) != "if it is to begin anew where it is, stop its etcd: then the same command replaces it" || len(c.Changes()) > 0 {
		t.Errorf("error %v, hint %q, changes %q", err, fail.Hint(err), c.Changes())
	}
}

// Force is for what does not pass. A voter that is slow for a moment is waited for.
func TestForceWaitsForWhatPasses(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3 paused")
	c.After(2*time.Second, func() { c.Resume("m3") })
	op := newOperator(c, c)
	op.ForceUnsafe = "a test of what passes"
	if _, err := op.Run(t.Context(), membership.Remove("m2")); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(op.story, "warning: UNSAFE, and forced (a test of what passes): remove m2: 2 voters would be left with 1 healthy, quorum is 2") {
		t.Errorf("it was forced:\n%s", strings.Join(op.story, "\n"))
	}
}

// An alarm that keeps the lock away refuses the step that needs one, and not those
// before it: they are the cure, or it ends meanwhile.
func TestAnAlarmStopsTheStepThatNeedsALock(t *testing.T) {
	for _, disarmed := range []bool{false, true} {
		c := membershiptest.New(t, "m1 leader\nm2\nm3 corrupt")
		c.StartsAfter = time.Second
		c.AfterChange = func(number int, _ membership.Step) error {
			if disarmed && number == 3 { // m4 votes
				return c.Disarm(t.Context(), c.Endpoints()[0], membership.Alarm{MemberID: c.ID("m3"), Type: membership.Corrupt})
			}
			return nil
		}
		_, err := newOperator(c, c).Run(t.Context(), reach(t, "m1 1, m4 4, m5 5"))
		want := []string{"remove m3", "add m4", "promote m4", "add m5", "promote m5"}
		if disarmed {
			want = append(want, "remove m2")
		} else if !errors.Is(err, fail.ErrUnsafe) || fail.Hint(err) != "cure the alarm first: etcdha alarm list says what is on" {
			t.Errorf("error %v, hint %q", err, fail.Hint(err))
		}
		if !slices.Equal(c.Changes(), want) || disarmed && err != nil {
			t.Errorf("changes %q, want %q; error %v", c.Changes(), want, err)
		}
	}
}

// hidden is the client of an operator who cannot reach one endpoint for some time.
type hidden struct {
	*membershiptest.Operator
	endpoint string
	is       bool
}

func (h *hidden) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	if h.is && endpoint == h.endpoint {
		return membership.Status{}, errors.New("no route to host")
	}
	return h.Operator.Status(ctx, endpoint)
}

// What was refused before a long wait is not refused at once after it: the doubt
// begins anew.
func TestADoubtDoesNotOutlastAWait(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3 learner")
	client := &hidden{Operator: c.NewOperator(), endpoint: "https://192.0.2.2:2379"}
	op := newOperator(c, client)
	op.Approve = func([]membership.Planned) error {
		client.is = true
		c.After(2*time.Second, func() { c.Lag("m3", 1000) })
		c.After(20*time.Second, c.Heal)
		c.After(24*time.Second, func() { client.is = false })
		return nil
	}
	if _, err := op.Run(t.Context(), membership.Add("m3", []string{url(3)}, true)); err != nil {
		t.Errorf("%v\n%s", err, strings.Join(op.story, "\n"))
	}
	if !slices.Contains(op.story, "doing heal m3") {
		t.Errorf("there was no wait:\n%s", strings.Join(op.story, "\n"))
	}
}

// stale is the client of an operator for whom one member tells of an alarm that has
// ended long ago.
type stale struct {
	*membershiptest.Operator
	endpoint string
	alarm    membership.Alarm
}

func (s *stale) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	status, err := s.Operator.Status(ctx, endpoint)
	if endpoint == s.endpoint {
		status.Alarms = append(status.Alarms, s.alarm)
	}
	return status, err
}

func TestAlarmsAreThoseOfTheLeader(t *testing.T) {
	for cluster, counts := range map[string]bool{
		"m1 leader\nm2\nm3 lagging":  false, // it has not heard of the end
		"m1 leader\nm2\nm3 ghost":    false,
		"m1 leader\nm2\nm3":          true,
		"m1 stopped\nm2 stopped\nm3": true, // nobody knows better
	} {
		c := membershiptest.New(t, cluster)
		const m3 = "https://192.0.2.3:2379"
		client := &stale{c.NewOperator(), m3, membership.Alarm{MemberID: c.ID("m1"), Type: membership.NoSpace}}
		o, err := membership.Observe(t.Context(), client, membership.ObserveOptions{Endpoints: append(c.Endpoints(), m3), Now: c.Now, Sleep: c.Sleep})
		if err != nil || (len(o.Alarms) > 0) != counts {
			t.Errorf("%s: error %v, alarms %v", cluster, err, o.Alarms)
		}
	}
}
