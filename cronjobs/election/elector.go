package election

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Elector takes part in the election of one cluster.
type Elector struct {
	o         Options
	trouble   trouble // with the lock; that with attendance is mostly the same
	namesakes trouble // with an entry on the list of the own name
	attended  attended
	taken     func(who string)

	mu     sync.Mutex
	active string

	// Of the goroutine of Run:
	holder string    // who had the lock when it was seen last
	seen   time.Time // when that was
	left   string    // to whom it was left to act under an alarm
	// wary tells that somebody else may have become active without a lock, unknown to this
	// instance: under an alarm, and before it has ever seen who has the lock.
	wary bool
}

// New returns an elector; see [Check] for what the durations have to be.
func New(o Options) *Elector {
	if o.LeaseDuration == 0 {
		o.LeaseDuration = DefaultLeaseDuration
	}
	if o.RenewDeadline == 0 {
		o.RenewDeadline = DefaultRenewDeadline
	}
	if o.RetryPeriod == 0 {
		o.RetryPeriod = DefaultRetryPeriod
	}
	o.Log = o.Log.With("cluster", o.Cluster)
	return &Elector{o: o, taken: func(string) {}, wary: true,
		trouble:   trouble{log: o.Log, now: o.Now, level: slog.LevelWarn, what: "the election cannot be taken part in", end: "the election is taken part in again"},
		namesakes: trouble{log: o.Log, now: o.Now, level: slog.LevelError, what: "another instance has the same name", end: "no other instance has the same name any more"}}
}

// Taken sets whom Run tells who else has the lock, each time that is seen. It is called
// before Run.
func (e *Elector) Taken(tell func(who string)) { e.taken = tell }

// Trouble is why this instance cannot take part, and since when, nil if it can. It has a hint where one
// is known (internal/fail).
func (e *Elector) Trouble() (since time.Time, err error) {
	if since, err = e.namesakes.get(); err != nil {
		return since, err
	}
	return e.trouble.get()
}

// Term is the time for which an instance is active.
type Term struct {
	// Unlocked tells that an alarm allows no lock: only backups are taken.
	Unlocked bool
	// MayAct is an error unless this instance is active for as long yet as a term leaves
	// to stop: the lease duration without the renew deadline. It is asked before each step
	// that cannot be taken back.
	MayAct func() error
}

// Run takes part until ctx ends. It calls lead for each term; the context given to it ends
// with the term, and the lock is given back when lead has returned. One that returns
// before that gives up its term.
func (e *Elector) Run(ctx context.Context, lead func(context.Context, Term)) {
	if c, ok := e.o.Registry.(io.Closer); ok {
		defer func() { _ = c.Close() }() // what is left there ends by itself
	}
	// Attendance is given up last: nobody else may act without a lock before.
	attending, leave := context.WithCancel(context.WithoutCancel(ctx))
	var attendance sync.WaitGroup
	attendance.Go(func() { e.attend(attending) })
	defer attendance.Wait()
	defer leave()

	for ctx.Err() == nil {
		e.letPreferred(ctx)
		lock, err := e.o.Registry.Lead(ctx)
		e.campaigned(ctx, lock, err, lead)
	}
}

// campaigned goes on from what became of a try to get the lock, until it is worth
// another one.
func (e *Elector) campaigned(ctx context.Context, lock Lock, err error, lead func(context.Context, Term)) {
	taken, isTaken := errors.AsType[*TakenError](err)
	switch {
	case ctx.Err() != nil && lock != nil:
		e.release(ctx, lock)
	case ctx.Err() != nil:
	case err == nil:
		e.trouble.over()
		e.leave("")
		e.serve(ctx, lock, lead)
	case isTaken:
		e.trouble.over()
		e.leave("")
		e.wary = false // whoever it is has seen to that
		e.holder, e.seen = taken.Who, e.o.Now()
		e.setActive(taken.Who)
		e.taken(taken.Who)
		if err := e.o.Registry.Freed(ctx); err != nil {
			e.failed(ctx, err)
		}
	case errors.Is(err, ErrAlarmed):
		e.alarmed(ctx, lead)
	default:
		e.failed(ctx, err)
	}
}

func (e *Elector) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		e.trouble.began(err)
		if e.o.Now().Sub(e.seen) >= e.o.LeaseDuration {
			e.setActive("") // the lease of whoever it was may be over
		}
		_ = pause(ctx, e.o.RetryPeriod)
	}
}

// letPreferred lets the one that the cluster prefers be faster. Whoever had the lock last
// does not count: it is dead, or has given it up, and its attendance would be waited for in
// vain. A retry period as a whole would take longer, where the preferred one is dead
// as well, than others are to wait for a successor.
func (e *Elector) letPreferred(ctx context.Context) {
	a, err := e.o.Registry.Attending(ctx)
	if err == nil && Prefer(e.o.Cluster, a.names(e.o.Self, e.holder)) != e.o.Self {
		_ = pause(ctx, e.o.RetryPeriod/2)
	}
}

// Active is the name of the instance that is active as far as this one has seen, "" if that is
// not known, or was seen a lease duration ago.
func (e *Elector) Active() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active
}

func (e *Elector) setActive(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active = name
}

// pause sleeps by a timer. It is an error if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
