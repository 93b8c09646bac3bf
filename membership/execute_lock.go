package membership

import (
	"context"
	"errors"
	"fmt"

	"github.com/etcdha/etcdha/internal/fail"
)

// lockAttempts is how often a lock is asked for that fails for no clear reason:
// an election may come in between.
const lockAttempts = 3

// ensureLock makes sure that nobody else acts. A lock that may be lost is taken
// anew. Where an alarm makes it impossible there is none, and then [run.take] has
// to see whether the step needs one. Somebody else's lock is waited for as long
// as that operator may be dead.
func (r *run) ensureLock(ctx context.Context, next Step) error {
	if r.lock != nil && r.lock.Held(actTimeout) == nil {
		return nil
	}
	r.unlock(ctx)
	failures := 0
	for began := r.Now(); ; {
		lock, err := r.Client.Lock(ctx, r.memberEndpoints(), r.Who)
		if err == nil {
			r.lock = lock
			return nil
		}
		locked, other := errors.AsType[*LockedError](err)
		if !other {
			failures++
		}
		switch {
		case errors.Is(err, ErrAlarmed):
			return nil
		case ctx.Err() != nil, failures >= lockAttempts:
			return fmt.Errorf("lock the membership: %w", err)
		case other && r.Now().Sub(began) >= LockWait:
			return fail.WithHint(fmt.Errorf("lock the membership: %w", err), "repeat the command when that has come to its end")
		case other:
			r.Reporter.Waiting(next, locked.Error())
		}
		if err := r.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("lock the membership: %w", err)
		}
	}
}

// unlock lets others act, also when ctx has ended. If it fails, the lease ends
// by itself.
func (r *run) unlock(ctx context.Context) {
	if r.lock == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	_ = r.lock.Release(ctx)
	r.lock = nil
}
