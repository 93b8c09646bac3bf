package cronjobs

import (
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

const (
	// maxSkew is how far the clocks of two instances may differ. A record of a slot that lies
	// further ahead comes from a clock that was wrong, and does not hold up the job until then.
	maxSkew = 5 * time.Minute
	// maxMissed bounds the counting of slots after a long time; more of them tell nobody more.
	maxMissed = 10_000
)

// past is what is known of the runs of a job.
type past struct {
	last  *status.Record // the newest, nil: none is known
	never bool           // it is known that there was none
	from  time.Time      // without a last run, slots count from here
}

// plan is the next run of a job. The zero value is none.
type plan struct {
	slot   time.Time
	at     time.Time // when it begins; if that is past, at once
	missed int       // slots before it that had no run
}

// due decides which slot of a job is run next. Of those that are past the newest is
// caught up, and the others are missed. All are that passed while the last run went on, if
// it was a success; after a failure the newest of them is a new chance.
func due(j config.Job, jitter time.Duration, p past, now time.Time) plan {
	base, busy := p.from.Add(-jitter), time.Time{}
	if l := p.last; l != nil && !l.Slot.After(now.Add(maxSkew)) {
		base = l.Slot
		if l.Passed {
			busy = l.Finished
		}
	}
	if j.Name == config.Snapshot && p.never {
		return firstBackup(j, jitter, base, now)
	}
	slot := j.Schedule.Next(base)
	if slot.IsZero() {
		return plan{}
	}
	if at := slot.Add(jitter); at.After(now) {
		return plan{slot: slot, at: at}
	}
	if newest := j.Schedule.Latest(now.Add(-jitter)); newest.After(slot) { // zero after years
		slot = newest
	}
	if slot.Add(jitter).Before(busy) {
		if slot = j.Schedule.Next(slot); slot.IsZero() {
			return plan{}
		}
	}
	return plan{slot: slot, at: slot.Add(jitter), missed: j.Schedule.Between(base, slot, maxMissed)}
}

// firstBackup is for the slot that is past: a new cluster does not wait for a backup.
func firstBackup(j config.Job, jitter time.Duration, base, now time.Time) plan {
	slot := j.Schedule.Latest(now.Add(-jitter))
	if slot.IsZero() {
		slot = now.Add(-jitter).Truncate(time.Second).UTC()
	}
	return plan{slot: slot, at: slot.Add(jitter), missed: j.Schedule.Between(base, slot, maxMissed)}
}

// onceFor decides for which slot a run counts that somebody asks for now: the last one,
// so that a CronJob makes the same slots as a daemon, unless that was run.
func onceFor(j config.Job, last *status.Record, now time.Time) plan {
	p := plan{slot: now.Truncate(time.Second).UTC(), at: now}
	latest := j.Schedule.Latest(now)
	if latest.IsZero() || last != nil && !last.Slot.Before(latest) {
		return p
	}
	p.slot = latest
	if last != nil {
		p.missed = j.Schedule.Between(last.Slot, latest, maxMissed)
	}
	return p
}

// around are the slots beside a moment, for people and for metrics.
type around struct {
	expected time.Time // see [status.Job]
	next     time.Time // when the first run begins that is not past
	ask      time.Time // from when on they may be others
}

func slotsAround(j config.Job, jitter time.Duration, now time.Time) around {
	latest := j.Schedule.Latest(now.Add(-jitter))
	next := j.Schedule.Next(now.Add(-jitter))
	a := around{next: next, ask: now.Add(24 * time.Hour)}
	if !latest.IsZero() {
		a.expected = j.Schedule.Latest(latest.Add(-time.Second))
	}
	if !next.IsZero() {
		a.next = next.Add(jitter)
		a.ask = a.next
	}
	return a
}
