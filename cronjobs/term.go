package cronjobs

import (
	"context"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
)

const (
	// maxSleep bounds how late a slot is noticed after the clock was set, or the host
	// was suspended.
	maxSleep = time.Minute
	// offerPause is the time between two offers of records that no store has taken.
	offerPause = time.Minute
	// doubtPause passes before the next look at a term that seems to be over.
	doubtPause = time.Second
)

// term is the time for which this instance is active for the cluster.
type term struct {
	*cluster
	election.Term
	w Worker
}

// lead runs the jobs until the term ends, and returns when none runs any more. Jobs of one
// cluster wait for each other only where they must.
func (c *cluster) lead(ctx context.Context, w Worker, et election.Term) {
	t := &term{cluster: c, Term: et, w: w}
	c.mu.Lock()
	c.here = true
	now := c.d.o.Now().Round(0) // slots are of the wall clock
	for _, j := range c.jobs {
		j.known, j.from = false, now
	}
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, j := range c.jobs {
		if t.allows(j.Name) {
			wg.Go(func() { t.loop(ctx, j) })
		}
	}
	wg.Wait()
	<-ctx.Done() // a lead that returns early would be asked for another term
	c.mu.Lock()
	c.here = false
	c.mu.Unlock()
}

// allows tells whether a job may run in this term: without a lock only what harms nobody
// if two instances do it.
func (t *term) allows(name config.JobName) bool {
	return !t.Unlocked || name == config.Snapshot || name == config.Health
}

// goesOn tells whether a job runs at its next slots even where nobody knows what was last.
// Others have to know: they change something, or need the stores anyway.
func goesOn(name config.JobName) bool {
	return name == config.Snapshot || name == config.Health
}

// loop runs a job at its slots until the term or the time of tries ends.
func (t *term) loop(ctx context.Context, j *job) {
	defer func() { t.planned(j, plan{}) }()
	l := learner{term: t, job: j, pause: firstPause}
	for ctx.Err() == nil && t.accepting.Err() == nil {
		l.learn(ctx)
		l.repeat(ctx)
		now := t.d.o.Now()
		p, ready := t.decide(j, now)
		wait := min(maxSleep, l.next.Sub(now))
		switch {
		case !ready || p.slot.IsZero():
		case p.at.After(now):
			wait = min(wait, p.at.Sub(now))
		case t.run(ctx, j):
			continue
		default:
			wait = doubtPause
		}
		if !t.sleep(ctx, wait) {
			return
		}
	}
}

// decide returns the next run, and whether it may begin when its time has come.
func (t *term) decide(j *job, now time.Time) (p plan, ready bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(j.from) { // the clock was set back
		j.from = now.Round(0)
	}
	j.plan = due(j.Job, j.jitter, j.past(), now)
	return j.plan, j.known || goesOn(j.Name)
}

func (t *term) planned(j *job, p plan) {
	t.mu.Lock()
	defer t.mu.Unlock()
	j.plan = p
}

// learner asks the records of a job what was last, until it is known, and offers them what
// they have not taken.
type learner struct {
	*term
	job    *job
	pause  time.Duration
	next   time.Time // when there is something to ask or to offer again
	failed string    // the last error, logged once
}

// learn asks if that is not known in this term and it is time to.
func (l *learner) learn(ctx context.Context) {
	now := l.d.o.Now()
	if l.knows() || now.Before(l.next) {
		return
	}
	err := l.ask(ctx, l.w, l.job, true)
	if err == nil {
		l.next = now
		return
	}
	if ctx.Err() != nil {
		return
	}
	if err.Error() != l.failed {
		l.failed = err.Error()
		l.log.Error("it cannot be learned which runs were done", "job", l.job.Name, "error", err)
	}
	l.trouble(string(l.job.Name), err)
	l.next = l.d.o.Now().Add(l.pause)
	l.pause = min(2*l.pause, maxPause)
}

func (l *learner) knows() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.job.known
}

// repeat offers what no store has taken, once a minute.
func (l *learner) repeat(ctx context.Context) {
	if now := l.d.o.Now(); l.knows() && !now.Before(l.next) {
		l.next = now.Add(offerPause)
		l.offer(ctx, l.job, l.w, time.Time{})
	}
}
