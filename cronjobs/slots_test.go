package cronjobs

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// A new cluster gets its first backup at once; everything else begins with its next slot.
func TestNewCluster(t *testing.T) {
	tell(t, "2026-03-10T08:20:00Z", func(w *world) {
		n := w.start("a", named("c", w.job(config.Snapshot, "0 * * * *"), w.job(config.Verify, "30 8 * * *")))
		w.until("10:10:00")
		n.stop()
		w.same("backups", w.records(config.Snapshot), []string{"10T08:00 by a", "10T09:00 by a", "10T10:00 by a"})
		w.same("verified", w.records(config.Verify), []string{"10T08:30 by a"})
		w.same("first", w.tries(config.Snapshot)[:1], []string{"08:20:00 for 08:00 by a"})
	})
}

// After a day without a daemon the newest slot is caught up, and the others are counted.
func TestCatchUp(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		c := named("c", w.job(config.Snapshot, "0 * * * *"), w.job(config.Prune, "15 */2 * * *"))
		n := w.start("a", c)
		w.until("10:20:00")
		n.stop()
		w.until("10:19:59") // of the next day
		n = w.start("a", c)
		w.until("12:16:00")
		n.stop()
		w.same("backups", w.records(config.Snapshot), []string{"10T08:00 by a", "10T09:00 by a", "10T10:00 by a",
			"11T10:00 by a, 23 missed", "11T11:00 by a", "11T12:00 by a"})
		w.same("prunes", w.records(config.Prune), []string{"10T10:15 by a", "11T10:15 by a, 11 missed", "11T12:15 by a"})
	})
}

// A restart within the slot does not run it again.
func TestRestartRunsNothingTwice(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		c := named("c", w.job(config.Snapshot, "0 * * * *"))
		for range 5 {
			n := w.start("a", c)
			time.Sleep(20 * time.Minute)
			n.stop()
		}
		w.same("backups", w.records(config.Snapshot), []string{"10T08:00 by a", "10T09:00 by a", "10T10:00 by a"})
	})
}

// Slots that pass while a run goes on are missed.
func TestLongRun(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		verify := w.job(config.Verify, "*/10 * * * *")
		w.do = func(ctx context.Context, _ string, r Run) (string, error) {
			if r.Slot.Minute() == 0 {
				return takes(25*time.Minute)(ctx, "", r)
			}
			return "", nil
		}
		n := w.start("a", named("c", verify))
		w.until("09:45:00")
		n.stop()
		w.same("records", w.records(config.Verify), []string{"10T09:00 by a", "10T09:30 by a, 2 missed", "10T09:40 by a"})
	})
}

// Where nobody knows what was last, backups go on and what changes something waits.
func TestRecordsCannotBeRead(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		c := named("c", w.job(config.Snapshot, "0 * * * *"), w.job(config.Prune, "0 * * * *"))
		n := w.start("a", c)
		w.until("09:10:00")
		n.stop()
		down := errors.New("store is down")
		w.change(func() {
			w.last = func(string) error { return down }
			w.add = func(status.Record) (bool, error) { return false, down }
		})
		n = w.start("b", c)
		w.until("12:30:00")
		w.same("tries", w.tries(config.Snapshot)[2:], []string{"10:00:00 for 10:00 by b", "11:00:00 for 11:00 by b", "12:00:00 for 12:00 by b"})
		w.same("prunes", w.tries(config.Prune), []string{"09:00:00 for 09:00 by a"})
		if got := n.of("c").Troubles; len(got) == 0 || got[0].Err != "store is down" {
			t.Errorf("troubles: %+v", got)
		}
		w.change(func() { w.last, w.add = nil, nil })
		w.until("13:10:00")
		n.stop()
		w.same("backups", w.records(config.Snapshot), []string{"10T08:00 by a", "10T09:00 by a",
			"10T10:00 by b", "10T11:00 by b", "10T12:00 by b", "10T13:00 by b"})
		w.same("prunes", w.records(config.Prune), []string{"10T09:00 by a", "10T12:00 by b, 2 missed", "10T13:00 by b"})
	})
}

