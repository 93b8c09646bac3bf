package membership_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// With NOSPACE nobody can be told anything. A dead member is removed all the same,
// since that may be the cure; one that serves is not.
func TestApiserversCannotBeToldInAnAlarm(t *testing.T) {
	cannot, never := []error{fmt.Errorf("mark: %w", membership.ErrAlarmed)}, map[string]time.Duration{"cp-1": 0}
	for name, apiservers := range map[string]func(c *membershiptest.Cluster) *hosts{
		"the mark cannot be written":                    func(c *membershiptest.Cluster) *hosts { return &hosts{c: c, fails: cannot} },
		"it was marked before, and nobody can say more": func(c *membershiptest.Cluster) *hosts { return &hosts{c: c, follows: never} },
	} {
		c := membershiptest.New(t, "m1 leader nospace\nm2\nm3 stopped")
		h := apiservers(c)
		op := newOperator(c, c)
		op.Apiservers = h
		began := c.Now()
		if _, err := op.Run(t.Context(), membership.Remove("m3")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := c.Now().Sub(began); took > 10*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
		op.reads(t, `
			plan: remove m3
			doing remove m3
			warning: 2 voters can lose none, no more than 1 voter can
			warning: an alarm is on, so that the kube-apiservers cannot be told: they lose a server that does not serve
			done remove m3: 2 voters, 2 healthy, quorum 2: can lose none`)
		if len(h.log) == 0 || h.log[len(h.log)-1][:7] != "readmit" {
			t.Errorf("%s: the mark stays: %q", name, h.log)
		}

		c = membershiptest.New(t, "m1 leader nospace\nm2\nm3")
		op = newOperator(c, c)
		op.Apiservers, op.ForceUnsafe = apiservers(c), "a drill"
		if _, err := op.Run(t.Context(), membership.Remove("m3")); !errors.Is(err, fail.ErrUnsafe) || len(c.Changes()) > 0 {
			t.Errorf("%s: error %v, changes %q", name, err, c.Changes())
		}
	}
}

// What was confirmed for members that go together may not hold any more when the
// turn of the second comes.
func TestApiserversAreAskedBeforeEachRemoval(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3\nm4\nm5")
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 5 * time.Second}}
	op := newOperator(c, c)
	op.Apiservers, op.Wait = h, time.Minute
	c.AfterChange = func(int, membership.Step) error {
		h.follows["cp-1"] = 0 // somebody has put the old list back
		return nil
	}
	_, err := op.Run(t.Context(), reach(t, "m1 1, m2 2, m3 3"))
	if _, is := errors.AsType[*membership.StillUsed](err); !is || len(c.Changes()) != 1 {
		t.Errorf("error %v, changes %q", err, c.Changes())
	}
}

// While apiservers took long to confirm, another member has died: what was seen of the
// cluster before they were asked is old.
func TestASlowConfirmationIsFollowedByALook(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	op := newOperator(c, c)
	op.Apiservers = &hosts{c: c, takes: 20 * time.Second}
	c.After(10*time.Second, func() { c.Stop("m2") })
	c.BeforeChange = func(int, membership.Step) error { t.Error("etcd was asked to remove it"); return nil }
	if _, err := op.Run(t.Context(), membership.Remove("m3")); !errors.Is(err, fail.ErrUnsafe) || len(c.Changes()) > 0 {
		t.Errorf("error %v, changes %q", err, c.Changes())
	}
}

// A leader is not moved for a removal that apiservers then hold up.
func TestALeaderStaysWhileApiserversUseIt(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 0}}
	op := newOperator(c, c)
	op.Apiservers, op.Wait = h, time.Minute
	_, err := op.Run(t.Context(), membership.Remove("m1"))
	if _, is := errors.AsType[*membership.StillUsed](err); !is || err.Error() != "remove m1: after 1m0s, m1 may still be used by the kube-apiservers of cp-1" {
		t.Errorf("error %v", err)
	}
	h.reads(t, "withdraw m1", "readmit m1")
	clusterIs(t, c, "m1 voter leader, m2 voter, m3 voter")

	// A leader that moves and stays is nothing to apiservers.
	op, h.log = newOperator(c, c), nil
	op.Apiservers = h
	if _, err := op.Run(t.Context(), membership.MoveLeader("m2")); err != nil {
		t.Error(err)
	}
	h.reads(t)
}

// An apiserver that comes and goes is no progress for which the wait begins anew.
func TestAnApiserverThatFlaps(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	h := &hosts{c: c, follows: map[string]time.Duration{"cp-1": 0}}
	op := newOperator(c, c)
	op.Apiservers, op.Wait = h, time.Minute
	for i := range 10 {
		c.After(time.Duration(i)*20*time.Second, func() { h.follows["cp-2"] = 0 })
		c.After(time.Duration(i)*20*time.Second+10*time.Second, func() { delete(h.follows, "cp-2") })
	}
	began := c.Now()
	if _, err := op.Run(t.Context(), membership.Remove("m3")); err == nil {
		t.Error("it was removed")
	}
	if took := c.Now().Sub(began); took > 80*time.Second {
		t.Errorf("it took %s", took)
	}
}
