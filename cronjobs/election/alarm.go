package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errWord says that nothing is known any more of who comes first.
var errWord = errors.New("nobody can tell any more who comes first")

// word is what a term without a lock rests on: that this instance was seen to come first. It
// counts for a lease duration, as a lock does. Whoever attends has its entry as well, which
// is what others go by.
type word struct {
	now   func() time.Time
	lease time.Duration
	entry Lock // nil: nobody attends

	mu   sync.Mutex
	seen time.Time
}

// Held implements [holds]. The wall clock is asked too, since the monotonic one stands
// still while a host sleeps.
func (w *word) Held(d time.Duration) error {
	if w.entry != nil {
		if err := w.entry.Held(d); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if age := max(now.Sub(w.seen), now.Round(0).Sub(w.seen.Round(0))); w.lease-age <= d {
		return fmt.Errorf("%w: it was seen %s ago", errWord, age.Round(time.Second/10))
	}
	return nil
}

func (w *word) heard(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = at
}

// alarmed goes on where an alarm allows no lock and nobody has one, until this instance acts
// without, or there is reason to campaign again.
func (e *Elector) alarmed(ctx context.Context, lead func(context.Context, Term)) {
	for {
		began := e.o.Now()
		e.wary = true
		entry := e.entry()
		a, err := e.o.Registry.Attending(ctx)
		if err != nil {
			e.failed(ctx, err)
			return
		}
		if Acts(a, entry != nil) {
			e.leave("")
			e.unlocked(ctx, &word{now: e.o.Now, lease: e.o.LeaseDuration, entry: entry, seen: began}, lead)
			return
		}
		if a.Active == "" && a.Alarmed {
			e.setActive("")
			e.leave(a.leftTo())
		}
		if pause(ctx, e.o.RetryPeriod) != nil || a.Active != "" || !a.Alarmed {
			return
		}
	}
}

// leave says to whom this instance leaves it to act under an alarm, when that is news.
func (e *Elector) leave(who string) {
	e.trouble.forget()
	if who != "" && who != e.left {
		e.o.Log.Warn("an alarm allows no lock: backups are left to another instance", "instance", who)
	}
	e.left = who
}

// unlocked is active without a lock, until that can be had or somebody else comes first.
func (e *Elector) unlocked(ctx context.Context, w *word, lead func(context.Context, Term)) {
	var lock Lock
	why := e.term(ctx, w, true, lead, func(ctx context.Context) (err error) {
		lock, err = e.stayFirst(ctx, w)
		return err
	})
	switch {
	case errors.Is(why, errLocked):
		e.wary = false // it was us
		e.serve(ctx, lock, lead)
	case lock != nil: // the term had ended before
		e.release(ctx, lock)
	case errors.Is(why, errReturned):
		_ = pause(ctx, e.o.RetryPeriod)
	}
}

// stayFirst looks each retry period whether this instance still is the one that acts without
// a lock. It returns the lock once that can be had, and an error in any case.
func (e *Elector) stayFirst(ctx context.Context, w *word) (Lock, error) {
	for {
		if err := pause(ctx, e.o.RetryPeriod); err != nil {
			return nil, err
		}
		began := e.o.Now()
		lock, err := e.o.Registry.Lead(ctx)
		if err == nil && ctx.Err() != nil {
			e.release(ctx, lock)
			return nil, ctx.Err()
		}
		if err == nil {
			return lock, errLocked
		}
		if taken, is := errors.AsType[*TakenError](err); is {
			return nil, taken
		}
		if !errors.Is(err, ErrAlarmed) {
			continue // what was seen last counts for the renew deadline
		}
		a, err := e.o.Registry.Attending(ctx)
		if err != nil {
			continue
		}
		if !Acts(a, w.entry != nil) {
			return nil, errNotFirst
		}
		w.heard(began)
	}
}
