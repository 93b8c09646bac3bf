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

// hosts are the kube-apiservers of a test. Each follows a while after it has been told.
type hosts struct {
	c       *membershiptest.Cluster
	follows map[string]time.Duration // host: how long after it was told; 0: never
	types   []string                 // what the operator has to type
	fails   []error                  // of the next calls
	takes   time.Duration            // that the next call takes

	told  time.Time
	marks []string // of members that are withdrawn now
	log   []string
}

func (h *hosts) Withdraw(ctx context.Context, clusterID uint64, members []membership.Listed) error {
	if clusterID != 0xcdf818194e3a8c32 {
		return fmt.Errorf("cluster %x", clusterID)
	}
	if h.takes > 0 {
		_ = h.c.Sleep(ctx, h.takes)
		h.takes = 0
	}
	if len(h.fails) > 0 {
		err := h.fails[0]
		h.fails = h.fails[1:]
		if err != nil {
			return err
		}
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Label())
	}
	if slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(h.marks, name) }) {
		h.marks, h.told = names, h.c.Now()
		h.log = append(h.log, "withdraw "+strings.Join(names, " "))
	}
	used := &membership.StillUsed{Members: names, Type: h.types}
	for host, after := range h.follows {
		if after == 0 || h.c.Now().Sub(h.told) < after {
			used.Hosts = append(used.Hosts, host)
		}
	}
	if len(used.Hosts) == 0 {
		return nil
	}
	slices.Sort(used.Hosts)
	return used
}

func (h *hosts) Readmit(ctx context.Context, ids []quorum.ID) error {
	var names []string
	for _, id := range ids {
		name := id.String()
		for _, m := range h.marks {
			if h.c.ID(m) == id {
				name = m
			}
		}
		names = append(names, name)
	}
	h.log = append(h.log, "readmit "+strings.Join(names, " "))
	return ctx.Err()
}

func TestApiserversFirst(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 20 * time.Second, "cp-2": 50 * time.Second}}
	op := newOperator(c, c)
	op.Apiservers = h
	c.BeforeChange = func(int, membership.Step) error {
		if since := c.Now().Sub(h.told); since < 50*time.Second {
			t.Errorf("the member was removed %s after the apiservers were told", since)
		}
		if err := lockedBySomebody(c); err == nil {
			t.Error("nobody holds the lock")
		}
		return nil
	}
	if _, err := op.Run(t.Context(), membership.Remove("m3")); err != nil {
		t.Fatal(err)
	}
	op.reads(t, `
		plan: remove m3
		waiting to remove m3: m3 may still be used by the kube-apiservers of cp-1, cp-2
		waiting to remove m3: m3 may still be used by the kube-apiservers of cp-2
		doing remove m3
		warning: 2 voters can lose none, no more than 1 voter can
		done remove m3: 2 voters, 2 healthy, quorum 2: can lose none`)
	h.reads(t, "withdraw m3", "readmit m3")
}

// lockedBySomebody is an error if somebody holds the lock.
func lockedBySomebody(c *membershiptest.Cluster) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lock, err := c.NewOperator().Lock(ctx, c.Endpoints(), "a test")
	if err == nil {
		_ = lock.Release(ctx)
	}
	return err
}

func (h *hosts) reads(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(h.log, want) {
		t.Errorf("the apiservers were told %q, want %q", h.log, want)
	}
}

// Members that go one after the other are withdrawn together, so that apiservers
// restart once; that comes after new members have come.
func TestMembersThatGoTogetherAreWithdrawnTogether(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	c.StartsAfter = time.Second
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 10 * time.Second}}
	op := newOperator(c, c)
	op.Apiservers = h
	c.AfterChange = func(int, membership.Step) error { h.log = append(h.log, c.Changes()[len(c.Changes())-1]); return nil }
	if _, err := op.Run(t.Context(), reach(t, "m4 4, m5 5")); err != nil {
		t.Fatal(err)
	}
	h.reads(t, "add m4", "promote m4", "add m5", "promote m5",
		"withdraw m2 m3 m1", "remove m2", "readmit m2", "remove m3", "readmit m3", "move-leader m4", "remove m1", "readmit m1")
}

// A dead member that is replaced is withdrawn before anything else.
func TestADeadMemberIsWithdrawn(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3 stopped")
	c.StartsAfter = time.Second
	h := &hosts{c: c}
	op := newOperator(c, c)
	op.Apiservers = h
	if _, err := op.Run(t.Context(), membership.Replace("m3", "m4", []string{url(4)})); err != nil {
		t.Fatal(err)
	}
	h.reads(t, "withdraw m3", "readmit m3")
}

