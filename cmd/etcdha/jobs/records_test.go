package jobs

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/cronjobs/status"
)

var aSlot = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)

func recordOf(job config.JobName, slot time.Time) status.Record {
	return status.Record{
		Cluster: "production", Job: job, Slot: slot, Started: slot.Add(time.Second), Finished: slot.Add(time.Minute),
		Attempts: 2, Missed: 3, Error: "store s3: no answer", Hint: "look there", Kind: "store", Instance: "node-1", Etcdha: "test",
	}
}

// away takes a store away; the function brings it back.
func (w *world) away(store string) (back func()) {
	w.Helper()
	dir := w.dirs[store]
	w.must(os.Rename(dir, dir+"-away"))
	w.must(os.WriteFile(dir, nil, 0o600))
	return func() {
		w.Helper()
		w.must(os.Remove(dir))
		w.must(os.Rename(dir+"-away", dir))
	}
}

// A slot has one record. It is in every store, and one store is enough to know it.
func TestARecordForEachSlot(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	worker := w.worker()
	if r, err := worker.Last(t.Context(), config.Verify); r != nil || err != nil {
		t.Errorf("in the beginning: %+v, %v", r, err)
	}
	older, newer := recordOf(config.Verify, aSlot), recordOf(config.Verify, aSlot.Add(time.Hour))
	w.must(worker.Add(t.Context(), older))
	w.must(worker.Add(t.Context(), older)) // as after an answer that was lost
	back := w.away("local")
	w.must(worker.Add(t.Context(), newer))
	back()
	w.must(worker.Add(t.Context(), recordOf(config.Prune, aSlot.Add(2*time.Hour))))
	newer.Format = 1
	if r, err := worker.Last(t.Context(), config.Verify); err != nil || !reflect.DeepEqual(*r, newer) {
		t.Errorf("%+v, %v; want %+v", r, err, newer)
	}
	other := newer
	other.Instance = "node-2"
	if err := worker.Add(t.Context(), other); !errors.Is(err, cronjobs.ErrRecorded) {
		t.Errorf("another one for the slot: %v", err)
	}

	// A record that is damaged in one store is whole in the other, which has got it meanwhile.
	w.flip(w.file("s3", "verify", "20261120T230000Z.json"))
	w.flip(w.file("s3", "verify", "20261121T000000Z.json"))
	if r, err := worker.Last(t.Context(), config.Verify); err != nil || !reflect.DeepEqual(*r, newer) {
		t.Errorf("damaged in one store: %+v, %v", r, err)
	}
	w.flip(w.file("local", "verify", "20261121T000000Z.json"))
	if r, err := worker.Last(t.Context(), config.Verify); err != nil || !r.Slot.Equal(newer.Slot) || r.Passed || !strings.Contains(r.Error, "damaged") {
		t.Errorf("only the damaged one is left: %+v, %v", r, err)
	}
	for store := range w.dirs {
		w.must(os.Remove(w.file(store, "verify", "20261121T000000Z.json")))
	}
	if r, err := worker.Last(t.Context(), config.Verify); err != nil || r.Instance != "node-1" || !r.Slot.Equal(aSlot) {
		t.Errorf("of the sound store: %+v, %v", r, err)
	}

	w.away("s3")
	w.away("local")
	if _, err := worker.Last(t.Context(), config.Verify); kindOf(err) != "store" {
		t.Errorf("without stores: %v", err)
	}
	if err := worker.Add(t.Context(), newer); kindOf(err) != "store" || errors.Is(err, cronjobs.ErrRecorded) {
		t.Errorf("without stores: %v", err)
	}
}

// An instance that was killed behind its backup has left no record. The backup is one,
// once every store has it.
func TestABackupWithoutARecordCounts(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	hourly, err := schedule.Parse("@every 1s", time.UTC)
	w.must(err)
	w.config.Jobs = []config.Job{{Name: config.Snapshot, Schedule: hourly}}
	slot := w.slot()
	both := w.config.Stores
	w.config.Stores = both[:1]
	w.mustDo(config.Snapshot, slot)
	w.config.Stores = both
	if r, err := w.worker().Last(t.Context(), config.Snapshot); r != nil || err != nil {
		t.Errorf("one store lacks it: %+v, %v", r, err)
	}
	w.mustDo(config.Snapshot, slot)
	b := w.backups("s3")[0]
	r, err := w.worker().Last(t.Context(), config.Snapshot)
	if err != nil || !r.Slot.Equal(hourly.Latest(b.Started)) || !r.Passed || !strings.Contains(r.Summary, b.ID) || !r.Finished.Equal(b.Finished) {
		t.Errorf("%+v, %v", r, err)
	}
	recorded := recordOf(config.Snapshot, r.Slot)
	w.must(w.worker().Add(t.Context(), recorded))
	if r, err := w.worker().Last(t.Context(), config.Snapshot); err != nil || r.Instance != "node-1" {
		t.Errorf("the record itself: %+v, %v", r, err)
	}
	if r, err := w.worker().Last(t.Context(), config.Health); r != nil || err != nil {
		t.Errorf("of another job: %+v, %v", r, err)
	}
}
