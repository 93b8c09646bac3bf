package cronjobs

import (
	"context"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// lastTimeout is how long the records may take to answer.
const lastTimeout = time.Minute

// job is a job of a cluster. All that changes is guarded by the cluster's mu.
type job struct {
	config.Job
	jitter time.Duration

	last    *status.Record  // the newest run that is known; what it points to never changes
	failing time.Time       // since when it fails, as far as is known; zero: it does not
	unsaved []status.Record // those that no store has taken, oldest first
	asked   time.Time       // when the records were last asked
	told    time.Time       // when somebody was told that it fails; of its runs, which are one after the other

	// In a term of this instance:
	known bool      // the records have said what was last
	from  time.Time // when the term began
	plan  plan

	running time.Time // when the run began that goes on, zero: none
	attempt int
	around  around
}

func newJob(cluster string, j config.Job) *job {
	return &job{Job: j, jitter: schedule.Jitter(j.Jitter, cluster+"/"+string(j.Name))}
}

// past is what a decision rests on. c.mu is held.
//
// Runs of before the term count only if the records have confirmed them, since others may
// have run the job meanwhile. Those of health count never: it leaves no record of what
// has not changed.
func (j *job) past() past {
	p := past{last: j.last, from: j.from, never: j.known && j.last == nil}
	own := j.last != nil && !j.last.Slot.Add(j.jitter).Before(j.from)
	if !own && (!j.known || j.Name == config.Health) {
		p.last = nil
	}
	return p
}

// heard notes what the records say. c.mu is held.
func (j *job) heard(last *status.Record) {
	if last == nil {
		return
	}
	j.taken(last.Slot)
	before := last.Slot
	for i := range j.unsaved { // some were run when nobody knew what was last
		r := &j.unsaved[i]
		r.Missed = j.Schedule.Between(before, r.Slot, maxMissed)
		before = r.Slot
	}
	if j.last == nil || last.Slot.After(j.last.Slot) {
		j.note(last)
	}
}

// note makes r the last run. c.mu is held.
func (j *job) note(r *status.Record) {
	j.last = r
	switch {
	case r.Passed:
		j.failing = time.Time{}
	case j.failing.IsZero():
		j.failing = r.Started
	}
}

// ask asks the records what was last. In a term of this instance that is known from then on.
func (c *cluster) ask(ctx context.Context, w Worker, j *job, term bool) error {
	ctx, cancel := context.WithTimeout(ctx, lastTimeout)
	defer cancel()
	last, err := w.Last(ctx, j.Name)
	c.mu.Lock()
	defer c.mu.Unlock()
	j.asked = c.d.o.Now()
	if err == nil {
		j.known = j.known || term
		j.heard(last)
	}
	return err
}
