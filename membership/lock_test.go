package membership_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/membership"
)

// Two operators: the second is told who acts and since when, and can act when
// the first has come to an end.
func TestRealLock(t *testing.T) {
	t.Parallel()
	c, first := startCluster(t, 3, 0)
	second := connect(t, c.Config())
	endpoints := c.Config().Endpoints
	begin := time.Now().Add(-time.Second)
	lock, err := first.Lock(t.Context(), endpoints[:1], "admin@cp1, process 42")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Held(membership.LockTTL / 2); err != nil {
		t.Errorf("a new lock: %v", err)
	}
	if err := lock.Held(membership.LockTTL); !errors.Is(err, membership.ErrLockLost) {
		t.Errorf("for longer than its lease: %v, want %v", err, membership.ErrLockLost)
	}
	_, err = second.Lock(t.Context(), endpoints, "admin@cp2")
	locked, ok := errors.AsType[*membership.LockedError](err)
	if !ok || locked.Who != "admin@cp1, process 42" || locked.Since.Before(begin) || locked.Since.After(time.Now()) {
		t.Errorf("the second is told %v", err)
	}
	value, err := dial(t, c.Config(), endpoints[0]).Get(t.Context(), membership.LockKey)
	if err != nil || len(value.Kvs) != 1 || !strings.HasPrefix(string(value.Kvs[0].Value), `{"who":"admin@cp1, process 42","since":"`) {
		t.Errorf("the key holds %v, %v", value, err)
	}

	// It was taken through one member only. That one goes, and the lock stays.
	until(t, "a renewal", func() bool { return lock.Held(membership.LockTTL-time.Second) == nil })
	until(t, "time to pass", func() bool { return lock.Held(membership.LockTTL-2*time.Second) != nil })
	until(t, "one more renewal, after which it knows the others", func() bool { return lock.Held(membership.LockTTL-time.Second) == nil })
	c.KillMember(c.Members[0])
	until(t, "time to pass", func() bool { return lock.Held(membership.LockTTL-2*time.Second) != nil })
	until(t, "a renewal through another member", func() bool { return lock.Held(membership.LockTTL-time.Second) == nil })
	if _, err := second.Lock(t.Context(), endpoints, "admin@cp2"); !errors.As(err, &locked) {
		t.Errorf("the second is told %v", err)
	}

	if err := lock.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
	if err := lock.Held(0); !errors.Is(err, membership.ErrLockLost) {
		t.Errorf("after the release: %v, want %v", err, membership.ErrLockLost)
	}
	lock, err = second.Lock(t.Context(), endpoints, "admin@cp2")
	if err != nil {
		t.Fatalf("the second, then: %v", err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
}

// Who is killed keeps others out until the lease ends, and no longer. Before
// that, it knows that it may have lost the lock.
func TestRealLockOfAKilledHolder(t *testing.T) {
	t.Parallel()
	c, client := startCluster(t, 1, 0)
	endpoints := c.Config().Endpoints
	killed, kill := context.WithCancel(t.Context())
	lock, err := client.Lock(killed, endpoints, "killed")
	if err != nil {
		t.Fatal(err)
	}
	kill()
	began := time.Now()
	var next membership.Lock
	until(t, "the lease to end", func() bool {
		held := lock.Held(0) == nil
		next, err = client.Lock(t.Context(), endpoints, "next")
		if err == nil && held && lock.Held(0) == nil {
			t.Error("two hold the lock at once")
		}
		return err == nil
	})
	if took := time.Since(began); took < membership.LockTTL/2 || took > membership.LockWait {
		t.Errorf("that took %s", took)
	}
	if err := next.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without quorum there is no lock, and no long wait for one.
func TestRealLockWithoutQuorum(t *testing.T) {
	t.Parallel()
	c, client := startCluster(t, 2, 0)
	c.KillMember(c.Members[1])
	began := time.Now()
	_, err := client.Lock(t.Context(), c.Config().Endpoints, "one")
	if err == nil || !strings.Contains(err.Error(), c.Members[0].ClientURL+": ") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v; want what each endpoint says", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
}

// An apiserver restarts for minutes. Who comes next waits, is told for whom, and gets
// the lock then; locks of other things are free meanwhile.
func TestRealLockThatIsWaitedFor(t *testing.T) {
	t.Parallel()
	const key = "etcdha/apiserver"
	c, first := startCluster(t, 1, 0)
	second := connect(t, c.Config())
	endpoints := c.Config().Endpoints
	of := func(who string) membership.LockOptions {
		return membership.LockOptions{Key: key, Endpoints: endpoints, Who: who, TTL: membership.LockTTL}
	}
	none := func(l *membership.LockedError) { t.Errorf("it waits for %v", l) }
	lock, err := first.WaitLock(t.Context(), of("cp-1"), none)
	if err != nil {
		t.Fatal(err)
	}
	other, err := second.Lock(t.Context(), endpoints, "admin@cp1")
	if err != nil {
		t.Errorf("the lock of the membership: %v", err)
	} else if err := other.Release(t.Context()); err != nil {
		t.Error(err)
	}

	// In time, nobody releases it.
	brief, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = second.WaitLock(brief, of("cp-2"), func(*membership.LockedError) {})
	if locked, is := errors.AsType[*membership.LockedError](err); !is || locked.Who != "cp-1" || !strings.HasPrefix(err.Error(), "lock etcdha/apiserver: cp-1 holds etcdha/apiserver, since ") {
		t.Errorf("in time: %v", err)
	}

	looks := 0
	waiting, end := context.WithCancel(t.Context())
	next, err := second.WaitLock(waiting, of("cp-2"), func(locked *membership.LockedError) {
		if looks++; locked.Who != "cp-1" {
			t.Errorf("it waits for %v", locked)
		}
		if looks == 2 {
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || looks != 2 {
		t.Fatalf("after %d looks: %v", looks, err)
	}
	// What was begun may have to be undone after the end of ctx: the lock stays.
	end()
	until(t, "time to pass", func() bool { return next.Held(membership.LockTTL-2*time.Second) != nil })
	until(t, "a renewal", func() bool { return next.Held(membership.LockTTL-time.Second) == nil })
	if err := next.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// A host that comes back goes on at once: what it has left behind keeps others out
// for as long as its apiserver may still restart, and not itself. A lock that a
// backup has brought along is nobody's.
func TestRealLockOfADeadOwner(t *testing.T) {
	t.Parallel()
	c, client := startCluster(t, 1, 0)
	of := func(who, owner string) membership.LockOptions {
		return membership.LockOptions{Key: "etcdha/apiserver", Endpoints: c.Config().Endpoints, Who: who, Owner: owner, TTL: time.Hour}
	}
	killed, kill := context.WithCancel(t.Context())
	left, err := client.LockAt(killed, of("killed", "cp-1's"))
	if err != nil {
		t.Fatal(err)
	}
	kill()
	if err := left.Held(membership.LockTTL); err != nil {
		t.Errorf("a long lease: %v", err)
	}
	for who, owner := range map[string]string{"another host": "cp-2's", "nobody's": ""} {
		if _, err := client.LockAt(t.Context(), of(who, owner)); err == nil || !strings.Contains(err.Error(), "killed holds") {
			t.Errorf("%s: %v", who, err)
		}
	}
	again, err := client.LockAt(t.Context(), of("again", "cp-1's"))
	if err != nil {
		t.Fatalf("the same owner: %v", err)
	}
	if err := again.Release(t.Context()); err != nil {
		t.Error(err)
	}

	etcd := dial(t, c.Config(), c.Config().Endpoints[0])
	if _, err := etcd.Put(t.Context(), "etcdha/apiserver", `{"who":"cp-3","since":"2026-03-01T12:00:00Z","clusterID":7}`); err != nil {
		t.Fatal(err)
	}
	if _, err := client.LockAt(t.Context(), of("after a restore", "cp-2's")); err == nil {
		t.Error("a key that no lease ends was taken over")
	}
	lease, err := etcd.Grant(t.Context(), 3600)
	if err == nil {
		_, err = etcd.Put(t.Context(), "etcdha/apiserver", `{"who":"cp-3","since":"2026-03-01T12:00:00Z","clusterID":7}`, clientv3.WithLease(lease.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
	restored, err := client.LockAt(t.Context(), of("after a restore", "cp-2's"))
	if err != nil {
		t.Fatalf("the lock of another cluster: %v", err)
	}
	if err := restored.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
