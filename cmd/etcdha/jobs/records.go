package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// recordFormat is the only format of the records of jobs.
const recordFormat = 1

// Last implements [cronjobs.Records]. The stores' newest counts; it is an error only if
// none of them can be read.
func (w *Worker) Last(ctx context.Context, job config.JobName) (*status.Record, error) {
	vaults, failed := w.vaults(ctx)
	var last *status.Record
	for _, v := range vaults {
		r, err := w.lastIn(ctx, v, job)
		if err != nil {
			failed = append(failed, v.failed(err))
			continue
		}
		if r != nil && (last == nil || better(r, last)) {
			last = r
		}
	}
	if len(failed) == len(w.shelves) {
		return nil, inStore(errors.Join(failed...))
	}
	for _, err := range failed {
		w.Log.Warn("records of a store cannot be read", "job", job, "error", err)
	}
	if job != config.Snapshot {
		return last, nil
	}
	return w.unrecorded(ctx, last)
}

// better tells whether a record says more than another one: of a later slot, or of the
// same where the other is damaged.
func better(r, than *status.Record) bool {
	if !r.Slot.Equal(than.Slot) {
		return r.Slot.After(than.Slot)
	}
	return than.Etcdha == ""
}

// lastIn is the newest record in a store. One that is damaged says by its name that
// the slot had its run, and nothing of how that went.
func (w *Worker) lastIn(ctx context.Context, v *vault, job config.JobName) (*status.Record, error) {
	all, err := v.JobRecords(ctx, string(job))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	newest := all[len(all)-1]
	r := new(status.Record)
	err = v.ReadJobRecord(ctx, newest, r)
	if err == nil && (r.Cluster != w.cluster.Name || r.Job != job || !r.Slot.Equal(newest.Slot)) {
		err = fail.Verificationf("record of %s %s lies in the place of another one", r.Job, r.Slot.UTC().Format(time.RFC3339))
	}
	if errors.Is(err, fail.ErrVerification) || errors.Is(err, snapshot.ErrNewerFormat) {
		return &status.Record{Format: recordFormat, Cluster: w.cluster.Name, Job: job, Slot: newest.Slot, Error: err.Error(), Hint: fail.Hint(err), Kind: "verification"}, nil
	}
	return r, err
}

// unrecorded makes a record of a backup whose instance was killed before it could write
// one. It has to be in every store that can be read: those that lack it are still to
// get it.
func (w *Worker) unrecorded(ctx context.Context, last *status.Record) (*status.Record, error) {
	var backup *known
	complete := true
	err := w.anyShelf(ctx, func(all []*known) {
		k := w.newest(all)
		complete = complete && k != nil
		if complete && (backup == nil || k.Started.Before(backup.Started)) {
			backup = k
		}
	})
	if err != nil || !complete || backup == nil {
		return last, err
	}
	slot := w.slotOf(backup.Started)
	if slot.IsZero() || last != nil && !slot.After(last.Slot) {
		return last, nil
	}
	return &status.Record{
		Format: recordFormat, Cluster: w.cluster.Name, Job: config.Snapshot, Slot: slot,
		Started: backup.Started, Finished: backup.Finished, Attempts: 1, Passed: true,
		Summary: backup.ID + ", found without a record", Etcdha: w.Version,
	}, nil
}

// newest is the newest ordinary backup that is not dated in the future.
func (w *Worker) newest(all []*known) *known {
	var newest *known
	for _, k := range all { // oldest first
		if !k.Emergency && !k.Started.After(w.Now()) {
			newest = k
		}
	}
	return newest
}

// slotOf is the slot of the snapshot job that a backup begun at t belongs to.
func (w *Worker) slotOf(t time.Time) time.Time {
	for _, j := range w.cluster.Jobs {
		if j.Name == config.Snapshot {
			return j.Schedule.Latest(t)
		}
	}
	return time.Time{}
}

// Add implements [cronjobs.Records]. Every store gets the record; it is an error if
// none has it. All take them in the same order, so that of two instances at the same
// time one hears of the other at once.
func (w *Worker) Add(ctx context.Context, r status.Record) error {
	r.Format, r.Slot, r.Started, r.Finished = recordFormat, r.Slot.UTC(), r.Started.UTC(), r.Finished.UTC()
	vaults, failed := w.vaults(ctx)
	kept := false
	for _, v := range vaults {
		err := v.AddJobRecord(ctx, snapshot.JobRecord{Job: string(r.Job), Slot: r.Slot}, r)
		switch {
		case errors.Is(err, storage.ErrExist):
			return fmt.Errorf("store %s: %w", v.name, cronjobs.ErrRecorded)
		case err != nil:
			failed = append(failed, v.failed(err))
		default:
			kept = true
		}
	}
	if !kept {
		return inStore(errors.Join(failed...))
	}
	for _, err := range failed {
		w.Log.Warn("a store has not got the record of a job", "job", r.Job, "error", err)
	}
	return nil
}
