package metrics

import (
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// ofJob is a job of a cluster.
type ofJob struct {
	cluster string
	job     config.JobName
}

// runs are what this instance has run of a job.
type runs struct {
	passed, failed, missed int
	kinds                  map[string]int // of failure
	success                time.Time      // end of the last one that is known, by whichever instance
}

// notified are the events for a webhook.
type notified struct {
	sent, failed int
}

// kind is that of a failed run. Labels have no values that this package does not know.
func kind(r *status.Record) string {
	if slices.Contains(status.Kinds, r.Kind) {
		return r.Kind
	}
	return status.Kinds[len(status.Kinds)-1]
}

// Ran counts a run.
func (m *Metrics) Ran(r status.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.count(ofJob{r.Cluster, r.Job})
	c.missed += r.Missed
	c.learn(&r)
	if r.Passed {
		c.passed++
		return
	}
	c.failed++
	c.kinds[kind(&r)]++
}

func (m *Metrics) count(j ofJob) *runs {
	c := m.runs[j]
	if c == nil {
		c = &runs{kinds: make(map[string]int)}
		m.runs[j] = c
	}
	return c
}

// learn keeps when the job was last successful, which the record of a later failure need not know.
func (c *runs) learn(r *status.Record) {
	if r == nil {
		return
	}
	at := r.LastSuccess
	if r.Passed {
		at = r.Finished
	}
	if at.After(c.success) {
		c.success = at
	}
}

// Notified counts an event that a webhook has taken, or not.
func (m *Metrics) Notified(webhook string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.webhooks[webhook]
	if n == nil {
		n = &notified{}
		m.webhooks[webhook] = n
	}
	if err != nil {
		n.failed++
		return
	}
	n.sent++
}

// counted shows what was counted for jobs that are there, and forgets the others.
func (m *Metrics) counted(s *scrape, f *status.Fleet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := make(map[ofJob]*runs, len(m.runs))
	for i := range f.Clusters {
		for k := range f.Clusters[i].Jobs {
			j := &f.Clusters[i].Jobs[k]
			of := ofJob{f.Clusters[i].Name, j.Name}
			c := m.count(of)
			c.learn(j.Last)
			there[of] = c
			s.runs(of, c)
		}
	}
	m.runs = there
	for name, n := range m.webhooks {
		s.put(notifications, float64(n.sent), name, "sent")
		s.put(notifications, float64(n.failed), name, "failed")
	}
}

// runs shows what was counted of a job, from zero on, so that the first one is an increase.
func (s *scrape) runs(of ofJob, c *runs) {
	cluster, job := of.cluster, string(of.job)
	s.put(jobRuns, float64(c.passed), cluster, job, "success")
	s.put(jobRuns, float64(c.failed), cluster, job, "failure")
	s.put(jobMissed, float64(c.missed), cluster, job)
	s.at(jobSuccessAt, c.success, cluster, job)
	s.since(jobSuccess, c.success, cluster, job)
	for kind, n := range c.kinds {
		s.put(jobFailures, float64(n), cluster, job, kind)
	}
}
