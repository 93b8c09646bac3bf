package jobs

import (
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/schedule"
)

// A run that goes on beyond the next slot begins its backup there. That slot has not had its
// run for all that; one that follows behind it has.
func TestTheBackupOfALongRunIsOfNoOtherSlot(t *testing.T) {
	w := newWorld(t, 1, "s3")
	each, err := schedule.Parse("@every 1s", time.UTC)
	w.must(err)
	w.config.Jobs = []config.Job{{Name: config.Snapshot, Schedule: each}}
	w.mustDo(config.Snapshot, w.slot())
	b := w.backups("s3")[0]
	r := recordOf(config.Snapshot, each.Latest(b.Started).Add(-3*time.Second))
	r.Started, r.Finished = r.Slot, b.Finished.Add(time.Millisecond)
	w.must(w.worker().Add(t.Context(), r))
	if last, err := w.worker().Last(t.Context(), config.Snapshot); err != nil || !last.Slot.Equal(r.Slot) {
		t.Errorf("%+v, %v", last, err)
	}

	w.mustDo(config.Snapshot, w.slot())
	next := w.backups("s3")[1]
	if last, err := w.worker().Last(t.Context(), config.Snapshot); err != nil || !last.Slot.Equal(each.Latest(next.Started)) {
		t.Errorf("the backup %s has no record: %+v, %v", next.ID, last, err)
	}
}
