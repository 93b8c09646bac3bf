package cronjobs

import (
	"fmt"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/notify"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// trouble notes an error for people. The same one is noted once, with its newest time.
func (c *cluster) trouble(what string, err error) {
	t := status.Trouble{Time: c.d.o.Now(), What: what, Err: err.Error(), Hint: fail.Hint(err)}
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := []status.Trouble{t}
	for _, old := range c.troubles {
		if (old.What != t.What || old.Err != t.Err) && len(newest) < status.MaxTroubles {
			newest = append(newest, old)
		}
	}
	c.troubles = newest
}

// againAfter is the time after which somebody is told again of a job that goes on failing: the
// event before may have been lost, or forgotten.
const againAfter = 24 * time.Hour

// logRun logs a run. Health that passes, or fails as before, is no news.
func (c *cluster) logRun(r status.Record, news bool) {
	log := c.log.With("job", r.Job, "slot", r.Slot, "attempts", r.Attempts)
	if r.Missed > 0 {
		log = log.With("missed", r.Missed)
	}
	switch {
	case !r.Passed && !news:
		log.Debug("a job goes on failing", "kind", r.Kind, "error", r.Error)
	case !r.Passed:
		log.Error("a job has failed", "kind", r.Kind, "error", r.Error, "hint", r.Hint)
	case r.Job == config.Health:
		log.Debug("a job was done", "summary", r.Summary)
	default:
		log.Info("a job was done", "summary", r.Summary)
	}
}

// tell tells of a job that fails and did not before, and of one that does not fail any
// more; of one that goes on failing once a day, and once by each instance that becomes active.
// before is the record of the run before, nil if none is known.
func (c *cluster) tell(j *job, before *status.Record, failing time.Time, r status.Record) {
	failed := before != nil && !before.Passed
	now := c.d.o.Now()
	e := notify.Event{Cluster: c.config.Name, Job: string(r.Job)}
	switch {
	case r.Passed && failed:
		j.told = time.Time{}
		e.Kind, e.Since = notify.Recovery, failing
		e.Text = fmt.Sprintf("%s: %s succeeds again", e.Cluster, e.Job)
	case !r.Passed && !failed:
		j.told = now
		e.Kind, e.Error, e.Hint = notify.Failure, r.Error, r.Hint
		e.Text = fmt.Sprintf("%s: %s failed: %s", e.Cluster, e.Job, r.Error)
	case !r.Passed && now.Sub(j.told) >= againAfter:
		j.told = now
		e.Kind, e.Error, e.Hint = notify.Failure, r.Error, r.Hint
		e.Text = fmt.Sprintf("%s: %s still fails: %s", e.Cluster, e.Job, r.Error)
	default:
		return
	}
	c.send(e)
}

func (c *cluster) send(e notify.Event) {
	e.Time, e.Instance, e.Cluster = c.d.o.Now(), c.d.o.Instance, c.config.Name
	c.d.o.Tell(e)
}