// What has never started is used by nobody.
func TestAMemberThatNeverStartedIsNotWithdrawn(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3\nm4 learner never-started")
	h := &hosts{c: c}
	op := newOperator(c, c)
	op.Apiservers = h
	if _, err := op.Run(t.Context(), membership.Remove(c.ID("m4").String())); err != nil {
		t.Fatal(err)
	}
	clusterIs(t, c, "m1 voter leader, m2 voter, m3 voter")
	h.reads(t)
}

func TestAnApiserverThatDoesNotFollow(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	h := &hosts{
		c: c, follows: map[string]time.Duration{"cp-1": 40 * time.Second, "192.0.2.22": 0},
		types: []string{"on 192.0.2.22: etcdha apiserver rewire --from-members"},
	}
	op := newOperator(c, c)
	op.Apiservers, op.Wait = h, time.Minute
	began := c.Now()
	_, err := op.Run(t.Context(), membership.Remove("m3"))
	used, is := errors.AsType[*membership.StillUsed](err)
	if !is || !slices.Equal(used.Hosts, []string{"192.0.2.22"}) || errors.Is(err, fail.ErrUnsafe) ||
		err.Error() != "remove m3: after 1m0s, m3 may still be used by the kube-apiservers of 192.0.2.22" {
		t.Errorf("error %v", err)
	}
	if hint := fail.Hint(err); hint != "repeat the command, and while it waits, on 192.0.2.22: etcdha apiserver rewire --from-members" {
		t.Errorf("hint %q", hint)
	}
	// A minute after the last that has followed, not after the first was asked.
	if took := c.Now().Sub(began); took < 100*time.Second || took > 110*time.Second {
		t.Errorf("it took %s", took)
	}
	op.story = strings.Split(strings.Join(op.story, "\n"), "\n")
	op.reads(t, `
		plan: remove m3
		waiting to remove m3: m3 may still be used by the kube-apiservers of 192.0.2.22, cp-1
		on 192.0.2.22: etcdha apiserver rewire --from-members
		waiting to remove m3: m3 may still be used by the kube-apiservers of 192.0.2.22
		on 192.0.2.22: etcdha apiserver rewire --from-members`)
	h.reads(t, "withdraw m3", "readmit m3")
	clusterIs(t, c, "m1 voter leader, m2 voter, m3 voter")
	if err := lockedBySomebody(c); err != nil {
		t.Errorf("the lock is not released: %v", err)
	}
}

// Who gives up waiting leaves no mark behind.
func TestInterruptedWhileApiserversFollow(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 0}}
	op := newOperator(c, c)
	op.Apiservers = h
	ctx, interrupt := context.WithCancel(t.Context())
	c.After(10*time.Second, interrupt)
	if _, err := op.Run(ctx, membership.Remove("m3")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	h.reads(t, "withdraw m3", "readmit m3")
}

// While apiservers follow, another member dies. The removal that was safe is not.
func TestQuorumIsJudgedAgainAfterTheWait(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 30 * time.Second}}
	op := newOperator(c, c)
	op.Apiservers = h
	c.After(20*time.Second, func() { c.Stop("m2") })
	_, err := op.Run(t.Context(), membership.Remove("m3"))
	if _, is := errors.AsType[*quorum.Refusal](err); !is || !errors.Is(err, fail.ErrUnsafe) {
		t.Errorf("error %v", err)
	}
	h.reads(t, "withdraw m3", "readmit m3")
	clusterIs(t, c, "m1 voter leader, m2 voter stopped, m3 voter")
}

// --force-unsafe is about quorum.
func TestForceDoesNotSkipApiservers(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3 stopped")
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 0}}
	op := newOperator(c, c)
	op.Apiservers, op.ForceUnsafe = h, "the machines go anyway"
	_, err := op.Run(t.Context(), membership.Remove("m2"))
	if _, is := errors.AsType[*membership.StillUsed](err); !is || len(c.Changes()) > 0 {
		t.Errorf("error %v, changes %q", err, c.Changes())
	}
}

func TestApiserversCannotBeAsked(t *testing.T) {
	passing, unsafe := errors.New("no answer in time"), fail.Unsafef("it is encrypted at rest")
	for name, s := range map[string]struct {
		fails []error
		want  error
	}{
		"it passes":          {fails: []error{passing, passing, nil}},
		"it lasts":           {fails: []error{passing, passing, passing}, want: passing},
		"it will never pass": {fails: []error{unsafe}, want: unsafe},
	} {
		c := membershiptest.New(t, threeVoters)
		h := &hosts{c: c, fails: s.fails}
		op := newOperator(c, c)
		op.Apiservers = h
		_, err := op.Run(t.Context(), membership.Remove("m3"))
		if s.want == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, s.want) || len(c.Changes()) > 0 || !strings.HasPrefix(err.Error(), "withdraw m3 from the kube-apiservers: ") {
			t.Errorf("%s: error %v, changes %q", name, err, c.Changes())
		}
	}
}
