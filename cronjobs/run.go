package cronjobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// errBrokenOff is the end of a run whose term or process has ended. It leaves no record,
// so that the next active instance runs its slot.
var errBrokenOff = errors.New("the run was broken off")

// run is a run of one slot with all its tries.
type run struct {
	*term
	job    *job
	record status.Record
	ends   time.Time // of the deadline
	window time.Time // when the next slot is run; zero: never
}

// run waits for its turn, runs the slot that is due then, and records it. It is false if
// nothing came to an end.
func (t *term) run(ctx context.Context, j *job) bool {
	leave, ok := t.enter(ctx, j.Name)
	if !ok {
		return false
	}
	p, _ := t.decide(j, t.d.o.Now()) // slots may have passed meanwhile
	if p.slot.IsZero() || p.at.After(t.d.o.Now()) {
		leave()
		return false
	}
	_, err := t.complete(ctx, j, p, leave)
	return !errors.Is(err, errBrokenOff)
}

// complete runs a slot, and records it unless it was broken off. The turn for the first try
// is taken; leave ends it. The error is that of the run.
func (t *term) complete(ctx context.Context, j *job, p plan, leave func()) (status.Record, error) {
	now := t.d.o.Now()
	r := &run{term: t, job: j, ends: now.Add(j.Deadline), record: status.Record{
		Format: 1, Cluster: t.config.Name, Job: j.Name, Slot: p.slot, Started: plain(now), Missed: p.missed,
		Instance: t.d.o.Instance, Unlocked: t.Unlocked, Etcdha: t.d.o.Version}}
	if next := j.Schedule.Next(p.slot); !next.IsZero() {
		r.window = next.Add(j.jitter)
	}
	summary, err := r.tries(ctx, leave)
	t.show(j, time.Time{}, 0)
	if errors.Is(err, errBrokenOff) {
		t.log.Warn("a run was broken off", "job", j.Name, "slot", p.slot, "error", err)
		return r.record, err
	}
	r.record.Finished, r.record.Passed, r.record.Summary = plain(t.d.o.Now()), err == nil, summary
	if err != nil {
		r.record.Error, r.record.Hint, r.record.Kind = err.Error(), fail.Hint(err), kind(err)
	}
	t.ended(ctx, j, t.w, r.record)
	if err != nil {
		t.trouble(string(j.Name), err)
	}
	if j.Name != config.Health { // which changes nothing
		signal(t.look)
	}
	return r.record, err
}

// tries tries until there is a success, an error that will not change, or no time for
// another try.
func (r *run) tries(ctx context.Context, leave func()) (string, error) {
	limited, cancel := context.WithTimeout(ctx, r.job.Deadline)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		summary, err := r.try(limited)
		leave()
		switch {
		case err == nil:
			return summary, nil
		case ctx.Err() != nil || r.MayAct() != nil:
			return "", fmt.Errorf("%w: %w", errBrokenOff, err)
		case limited.Err() != nil:
			return summary, &lateError{r.job.Deadline, err}
		case final(r.job.Name, err) || !r.hasTime(pause):
			return summary, err
		}
		r.log.Warn("a job will be tried again", "job", r.job.Name, "attempt", r.record.Attempts, "in", pause, "error", err)
		r.trouble(string(r.job.Name), err)
		r.sleep(limited, pause)
		var ok bool
		leave, ok = r.enter(limited, r.job.Name)
		switch {
		case ctx.Err() != nil || r.accepting.Err() != nil:
			if ok {
				leave()
			}
			return "", fmt.Errorf("%w: %w", errBrokenOff, err)
		case !ok:
			return summary, err // the deadline has passed before it was its turn
		case !r.hasTime(0):
			leave()
			return summary, err
		}
	}
}

// try tries once.
func (r *run) try(ctx context.Context) (string, error) {
	if err := r.MayAct(); err != nil {
		return "", err
	}
	r.record.Attempts++
	r.show(r.job, r.record.Started, r.record.Attempts)
	return r.w.Do(ctx, Run{Job: r.job.Name, Slot: r.record.Slot, Attempt: r.record.Attempts,
		MayAct: r.MayAct, Unlocked: r.Unlocked})
}

// hasTime tells whether another try may begin after a pause.
func (r *run) hasTime(pause time.Duration) bool {
	begin := r.d.o.Now().Add(pause)
	return begin.Before(r.ends) && (r.window.IsZero() || begin.Before(r.window))
}

// show notes what goes on.
func (t *term) show(j *job, running time.Time, attempt int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	j.running, j.attempt = running, attempt
}

// enter waits for the turn of a try: until no other one runs that it must not run beside,
// and the instance has room. Health has it at once. leave ends the turn; without ok there is none.
func (c *cluster) enter(ctx context.Context, name config.JobName) (leave func(), ok bool) {
	if name == config.Health {
		return c.going.Done, c.begin()
	}
	alone := name == config.Snapshot || name == config.Defrag
	if !c.room(ctx, alone) {
		return nil, false
	}
	if !c.begin() {
		c.leave(alone)
		return nil, false
	}
	c.count(1)
	return func() {
		c.count(-1)
		c.leave(alone)
		c.going.Done()
	}, true
}

// room waits until there is room, and takes it, unless ctx or the time of tries ends before.
func (c *cluster) room(ctx context.Context, alone bool) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.accepting, cancel)()
	if alone {
		select {
		case c.alone <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	if c.d.gate.enter(ctx) == nil {
		return true
	}
	if alone {
		<-c.alone
	}
	return false
}

// leave gives room back.
func (c *cluster) leave(alone bool) {
	c.d.gate.leave()
	if alone {
		<-c.alone
	}
}

func (c *cluster) count(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying += by
}

// plain drops the monotonic clock, as a record does that was read again.
func plain(t time.Time) time.Time { return t.UTC().Round(0) }
