package election

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why terms end.
var (
	errReturned = errors.New("its work is done")
	errGaveWay  = errors.New("another instance is preferred")
	errLocked   = errors.New("the lock can be had again")
	errNotFirst = errors.New("another instance comes first")
)

// serve is active under a lock, gives it back, and rests for as long as others are to be
// faster.
func (e *Elector) serve(ctx context.Context, lock Lock, lead func(context.Context, Term)) {
	why := e.settle(ctx)
	if why == nil {
		why = e.term(ctx, lock, false, lead, e.giveWay)
	}
	e.release(ctx, lock)
	switch {
	case errors.Is(why, errGaveWay):
		_ = pause(ctx, 2*e.o.RetryPeriod)
	case errors.Is(why, errReturned):
		_ = pause(ctx, e.o.RetryPeriod)
	}
}

// settle waits for whoever may be active without a lock: it looks each retry period, and
// stops as at the end of a lease if it cannot.
func (e *Elector) settle(ctx context.Context) error {
	if !e.wary {
		return ctx.Err()
	}
	e.wary = false
	return pause(ctx, e.o.LeaseDuration)
}

// holds is what a term rests on.
type holds interface {
	Held(d time.Duration) error
}

// term calls lead, and ends its context when what the term rests on has not been renewed
// for the renew deadline, or when watch returns an error. It returns why the term ended.
func (e *Elector) term(ctx context.Context, by holds, unlocked bool, lead func(context.Context, Term), watch func(context.Context) error) error {
	if err := by.Held(e.spare()); err != nil { // as after a suspension
		return err
	}
	e.holder = e.o.Self
	e.setActive(e.o.Self)
	defer e.setActive("")
	e.o.Log.Info("this instance is active", "unlocked", unlocked)
	ctx, end := context.WithCancelCause(ctx)
	var guards sync.WaitGroup
	guards.Go(func() { end(e.guard(ctx, by)) })
	guards.Go(func() { end(watch(ctx)) })
	lead(ctx, Term{Unlocked: unlocked, MayAct: func() error { return by.Held(e.spare()) }})
	end(errReturned)
	guards.Wait()
	why := context.Cause(ctx)
	e.o.Log.Info("this instance is no longer active", "why", why)
	return why
}

// guard returns before the renew deadline has passed without renewal. It sleeps no
// longer than it is sure of.
func (e *Elector) guard(ctx context.Context, by holds) error {
	for {
		err := by.Held(e.spare() + e.o.RetryPeriod)
		step := e.o.RetryPeriod
		if err != nil {
			step /= 10
			err = by.Held(e.spare() + step)
		}
		if err != nil {
			return err
		}
		if err := pause(ctx, step); err != nil {
			return err
		}
	}
}

// giveWay returns when another instance is preferred and attends, which was seen twice, a
// lease duration apart, so that one that comes and goes moves nothing. It waits until
// nothing would be broken off, and while an alarm allows no other lock.
func (e *Elector) giveWay(ctx context.Context) error {
	for before := e.o.Self; ; {
		if err := pause(ctx, e.o.LeaseDuration); err != nil {
			return err
		}
		a, err := e.o.Registry.Attending(ctx)
		if err != nil || a.Alarmed || !e.o.Idle() {
			continue
		}
		preferred := Prefer(e.o.Cluster, a.names(e.o.Self, ""))
		if preferred != e.o.Self && preferred == before {
			return errGaveWay
		}
		before = preferred
	}
}
