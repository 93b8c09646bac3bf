package status

import (
	"cmp"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Latest returns the newest ordinary backup that is at least so well proven, nil if there
// is none. Of its copies in several stores it is the best proven one.
func (c *Cluster) Latest(least Rung) *Backup {
	var latest *Backup
	for i := range c.Stores {
		if b := c.Stores[i].Latest(least); b != nil && (latest == nil || b.Started.After(latest.Started) ||
			b.Started.Equal(latest.Started) && b.Rung > latest.Rung) {
			latest = b
		}
	}
	return latest
}

// maxSkew is more than the clocks of hosts differ that somebody looks after.
const maxSkew = time.Minute

// Latest is that of one store. A backup that is dated later than the store was read has its
// date from a clock that was wrong: it must not look new for as long as that was ahead.
func (s *Store) Latest(least Rung) *Backup {
	for i := len(s.Backups) - 1; i >= 0; i-- {
		if b := &s.Backups[i]; !b.Emergency && b.Rung >= least && !b.Started.After(s.Read.Add(maxSkew)) {
			return b
		}
	}
	return nil
}

// Job returns a job by its name, nil if it is not scheduled.
func (c *Cluster) Job(name config.JobName) *Job {
	for i := range c.Jobs {
		if c.Jobs[i].Name == name {
			return &c.Jobs[i]
		}
	}
	return nil
}

// Proven is when its rung was climbed, zero if nothing has proven it since it was stored.
func (b *Backup) Proven() time.Time {
	switch b.Rung {
	case Rehearsed:
		return b.Rehearsed
	case Verified:
		return b.Verified
	}
	return time.Time{}
}

// backups says whether there is one to restore, how old it is, and whether it is proven.
func (j *judgement) backups() {
	if !j.read() {
		if len(j.Stores) > 0 && !j.unreadable() {
			j.add(j.unread(), "see the log of the daemon", "the stores were not looked into yet")
		}
		return
	}
	now := byHand[config.Snapshot]
	latest := j.Latest(Listed)
	switch {
	case latest == nil && j.damaged() > 0:
		j.add(Danger, now, "no backup can be restored: all that there are were found damaged")
	case latest == nil && j.overdue():
		j.add(Danger, now, "there is no backup")
	case latest == nil:
		j.add(Warning, now, "there is no backup yet")
	case j.overdue():
		j.add(Danger, now, "the backup is overdue: the newest one is %s old", Age(j.now.Sub(latest.Started)))
	}
	if j.Job(config.Snapshot) == nil {
		j.add(Warning, "give the job snapshot a schedule", "no backups are scheduled")
	}
	if latest != nil {
		j.proof()
	}
	if n := j.damaged(); n > 0 && latest != nil {
		j.add(Danger, "etcdha snapshot verify says what is wrong with it", "%s", count(n, "backup was", "backups were")+" found damaged")
	}
}

// overdue tells whether that holds for every store.
func (j *judgement) overdue() bool {
	for i := range j.Stores {
		if !j.BackupOverdue(&j.Stores[i], j.now) {
			return false
		}
	}
	return true
}

// proof says whether backups are proven as often as the schedules ask for.
func (j *judgement) proof() {
	verify, rehearse := j.Job(config.Verify), j.Job(config.Rehearse)
	verified, rehearsed := j.proven()
	if j.disproved() {
		j.add(Danger, rehearse.Last.Hint, "the last rehearsal failed: %s", rehearse.Last.Error)
	}
	if rehearse != nil {
		j.due("rehearsed", rehearse, rehearsed)
	}
	if verify != nil {
		j.due("verified", verify, verified)
	}
	if verify == nil && rehearse == nil && j.Latest(Verified) == nil {
		j.add(Warning, "give the jobs verify and rehearse a schedule", "no backup was proven since it was stored")
	}
}

// disproved tells whether the last rehearsal found that a backup is not what it has to be.
func (j *judgement) disproved() bool {
	job := j.Job(config.Rehearse)
	return job != nil && job.Disproves() && j.Latest(Listed) != nil
}

// due tells that something was not done for two slots of its job.
func (j *judgement) due(done string, job *Job, last time.Time) {
	switch {
	case !j.undone(job):
	case last.IsZero():
		j.add(Warning, "", "no backup was ever %s", done)
	default:
		j.add(Warning, "", "no backup was %s for %s", done, Age(j.now.Sub(last)))
	}
}

// undone tells whether a job that proves backups has proven none for two slots, although there was
// one to prove. No other job is.
func (j *judgement) undone(job *Job) bool {
	verified, rehearsed := j.proven()
	last := map[config.JobName]time.Time{config.Verify: verified, config.Rehearse: rehearsed}
	at, proves := last[job.Name]
	young := !j.oldest().Before(job.Expected) && (job.Last == nil || !job.Last.Slot.Before(job.Expected))
	return proves && j.Latest(Listed) != nil && at.Before(job.Expected) && !young
}

// proven says when a backup was last found to be good.
func (j *judgement) proven() (verified, rehearsed time.Time) {
	for b := range j.ordinary() {
		rehearsed = later(rehearsed, b.Rehearsed)
		verified = later(later(verified, b.Verified), b.Rehearsed)
	}
	return verified, rehearsed
}

// oldest is when the oldest backup was taken.
func (j *judgement) oldest() time.Time {
	oldest := j.now
	for b := range j.ordinary() {
		if b.Started.Before(oldest) {
			oldest = b.Started
		}
	}
	return oldest
}

// ordinary are the backups of all stores that can be restored, but for emergency ones.
func (j *judgement) ordinary() iter.Seq[*Backup] {
	return func(yield func(*Backup) bool) {
		for i := range j.Stores {
			for k := range j.Stores[i].Backups {
				if b := &j.Stores[i].Backups[k]; !b.Emergency && b.Rung > Failed && !yield(b) {
					return
				}
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (j *judgement) stores() {
	const reach = "see whether the store can be reached from this host, and its credentials"
	if len(j.Stores) > 0 && j.unreadable() {
		s := j.Stores[0]
		j.add(Danger, cmp.Or(s.Hint, reach), "no store can be read: %s", s.Err)
		return
	}
	latest := j.Latest(Listed)
	for i := range j.Stores {
		s := &j.Stores[i]
		behind := j.BackupOverdue(s, j.now) && latest != nil && !j.overdue()
		switch {
		case s.Err != "" && s.Read.IsZero():
			j.add(j.unread(), cmp.Or(s.Hint, reach), "the store %s cannot be read: %s", s.Name, s.Err)
			continue // which of its backups are missing is not known
		case s.Err != "":
			j.add(Warning, cmp.Or(s.Hint, reach), "the store %s cannot be read: %s", s.Name, s.Err)
		case s.Read.IsZero() && j.read():
			j.add(j.unread(), "see the log of the daemon", "the store %s was not looked into yet", s.Name)
			continue // which of its backups are missing is not known
		case !s.Read.IsZero() && !s.InSight(j.now) && j.InSight(j.now): // else all is as old
			j.add(Warning, "see the log of the daemon", "the store %s was last read %s", s.Name, Relative(s.Read, j.now))
		}
		if s.Unread > 0 {
			j.add(Warning, "etcdha snapshot list --store URL names them", "%s in the store %s cannot be read", count(s.Unread, "entry", "entries"), s.Name)
		}
		if behind {
			j.add(Danger, byHand[config.Snapshot], "the newest backups are not in the store %s", s.Name)
		}
	}
}

// unread is how bad it is that a store was never read: no more than what a start takes, or not.
func (j *judgement) unread() Level {
	if j.starting(j.now) {
		return Warning
	}
	return Danger
}

// read tells whether any store was ever read.
func (j *judgement) read() bool {
	for _, s := range j.Stores {
		if !s.Read.IsZero() {
			return true
		}
	}
	return false
}

// unreadable tells whether every store failed when it was last read.
func (j *judgement) unreadable() bool {
	for _, s := range j.Stores {
		if s.Err == "" {
			return false
		}
	}
	return true
}

// damaged counts the backups of which a copy was found damaged.
func (j *judgement) damaged() int {
	ids := map[string]bool{}
	for _, s := range j.Stores {
		for _, b := range s.Backups {
			if b.Rung == Failed {
				ids[b.ID] = true
			}
		}
	}
	return len(ids)
}

// holds is what somebody hopes to read.
func (j *judgement) holds() string {
	var parts []string
	if b := j.Latest(Listed); b != nil {
		parts = append(parts, "can restore to "+Relative(b.Started, j.now))
	}
	switch b := j.Latest(Verified); {
	case b != nil && b.Rung == Rehearsed:
		parts = append(parts, "proven by a rehearsal "+Relative(b.Proven(), j.now))
	case b != nil:
		parts = append(parts, "proven by a verification "+Relative(b.Proven(), j.now))
	}
	lose := "can lose " + count(j.Margin, "member", "members")
	if j.voters() == 1 {
		lose = "its one voter cannot be lost"
	}
	parts = append(parts, lose)
	return strings.Join(parts, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
