package cronjobs

import (
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// Fleet is what this instance knows. It does not change any more, and what it refers to
// is shared: it must not be changed by who reads it either.
func (d *Daemon) Fleet() status.Fleet {
	now := d.o.Now()
	d.mu.Lock()
	f := status.Fleet{Instance: d.o.Instance, Version: d.o.Version, Now: now,
		Config: status.Config{File: d.file.Path, Loaded: d.loaded, Err: d.fault}}
	clusters := slices.Clone(d.clusters)
	d.mu.Unlock()
	for _, c := range clusters {
		f.Clusters = append(f.Clusters, c.status(now))
	}
	return f
}

// status is what is known of the cluster.
func (c *cluster) status(now time.Time) status.Cluster {
	active, troubles := c.active(), c.electing()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.observed
	s.Name, s.Active, s.Here, s.Since = c.config.Name, active, c.here, c.since
	s.Troubles = append(troubles, c.troubles...)
	s.Troubles = s.Troubles[:min(len(s.Troubles), status.MaxTroubles)]
	s.Emergency = nil
	if c.emergency != nil {
		e := *c.emergency
		s.Emergency = &e
	}
	s.Jobs = nil
	for _, j := range c.jobs {
		s.Jobs = append(s.Jobs, j.status(now))
	}
	return s
}

// electing is what keeps this instance from taking part in the election, as long as it does.
func (c *cluster) electing() []status.Trouble {
	c.mu.Lock()
	e := c.elector
	c.mu.Unlock()
	if e == nil {
		return nil
	}
	since, err := e.Trouble()
	if err == nil {
		return nil
	}
	return []status.Trouble{{Time: since, What: "election", Err: err.Error(), Hint: fail.Hint(err)}}
}

// status is what is known of the job. c.mu is held.
func (j *job) status(now time.Time) status.Job {
	if j.around.ask.IsZero() || !now.Before(j.around.ask) {
		j.around = slotsAround(j.Job, j.jitter, now)
	}
	s := status.Job{Name: j.Name, Schedule: j.Spec, Slots: j.Schedule, Next: j.around.next, Expected: j.around.expected,
		Running: j.running, Attempt: j.attempt}
	if j.running.IsZero() && !j.plan.at.IsZero() {
		s.Next = j.plan.at
		if s.Next.Before(now) { // it waits for its turn
			s.Next = now
		}
	}
	if j.last != nil {
		last := *j.last
		s.Last = &last
	}
	return s
}
