package membershiptest

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/membership"
)

// lock is the lock of the cluster, which somebody has.
type lock struct {
	operator *Operator
	who      string
	since    time.Time
	deadline time.Time
	orphaned bool // nobody renews it any more
}

// Lock implements [membership.Locker].
func (o *Operator) Lock(ctx context.Context, endpoints []string, who string) (membership.Lock, error) {
	c := o.cluster
	err := fmt.Errorf("no endpoints")
	for _, endpoint := range endpoints {
		var n *node
		var leave func()
		if n, leave, err = o.enter(ctx, endpoint); err != nil {
			continue
		}
		l, lockErr := c.lock(o, n, endpoint, who)
		leave()
		if lockErr != nil {
			return nil, lockErr
		}
		context.AfterFunc(ctx, l.orphan)
		return l, nil
	}
	return nil, err
}

func (c *Cluster) lock(o *Operator, n *node, endpoint, who string) (*lock, error) {
	c.renew()
	switch {
	case !c.led(n):
		return nil, noAnswer(endpoint)
	case c.held != nil:
		return nil, &membership.LockedError{Who: c.held.who, Since: c.held.since}
	case len(c.alarms) > 0:
		return nil, fmt.Errorf("%s: %w", endpoint, membership.ErrAlarmed)
	}
	c.held = &lock{operator: o, who: who, since: c.now}
	c.renew()
	return c.held, nil
}

// renew is what the holder of the lock does while it lives, and the cluster
// when it does not.
func (c *Cluster) renew() {
	switch {
	case c.held == nil || c.leader == nil:
	case !c.held.orphaned:
		c.held.deadline = c.now.Add(membership.LockTTL)
	case !c.now.Before(c.held.deadline):
		c.held = nil
	}
}

func (l *lock) orphan() {
	c := l.operator.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	l.orphaned = true
}

// Held implements [membership.Lock].
func (l *lock) Held(d time.Duration) error {
	c := l.operator.cluster
	if l.operator.crashed.Load() {
		return ErrCrashed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != l || l.orphaned || !c.now.Add(d).Before(l.deadline) {
		return membership.ErrLockLost
	}
	return nil
}

// Release implements [membership.Lock].
func (l *lock) Release(context.Context) error {
	c := l.operator.cluster
	if l.operator.crashed.Load() {
		return ErrCrashed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == l {
		c.held = nil
	}
	return nil
}
