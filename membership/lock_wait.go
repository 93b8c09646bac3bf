package membership

import (
	"context"
	"errors"
	"fmt"
)

// WaitLock is [EtcdClient.LockAt] that waits for whoever has the lock, as long as
// ctx lasts: what is done under it may take minutes, and the lock of the dead ends
// by itself. wait is told who has it, before each new look. The lock is kept until it
// is released, also when ctx has ended: what was begun under it may have to be undone.
func (c *EtcdClient) WaitLock(ctx context.Context, o LockOptions, wait func(*LockedError)) (Lock, error) {
	for failures := 0; ; {
		lock, err := c.LockAt(context.WithoutCancel(ctx), o)
		if err == nil {
			return lock, nil
		}
		locked, other := errors.AsType[*LockedError](err)
		if other {
			wait(locked)
		} else {
			failures++
		}
		if failures >= lockAttempts || ctx.Err() != nil || errors.Is(err, ErrAlarmed) {
			return nil, fmt.Errorf("lock %s: %w", o.Key, err)
		}
		if sleep(ctx, pause) != nil {
			return nil, fmt.Errorf("lock %s: %w", o.Key, err) // who has it says more than that time is up
		}
	}
}
