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

// defragment runs a defragmentation and returns what was told meanwhile.
func defragment(t *testing.T, c *membershiptest.Cluster) (string, error) {
	t.Helper()
	var told []string
	err := membership.Defrag(t.Context(), membership.DefragOptions{
		Client: c, Observe: lookAt(c), Who: "an operator",
		Progress: func(p membership.DefragProgress) {
			switch {
			case p.Warning != "":
				told = append(told, p.Warning)
			case p.Done:
				told = append(told, fmt.Sprintf("%s %d -> %d MiB", p.Member, p.Before>>20, p.After>>20))
			case p.Leader:
				told = append(told, p.Member+" led")
			}
		},
	})
	return strings.Join(told, ", "), err
}

// Who may not act any more takes nobody out of service, and moves no leader.
func TestDefragEndsWhenItMayNotAct(t *testing.T) {
	cluster := membershiptest.New(t, "m1 leader\nm2\nm3")
	passive, asked := errors.New("another one may be active"), 0
	err := membership.Defrag(t.Context(), membership.DefragOptions{
		Client: cluster, Observe: lookAt(cluster), Who: "an operator", Progress: func(membership.DefragProgress) {},
		MayAct: func() error {
			if asked++; asked > 2 {
				return passive
			}
			return nil
		},
	})
	if !errors.Is(err, passive) {
		t.Errorf("error %v", err)
	}
	if done := strings.Join(cluster.Changes(), ", "); done != "defragment m2, defragment m3" {
		t.Errorf("done: %s", done)
	}
}

// The lead is not moved by whoever may not act any more, however long the move takes: it is
// asked before each attempt.
func TestTheLeadIsMovedOnlyByWhoMayAct(t *testing.T) {
	cluster := membershiptest.New(t, "m1 leader\nm2\nm3")
	refusing := &refusingMoves{Cluster: cluster}
	passive := errors.New("another one may be active")
	err := membership.Defrag(t.Context(), membership.DefragOptions{
		Client: refusing, Observe: lookAt(cluster), Who: "an operator", Progress: func(membership.DefragProgress) {},
		MayAct: func() error {
			if refusing.tries > 0 {
				return passive
			}
			return nil
		},
	})
	if !errors.Is(err, passive) || refusing.tries != 1 {
		t.Errorf("%d tries, error %v", refusing.tries, err)
	}
}

// refusingMoves is a cluster in which a change of the leader fails.
type refusingMoves struct {
	*membershiptest.Cluster
	tries int
}

func (r *refusingMoves) Change(context.Context, string, membership.Step) error {
	r.tries++
	return errors.New("etcdserver: request timed out")
}

func TestDefrag(t *testing.T) {
	for _, c := range []struct {
		name, cluster, told string
		done                string // by the cluster
		refused             string
	}{
		{"the leader comes last", "m1 leader\nm2 latency=9ms\nm3", "m2 24 -> 18 MiB, m3 24 -> 18 MiB, m1 led, m1 24 -> 18 MiB",
			"defragment m2, defragment m3, move-leader m3, defragment m1", ""},
		{"one that is alone", "m1", "m1 is the only voter: nothing is served while it is rewritten, m1 24 -> 18 MiB", "defragment m1", ""},
		{"a learner is left out", "m1 leader\nm2\nm3\nm4 learner", "m4 is a learner, which etcd does not defragment, m2 24 -> 18 MiB, m3 24 -> 18 MiB, m1 led, m1 24 -> 18 MiB",
			"defragment m2, defragment m3, move-leader m2, defragment m1", ""},
		{"a full db needs no lock", "m1 leader nospace\nm2\nm3", "an alarm is on, so that etcd cannot keep other operators out meanwhile: see that there are none, m2 24 -> 18 MiB, m3 24 -> 18 MiB, m1 led, m1 24 -> 18 MiB",
			"defragment m2, defragment m3, move-leader m2, defragment m1", ""},
		{"somebody is down", "m1 leader\nm2\nm3\nm4\nm5 stopped", "", "", "defragment: m5 is not healthy, so that m2 must not stop serving"},
		{"it is down itself", "m1 stopped\nm2 leader\nm3", "", "", "defragment: m1 is not healthy, so that m3 must not stop serving"},
		{"one of three is down, and the db is full", "m1 leader nospace\nm2\nm3 stopped",
			"m3 is not defragmented: it is not healthy (down), without m2 there is no quorum: nothing is served while it is rewritten; nothing is written anyway while the db is full, " +
				"an alarm is on, so that etcd cannot keep other operators out meanwhile: see that there are none, m2 24 -> 18 MiB, " +
				"without m1 there is no quorum: nothing is served while it is rewritten; nothing is written anyway while the db is full, m1 led, m1 24 -> 18 MiB",
			"defragment m2, move-leader m2, defragment m1", ""},
		{"two cannot miss one", "m1 leader\nm2", "", "", "defragment: without m2 there is no quorum: 2 voters, 1 healthy, quorum 2: quorum is lost, 1 more needed"},
		{"quorum is lost", "m1 stopped\nm2 stopped\nm3", "", "", "defragment: no leader answers, so that nobody must stop serving"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := membershiptest.New(t, c.cluster)
			told, err := defragment(t, cluster)
			if told != c.told && c.refused == "" {
				t.Errorf("told: %s\nwant: %s", told, c.told)
			}
			if done := strings.Join(cluster.Changes(), ", "); done != c.done {
				t.Errorf("done: %s\nwant: %s", done, c.done)
			}
			switch {
			case c.refused == "" && err != nil:
				t.Error(err)
			case c.refused != "" && (!errors.Is(err, fail.ErrUnsafe) || err.Error() != c.refused || fail.Hint(err) == ""):
				t.Errorf("%v (hint: %s), want %s", err, fail.Hint(err), c.refused)
			}
		})
	}
}

