package status

import (
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Page and alerts go by the same conditions, which are here.

// starting tells that this process knows the cluster for so short a time that it may not have
// looked at all of it.
func (c *Cluster) starting(now time.Time) bool { return now.Sub(c.Since) <= Stale }

// InSight tells whether the members were seen so lately that they may still be as they were.
func (c *Cluster) InSight(now time.Time) bool { return now.Sub(c.Observed) <= Stale }

// InSight tells the same of a store.
func (s *Store) InSight(now time.Time) bool { return now.Sub(s.Read) <= Stale }

// BackupOverdue tells whether a store has no backup as new as the schedule of snapshots asks for. One
// that could never be read is believed to have none, once there was time to read it. One that is
// empty has to get its first backup since this process knows it, not before.
func (c *Cluster) BackupOverdue(s *Store, now time.Time) bool {
	job := c.Job(config.Snapshot)
	if job == nil {
		return false
	}
	if s.Read.IsZero() {
		return !c.starting(now)
	}
	newest := s.Latest(Listed)
	if newest == nil {
		return job.Expected.After(c.Since)
	}
	return newest.Started.Before(job.Expected)
}

// Overdue tells whether a job did not run when it should have, whatever came of it. One without any
// record has to run since this process knows it, not before. The runs of health leave no record
// while nothing changes.
func (c *Cluster) Overdue(j *Job) bool {
	switch {
	case j.Name == config.Health:
		return false
	case j.Last == nil:
		return j.Expected.After(c.Since)
	}
	return j.Last.Slot.Before(j.Expected)
}

// Disproves tells whether the last run found that a backup is not what it has to be.
func (j *Job) Disproves() bool {
	switch j.Name {
	case config.Verify, config.VerifySample, config.Rehearse:
		return j.Last != nil && !j.Last.Passed && j.Last.Kind == Verification
	}
	return false
}

// Notice tells whether a finding is for information only. That a single voter cannot be lost was
// decided when the cluster was made.
func (c *Cluster) Notice(f Finding) bool {
	return f.Severity == "notice" || f.Code == "quorum-at-limit" && c.voters() == 1
}

func (c *Cluster) voters() (n int) {
	for i := range c.Members {
		if !c.Members[i].Learner {
			n++
		}
	}
	return n
}