// A record that no store takes is remembered, and kept as soon as one does.
func TestRecordsCannotBeKept(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		offers := 0
		w.add = func(status.Record) (bool, error) { offers++; return offers == 3, errors.New("connection reset") }
		n := w.start("a", named("c", w.job(config.Prune, "*/20 * * * *")))
		w.until("09:01:30") // its second offer has failed; the third one arrives, and the answer does not
		w.same("records", w.records(config.Prune), nil)
		w.until("09:10:00")
		w.change(func() { w.add = nil })
		w.until("09:45:00")
		n.stop()
		w.same("tries", w.tries(config.Prune), []string{"09:00:00 for 09:00 by a", "09:20:00 for 09:20 by a", "09:40:00 for 09:40 by a"})
		w.same("records", w.records(config.Prune), []string{"10T09:00 by a", "10T09:20 by a", "10T09:40 by a"})
		for _, trouble := range n.of("c").Troubles {
			if trouble.Err != "keep the record: connection reset" {
				t.Errorf("trouble: %+v", trouble)
			}
		}
	})
}

// Somebody else's record for a slot that was run here is an alarm.
func TestDoubled(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.do = takes(time.Minute)
		n := w.start("a", named("c", w.job(config.Prune, "0 * * * *")))
		w.until("09:00:30")
		w.change(func() { w.keep(status.Record{Cluster: "c", Job: config.Prune, Slot: time.Now().Truncate(time.Hour)}) })
		w.until("10:02:00")
		n.stop()
		if got := n.of("c").Troubles; len(got) != 1 || got[0].Err != "the slot 2026-03-10T09:00:00Z was run twice: the slot has a record already" {
			t.Errorf("troubles: %+v", got)
		}
		if records := w.records(config.Prune); len(records) != 2 || records[1] != "10T10:00 by a" {
			t.Errorf("records: %q", records)
		}
	})
}

// A clock that was a day ahead does not hold up a job for a day when it is set right, nor
// does the record that it has left.
func TestClockIsSetBack(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		c := named("c", w.job(config.Snapshot, "0 * * * *"), w.job(config.Prune, "0 * * * *"))
		n := w.node("a", c)
		n.setClock(24 * time.Hour)
		n.run()
		w.until("10:10:00")
		n.setClock(0)
		w.until("12:10:00")
		n.stop()
		n = w.start("a", c)
		w.until("13:10:00")
		n.stop()
		w.same("prunes", w.records(config.Prune), []string{"11T09:00 by a", "11T10:00 by a", "10T11:00 by a", "10T12:00 by a", "10T13:00 by a"})
		if got := w.records(config.Snapshot); !slices.Equal(got[1:], w.records(config.Prune)) {
			t.Errorf("backups: %q", got)
		}
	})
}

// A clock that is set forward is noticed within a minute.
func TestClockIsSetForward(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		n := w.start("a", named("c", w.job(config.Prune, "0 * * * *")))
		w.until("08:51:30")
		n.setClock(3 * time.Hour)
		w.until("08:52:30")
		n.stop()
		w.same("records", w.records(config.Prune), []string{"10T11:00 by a, 2 missed"})
	})
}

// Slots that are seconds apart, in a zone of their own, with a jitter that is kept.
func TestSecondsZoneAndJitter(t *testing.T) {
	tell(t, "2026-03-10T08:59:58Z", func(w *world) {
		verify := zoned(t, config.Verify, "*/10 30 14 * * *", time.FixedZone("", 5*3600+1800))
		verify.Jitter = 8 * time.Second
		n := w.start("a", named("c", verify))
		next := n.of("c").Jobs[0].Next
		w.until("09:00:35")
		n.stop()
		if got := w.records(config.Verify); len(got) != 3 && len(got) != 4 {
			t.Errorf("records: %q", got)
		}
		jitter := w.kept[0].Started.Sub(w.kept[0].Slot)
		if jitter <= 0 || jitter >= 8*time.Second {
			t.Errorf("jitter is %s", jitter)
		}
		for _, r := range w.kept {
			if r.Started.Sub(r.Slot) != jitter {
				t.Errorf("slot %s began at %s", r.Slot, r.Started)
			}
		}
		if !next.Equal(w.kept[0].Started) {
			t.Errorf("next was to be %s, and was %s", next, w.kept[0].Started)
		}
	})
}
