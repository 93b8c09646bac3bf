package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// Last implements [cronjobs.Records]. The stores' newest counts; it is an error only if
// none of them can be read. A store that lacks it gets it: it may be the only one that
// can be read next time.
func (w *Worker) Last(ctx context.Context, job config.JobName) (*status.Record, error) {
	all, failed := sorted(ask(ctx, w, storeWait, func(ctx context.Context, s *shelf) (*lastRecord, error) {
		return w.lastIn(ctx, s, job)
	}))
	var last *status.Record
	for _, in := range all {
		if r := in.record; r != nil && (last == nil || better(r, last)) {
			last = r
		}
	}
	if len(all) == 0 {
		return nil, inStore(errors.Join(failed...))
	}
	for _, err := range failed {
		w.Log.Warn("records of a store cannot be read", "job", job, "error", err)
	}
	if last != nil && last.Etcdha != "" {
		w.spread(ctx, *last, all)
	}
	if job != config.Snapshot {
		return last, nil
	}
	return w.unrecorded(ctx, last)
}

// lastRecord is the newest record of a job in a store.
type lastRecord struct {
	shelf  *shelf
	record *status.Record // nil: none
}

// spread puts the newest record where it is missing. It has happened whoever is active.
func (w *Worker) spread(ctx context.Context, r status.Record, all []*lastRecord) {
	for _, a := range ask(ctx, w, storeWait, func(ctx context.Context, s *shelf) (struct{}, error) {
		i := slices.IndexFunc(all, func(in *lastRecord) bool { return in.shelf == s })
		if i < 0 || all[i].record != nil && !all[i].record.Slot.Before(r.Slot) {
			return struct{}{}, nil
		}
		return struct{}{}, w.addIn(ctx, s, r)
	}) {
		if a.err != nil {
			w.Log.Warn("a store has not got a record that it lacks", "job", r.Job, "slot", r.Slot, "error", a.err)
		}
	}
}

// better tells whether a record says more than another one: of a later slot, or of the
// same where the other is damaged.
func better(r, than *status.Record) bool {
	if !r.Slot.Equal(than.Slot) {
		return r.Slot.After(than.Slot)
	}
	return than.Etcdha == ""
}

// lastIn is the newest record in a store that is not dated in the future. One that is
// damaged says by its name that the slot had its run, and nothing of how that went.
func (w *Worker) lastIn(ctx context.Context, s *shelf, job config.JobName) (*lastRecord, error) {
	v, err := w.vault(ctx, s)
	if err != nil {
		return nil, err
	}
	all, err := v.JobRecords(ctx, string(job))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r snapshot.JobRecord) bool { return r.Slot.After(w.Now().Add(maxSkew)) })
	if len(all) == 0 {
		return &lastRecord{shelf: s}, nil
	}
	newest := all[len(all)-1]
	r := new(status.Record)
	err = v.ReadJobRecord(ctx, newest, r)
	if err == nil && (r.Cluster != w.cluster.Name || r.Job != job || !r.Slot.Equal(newest.Slot)) {
		err = fail.Verificationf("record of %s %s lies in the place of another one", r.Job, r.Slot.UTC().Format(time.RFC3339))
	}
	if unreadable(err) {
		r, err = &status.Record{Format: snapshot.Format, Cluster: w.cluster.Name, Job: job, Slot: newest.Slot, Error: err.Error(), Hint: fail.Hint(err), Kind: "verification"}, nil
	}
	return &lastRecord{shelf: s, record: r}, err
}

// unrecorded makes a record of a backup whose instance was killed before it could write
// one. It has to be in every store that can be read: those that lack it are still to
// get it. One that was begun before the end of the last run is of that one, which may
// have gone on beyond the next slot.
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
	if slot.IsZero() || last != nil && (!slot.After(last.Slot) || !backup.Started.After(last.Finished)) {
		return last, nil
	}
	return &status.Record{
		Format: snapshot.Format, Cluster: w.cluster.Name, Job: config.Snapshot, Slot: slot,
		Started: backup.Started, Finished: backup.Finished, Attempts: 1, Passed: true,
		Summary: backup.ID + ", found without a record", Etcdha: w.Version,
	}, nil
}

// newest is the newest ordinary backup that is as configured and not dated in the future.
func (w *Worker) newest(all []*known) *known {
	var newest *known
	for _, k := range all { // oldest first
		if !k.Emergency && k.asConfigured && !k.Started.After(w.Now()) {
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

// Add implements [cronjobs.Records]. Every store gets the record, all at the same time;
// it is an error if none has it, or if one has another one.
func (w *Worker) Add(ctx context.Context, r status.Record) error {
	kept, failed := sorted(ask(ctx, w, storeWait, func(ctx context.Context, s *shelf) (struct{}, error) {
		return struct{}{}, w.addIn(ctx, s, r)
	}))
	for _, err := range failed {
		if errors.Is(err, storage.ErrExist) {
			return fmt.Errorf("%w: %w", cronjobs.ErrRecorded, err)
		}
	}
	if len(kept) == 0 {
		return inStore(errors.Join(failed...))
	}
	for _, err := range failed {
		w.Log.Warn("a store has not got the record of a job", "job", r.Job, "error", err)
	}
	return nil
}

func (w *Worker) addIn(ctx context.Context, s *shelf, r status.Record) error {
	v, err := w.vault(ctx, s)
	if err != nil {
		return err
	}
	r.Format, r.Slot, r.Started, r.Finished, r.LastSuccess = snapshot.Format, r.Slot.UTC(), r.Started.UTC(), r.Finished.UTC(), r.LastSuccess.UTC()
	return v.AddJobRecord(ctx, snapshot.JobRecord{Job: string(r.Job), Slot: r.Slot}, r)
}
