package cronjobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

const (
	// recordTimeout bounds the keeping of a record, also at the end of a term, whose lease
	// is not renewed any more.
	recordTimeout = 10 * time.Second
	// maxUnsaved is how many records wait for a store; it keeps no more of a job either.
	maxUnsaved = 100
)

// Kinds of failure in a record. Those of stores come from a [Kinder].
const (
	kindUsage        = "usage"
	kindVerification = "verification"
	kindUnsafe       = "unsafe"
	kindDeadline     = "deadline"
	kindOther        = "other"
)

// kind is the kind of failure of an error.
func kind(err error) string {
	_, late := errors.AsType[*lateError](err)
	kinder, known := errors.AsType[Kinder](err)
	switch {
	case late:
		return kindDeadline
	case errors.Is(err, fail.ErrVerification):
		return kindVerification
	case errors.Is(err, fail.ErrUnsafe):
		return kindUnsafe
	case errors.Is(err, fail.ErrUsage):
		return kindUsage
	case known:
		return kinder.Kind()
	}
	return kindOther
}

// final tells whether an error will not change by trying again. Of several that are joined
// all have to be: a store that is gone for a while must have its other try. What a
// snapshot finds unsafe, or damaged on its way, passes: an election takes a second.
//
//nolint:errorlint // each error of the tree is looked at by itself
func final(job config.JobName, err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if kind, ok := err.(interface{ Is(error) bool }); ok {
			passes := job == config.Snapshot
			if kind.Is(fail.ErrUsage) || !passes && (kind.Is(fail.ErrVerification) || kind.Is(fail.ErrUnsafe)) {
				return true
			}
		}
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			return !slices.ContainsFunc(several.Unwrap(), func(err error) bool { return !final(job, err) })
		}
	}
	return false
}

// lateError is the end of a run at its deadline.
type lateError struct {
	deadline time.Duration
	err      error
}

func (e *lateError) Error() string { return fmt.Sprintf("not done within %s: %v", e.deadline, e.err) }

func (e *lateError) Unwrap() error { return e.err }

// ended notes a run that came to its end, tells of it, and keeps its record.
func (c *cluster) ended(ctx context.Context, j *job, w Worker, r status.Record) {
	c.mu.Lock()
	before, failing := j.last, j.failing
	if before != nil && !r.Passed {
		r.LastSuccess = before.LastSuccess
		if before.Passed {
			r.LastSuccess = before.Finished
		}
	}
	j.note(&r)
	c.mu.Unlock()
	news := r.Job != config.Health || before == nil || before.Passed != r.Passed || before.Error != r.Error
	c.logRun(r, news)
	c.d.o.Ran(r)
	c.tell(j, before, failing, r)
	if news {
		c.keep(ctx, j, w, r)
	}
}

// keep adds a record, also when the term has just ended: what it says has happened. One that no
// store takes is remembered, and so are all after it.
func (c *cluster) keep(ctx context.Context, j *job, w Worker, r status.Record) {
	c.mu.Lock()
	j.unsaved = append(slices.Clone(j.unsaved), r)
	j.unsaved = j.unsaved[max(0, len(j.unsaved)-maxUnsaved):]
	known := j.known
	c.mu.Unlock()
	if !known {
		c.log.Warn("the record of a run waits until older ones can be read", "job", r.Job, "slot", r.Slot)
		return
	}
	c.offer(context.WithoutCancel(ctx), j, w, r.Slot)
}

// offer offers the records that were not taken yet, oldest first. The one of fresh, if there
// is one, is offered for the first time.
//
// It has to be known what the records say. Before that others may have counted
// those slots as missed.
func (c *cluster) offer(ctx context.Context, j *job, w Worker, fresh time.Time) {
	c.mu.Lock()
	unsaved := j.unsaved
	c.mu.Unlock()
	if len(unsaved) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	for _, r := range unsaved {
		err := w.Add(ctx, r)
		if errors.Is(err, ErrRecorded) {
			if r.Slot.Equal(fresh) { // else its first offer was taken, and the answer lost
				c.log.Error("doubled: another instance has run the slot too", "job", r.Job, "slot", r.Slot)
				c.trouble(string(r.Job), fmt.Errorf("the slot %s was run twice: %w", r.Slot.Format(time.RFC3339), err))
			}
			err = nil
		}
		if err != nil {
			if !fresh.IsZero() { // said once for each record
				c.log.Error("the record of a run is kept nowhere yet", "job", r.Job, "slot", r.Slot, "error", err)
			}
			c.trouble(string(r.Job), fmt.Errorf("keep the record: %w", err))
			return
		}
		c.mu.Lock()
		j.taken(r.Slot)
		c.mu.Unlock()
	}
}

// taken forgets unsaved records up to a slot. c.mu is held.
func (j *job) taken(slot time.Time) {
	j.unsaved = slices.DeleteFunc(slices.Clone(j.unsaved), func(r status.Record) bool { return !r.Slot.After(slot) })
}