// Another member fails in the middle: nobody else stops serving then.
func TestDefragLooksAgain(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3\nm4\nm5")
	failing := &failing{Cluster: c, after: "m2", fails: "m5"}
	err := membership.Defrag(t.Context(), membership.DefragOptions{
		Client: c, Observe: lookAt(c), Who: "an operator", Progress: failing.progress,
	})
	if !errors.Is(err, fail.ErrUnsafe) || err.Error() != "defragment: m5 is not healthy, so that m3 must not stop serving" {
		t.Errorf("%v", err)
	}
	if done := strings.Join(c.Changes(), ", "); done != "defragment m2" {
		t.Errorf("done: %s", done)
	}
}

type failing struct {
	*membershiptest.Cluster
	after, fails string
}

func (f *failing) progress(p membership.DefragProgress) {
	if p.Done && p.Member == f.after {
		f.Stop(f.fails)
	}
}

// While somebody changes the membership, nobody defragments.
func TestDefragKeepsOthersOut(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3")
	other, err := c.NewOperator().Lock(t.Context(), c.Endpoints(), "admin@cp2")
	if err != nil {
		t.Fatal(err)
	}
	began := c.Now()
	told, err := defragment(t, c)
	if _, ok := errors.AsType[*membership.LockedError](err); !ok || len(c.Changes()) > 0 {
		t.Errorf("%v; done: %v", err, c.Changes())
	}
	if want := "waiting: admin@cp2 is changing the membership, since 2026-11-21T03:00:00Z"; told != want {
		t.Errorf("told: %s\nwant: %s", told, want)
	}
	if waited := c.Now().Sub(began); waited < membership.LockWait || waited > membership.LockWait+5*time.Second {
		t.Errorf("waited %s, want %s", waited, membership.LockWait)
	}
	if err := other.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := defragment(t, c); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A member that was rewritten has writes to catch up with. That is waited for,
// and no reason to stop half way.
func TestDefragWaitsForWhatItHasRewritten(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3")
	behind := &behindAfter{Cluster: c, who: "m2"}
	err := membership.Defrag(t.Context(), membership.DefragOptions{
		Client: c, Observe: lookAt(c), Who: "an operator", Progress: behind.progress,
	})
	if err != nil {
		t.Error(err)
	}
	if done := strings.Join(c.Changes(), ", "); done != "defragment m2, defragment m3, move-leader m2, defragment m1" {
		t.Errorf("done: %s", done)
	}
	if !behind.waited {
		t.Error("m2 was not waited for")
	}
}

// behindAfter has a member lag for a while after it was rewritten.
type behindAfter struct {
	*membershiptest.Cluster
	who    string
	waited bool
}

func (b *behindAfter) progress(p membership.DefragProgress) {
	if p.Done && p.Member == b.who {
		b.Lag(b.who, 500)
		b.After(12*time.Second, b.Heal)
	}
	b.waited = b.waited || p.Warning == "waiting: m2 is catching up"
}

// What the lock allows ends with it: it is looked at right before a member stops
// serving, and taken anew if it may be lost.
func TestDefragOnlyUnderTheLock(t *testing.T) {
	c := &losingLock{Cluster: membershiptest.New(t, "m1")}
	err := membership.Defrag(t.Context(), membership.DefragOptions{
		Client: c, Observe: lookAt(c.Cluster), Who: "an operator", Progress: func(membership.DefragProgress) {},
	})
	if err != nil || c.locked != 2 {
		t.Errorf("%v; locked %d times, want 2", err, c.locked)
	}
}

// losingLock gives a lock first that is lost at once.
type losingLock struct {
	*membershiptest.Cluster
	locked int
}

func (l *losingLock) Lock(ctx context.Context, endpoints []string, who string) (membership.Lock, error) {
	lock, err := l.Cluster.Lock(ctx, endpoints, who)
	if l.locked++; l.locked == 1 && err == nil {
		return lostLock{lock}, nil
	}
	return lock, err
}

func (l *losingLock) Defragment(ctx context.Context, endpoint string) error {
	if l.locked < 2 {
		return errors.New("defragmented under a lock that was lost")
	}
	return l.Cluster.Defragment(ctx, endpoint)
}

type lostLock struct{ membership.Lock }

func (lostLock) Held(time.Duration) error { return membership.ErrLockLost }
