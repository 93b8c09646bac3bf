package cronjobs

import (
	"context"
	"time"

	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

const (
	// observePeriod is the time between two looks at a cluster, and how long one may take.
	observePeriod = time.Minute
	// askPeriod is the least time between two questions of a standby for the same job.
	askPeriod = 5 * time.Minute
)

// observe looks at the cluster at once, each minute, and after each run. The clusters of
// a fleet look at different seconds of the minute.
func (c *cluster) observe(w Worker) {
	phase := schedule.Jitter(observePeriod, c.config.Name)
	for c.accepting.Err() == nil {
		c.observeOnce(w)
		c.catchUp(w)
		now := c.d.o.Now().Add(-phase)
		timer := time.NewTimer(observePeriod - now.Sub(now.Truncate(observePeriod)))
		select {
		case <-timer.C:
		case <-c.look:
		case <-c.accepting.Done():
		}
		timer.Stop()
	}
}

func (c *cluster) observeOnce(w Worker) {
	ctx, cancel := context.WithTimeout(c.accepting, observePeriod)
	defer cancel()
	seen := w.Observe(ctx)
	if c.accepting.Err() != nil {
		return // it was broken off
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if seen.Observed.IsZero() {
		seen.Observed = c.observed.Observed // the last time that it was possible
	}
	c.observed = seen
}

// unseen notes why there is nothing to observe.
func (c *cluster) unseen(err error) {
	c.trouble("configuration", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observed = status.Cluster{Observed: c.observed.Observed, Err: err.Error(), Hint: fail.Hint(err)}
}

// catchUp lets an instance that is not active know what the active one has done. A job is
// asked for only when it should have run since, so that this costs as little as the runs do.
func (c *cluster) catchUp(w Worker) {
	for _, j := range c.jobs {
		if c.behind(j) {
			_ = c.ask(c.accepting, w, j, false) // the active one says so, and so do the stores
		}
	}
}

// behind tells whether a standby's knowledge of a job may be old.
func (c *cluster) behind(j *job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.d.o.Now()
	if c.here || now.Sub(j.asked) < askPeriod {
		return false
	}
	if j.last == nil {
		return true
	}
	next := j.Schedule.Next(j.last.Slot)
	return !next.IsZero() && !next.Add(j.jitter).After(now)
}
