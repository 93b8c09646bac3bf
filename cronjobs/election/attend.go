package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// attended is this instance's entry on the list.
type attended struct {
	mu    sync.Mutex
	lock  Lock // nil: there is none
	since time.Time
}

// entry returns this instance's entry on the list, nil if nobody has to know it yet. Who
// acts without one looks at the list each retry period, and stops as at the end of a
// lease if it cannot: so an entry counts when it is as old as that. It has to live for
// some time, too, or a term would end as soon as it has begun.
func (e *Elector) entry() Lock {
	a := &e.attended
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lock == nil || a.lock.Held(e.spare()+e.o.RetryPeriod) != nil || e.o.Now().Sub(a.since) < e.o.LeaseDuration {
		return nil
	}
	return a.lock
}

func (a *attended) set(lock Lock, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lock, a.since = lock, since
}

// attend keeps this instance on the list until ctx ends. Why that fails is told by what
// fails with the lock. An alarm passes, and so does an entry that was left by the process before
// this one; one that stays is of somebody else.
func (e *Elector) attend(ctx context.Context) {
	var refused time.Time
	for ctx.Err() == nil {
		lock, err := e.o.Registry.Attend(ctx)
		if _, taken := errors.AsType[*TakenError](err); !taken {
			refused = time.Time{}
			e.namesakes.over()
		} else if refused.IsZero() {
			refused = e.o.Now()
		}
		// A new leader of etcd gives each lease its whole time once more.
		if !refused.IsZero() && e.o.Now().Sub(refused) > 2*e.o.LeaseDuration {
			e.namesakes.began(fail.WithHint(fmt.Errorf("there is another instance of the name %s", e.o.Self),
				"give each of them a name of its own, by --instance"))
		}
		if err != nil {
			_ = pause(ctx, e.o.RetryPeriod)
			continue
		}
		e.attended.set(lock, e.o.Now())
		for lock.Held(0) == nil && pause(ctx, e.o.RetryPeriod) == nil {
		}
		e.attended.set(nil, time.Time{})
		e.release(ctx, lock)
	}
}

// release gives a lock back, also when ctx has ended, in the time that is left to stop in. A
// lock that cannot be given back ends by itself.
func (e *Elector) release(ctx context.Context, lock Lock) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.spare())
	defer cancel()
	if err := lock.Release(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		e.o.Log.Debug("cannot give back a lock", "why", err)
	}
}

// spare is what the end of a term leaves of the lease.
func (e *Elector) spare() time.Duration { return e.o.LeaseDuration - e.o.RenewDeadline }
