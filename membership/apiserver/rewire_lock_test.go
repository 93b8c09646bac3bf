package apiserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

var errAnotherList = errors.New("another list is the right one")

// What the members say under the lock decides: it was another moment when the list
// was chosen.
func TestTheMembersDecideUnderTheLock(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(n *node, s *Site)
		want    string
		kind    error
	}{
		"the lock is that of another etcd": {func(n *node, _ *Site) { n.LockedIn = 0xc7 },
			"the lock is of cluster c7, and the servers are of c1", fail.ErrUnsafe},
		"an addition was withdrawn": {func(n *node, _ *Site) { n.Withdrawn = five[4:] },
			"10.0.0.5 is withdrawn", fail.ErrUnsafe},
		"another list is right by now": {func(_ *node, s *Site) {
			s.Recheck = func(m *Membership) error {
				if len(m.Members) != len(five) {
					t.Errorf("it is shown %+v", m)
				}
				return errAnotherList
			}
		}, "another list", errAnotherList},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, three)
			s := n.site()
			n.point = func(n *node, point string) {
				if point == "locked" {
					c.trouble(n, s)
				}
			}
			changed := *s
			changed.Recheck = func(m *Membership) error {
				if s.Recheck == nil {
					return nil
				}
				return s.Recheck(m)
			}
			err := changed.Rewire(t.Context(), n.file(), five)
			if !errors.Is(err, c.kind) || err == nil || err.Error() != c.want && !strings.HasPrefix(err.Error(), c.want) || errors.Is(err, ErrTakenBack) {
				t.Errorf("%v", err)
			}
			n.wantFile(three)
			n.wantNothingLeft()
			if n.Restarts != 0 || n.Locked != "" {
				t.Errorf("%d restarts, locked by %q", n.Restarts, n.Locked)
			}
		})
	}

	// What is in the list already, and is going to leave, is no reason to do nothing.
	n := newNode(t, three)
	n.Withdrawn = three[:1]
	if err := n.site().Rewire(t.Context(), n.file(), five); err != nil {
		t.Error(err)
	}
	n.wantServing(five)
}

// Trying finds what rewiring would be refused for, and changes nothing.
func TestTry(t *testing.T) {
	for want, trouble := range map[string]func(n *node){
		"":                              func(*node) {},
		"10.0.0.5 is withdrawn":         func(n *node) { n.Withdrawn = five[4:] },
		"no other apiserver is ready":   func(n *node) { n.DownOther = true },
		"refuses this client":           func(n *node) { n.BadCert = five[3:] },
		"the lock is of cluster c7":     func(n *node) { n.LockedIn = 0xc7 },
		"has changed since it was read": func(n *node) { n.rewrite(five[:4]) },
	} {
		n := newNode(t, three)
		f := n.file()
		trouble(n)
		n.point = func(_ *node, point string) {
			if strings.HasPrefix(point, "lock") {
				t.Error("it locks")
			}
		}
		err := n.site().Try(t.Context(), f, five)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := os.Stat(n.copies()); err == nil || n.Restarts != 0 {
			t.Errorf("%v, %d restarts", err, n.Restarts)
		}
	}
}

// Of failures, those that may have cost a restart can be told from the others.
func TestWhetherTheApiserverMayHaveRestarted(t *testing.T) {
	n := newNode(t, three)
	n.Broken = five[4:]
	if err := n.site().Rewire(t.Context(), n.file(), five); !errors.Is(err, ErrTakenBack) {
		t.Errorf("it was: %v", err)
	}
	n.DownOther = true
	if err := n.site().Rewire(t.Context(), n.file(), five); err == nil || errors.Is(err, ErrTakenBack) {
		t.Errorf("it was not: %v", err)
	}
}

// A node that was killed after it had written keeps others waiting until its
// apiserver has restarted, and not itself.
func TestKilledWithTheLock(t *testing.T) {
	a, b := newNode(t, three), newNode(t, three)
	a.LookedAt, b.LookedAt = a.Clock, a.Clock // both kubelets see a change of the next seconds at once
	const wrote = "it has written, and is killed"
	func() {
		defer func() {
			if r := recover(); r != wrote {
				t.Fatalf("it ended with %v", r)
			}
		}()
		a.point = func(_ *node, point string) {
			if strings.HasPrefix(point, "doing wait for kube-apiserver") {
				b.Locked, b.LockOwner, b.LockedAt = a.Locked, a.LockOwner, a.LockedAt // which nobody releases
				panic(wrote)
			}
		}
		_ = a.site().Rewire(t.Context(), a.file(), five)
	}()
	a.point = nil
	bothDown := 0
	s := b.site()
	b.point = func(*node, string) {
		for a.Clock.Before(b.Clock) {
			a.pass(time.Second)
			if a.answers() != nil && b.answers() != nil {
				bothDown++
			}
		}
	}
	s.Prober = probes(func(address string) error {
		if address == s.Own {
			return b.Ready(t.Context(), address)
		}
		return a.answers()
	})
	if err := s.Rewire(t.Context(), b.file(), five); err != nil {
		t.Fatal(err)
	}
	if bothDown > 0 || b.Clock.Sub(a.LockedAt) < LockTTL {
		t.Errorf("both were down for %d s; the other one was done after %s", bothDown, b.Clock.Sub(a.LockedAt))
	}

	came := a.Clock
	a.Locked, a.LockedAt = "a test", came // its own lock, which does not keep it waiting
	if err := a.site().Resume(t.Context(), a.file()); err != nil || a.Clock.Sub(came) > pause {
		t.Errorf("%v, after %s", err, a.Clock.Sub(came))
	}
	a.wantServing(five)
}

// On one host, one at a time.
func TestTwoOnOneHost(t *testing.T) {
	n := newNode(t, three)
	c, err := n.site().begin(n.file())
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := c.takeLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := n.site()
	s.Sleep = func(context.Context, time.Duration) error { cancel(); return ctx.Err() }
	if err := s.Rewire(ctx, n.file(), five); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "on this host") {
		t.Errorf("the second: %v", err)
	}
	wantStages(t, n.waits, "another etcdha is at work on this host")
	unlock()
	first, err := os.ReadFile(c.copies.owner())
	if err != nil || len(first) == 0 {
		t.Errorf("%q, %v", first, err)
	}
	if err := n.site().Rewire(t.Context(), n.file(), five); err != nil {
		t.Error(err)
	}
	if again, err := os.ReadFile(c.copies.owner()); err != nil || string(again) != string(first) || n.LockOwner != string(first) {
		t.Errorf("the name of the owner was %q, is %q, and %q locked; %v", first, again, n.LockOwner, err)
	}
	if names, err := filepath.Glob(filepath.Join(n.copies(), "*owner")); err != nil || len(names) != 1 {
		t.Errorf("%q, %v", names, err)
	}
}
