package cronjobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// The end lets runs come to their end, and begins no other.
func TestGraceIsEnough(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.do = func(ctx context.Context, c string, r Run) (string, error) {
			if r.Job == config.Verify {
				return "", errors.New("refused") // and is in its pause at the end
			}
			return takes(time.Minute)(ctx, c, r)
		}
		n := w.node("a", named("c", w.job(config.Snapshot, "0 * * * *"), w.job(config.Defrag, "5 0 * * * *"), w.job(config.Verify, "0 * * * *")))
		n.o.Grace = 50 * time.Second
		n.run()
		w.until("09:00:15")
		n.stop()
		if clock := time.Now().UTC().Format(time.TimeOnly); clock != "09:01:00" {
			t.Errorf("the end was at %s", clock)
		}
		w.same("snapshots", w.records(config.Snapshot), []string{"10T08:00 by a", "10T09:00 by a"})
		if len(w.records(config.Defrag)) != 0 || len(w.records(config.Verify)) != 0 {
			t.Errorf("defrag %q, verify %q", w.records(config.Defrag), w.records(config.Verify))
		}
		if len(w.tries(config.Defrag)) != 0 {
			t.Errorf("defrag was begun: %q", w.tries(config.Defrag))
		}
		if w.open["c"] != 0 {
			t.Error("the worker was not closed")
		}
	})
}

// What takes longer than the grace is broken off, and leaves no record.
func TestGraceIsOver(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		w.do = takes(10 * time.Minute)
		n := w.start("a", named("c", w.job(config.Prune, "0 * * * *")))
		w.until("09:00:10")
		n.stop()
		if clock := time.Now().UTC().Format(time.TimeOnly); clock != "09:00:40" {
			t.Errorf("the end was at %s", clock)
		}
		w.same("records", w.records(config.Prune), nil)
		if err := w.acts[0].err; !errors.Is(err, context.Canceled) {
			t.Errorf("the run ended with %v", err)
		}
	})
}

// What comes to its end although it was broken off has happened, and is recorded.
func TestDoneAtTheLastMoment(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		w.do = func(ctx context.Context, _ string, _ Run) (string, error) {
			<-ctx.Done()
			return "saved", nil
		}
		n := w.start("a", named("c", w.job(config.Prune, "0 * * * *")))
		w.until("09:00:10")
		n.stop()
		w.same("records", w.records(config.Prune), []string{"10T09:00 by a"})
	})
}

// The lock is given back only after the last run has ended.
func TestLockIsGivenBackLast(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		b := w.ballot("c")
		w.do = takes(20 * time.Second)
		n := w.start("a", named("c", w.job(config.Snapshot, "0 * * * *")))
		b.give("a")
		w.until("09:00:10")
		go n.stop()
		w.until("09:00:19")
		if len(b.lock) != 1 || len(w.records(config.Snapshot)) != 1 {
			t.Errorf("lock %d, records %q", len(b.lock), w.records(config.Snapshot))
		}
		<-n.ended
		if clock := time.Now().UTC().Format(time.TimeOnly); clock != "09:00:20" || len(b.lock) != 0 {
			t.Errorf("the end was at %s, lock %d", clock, len(b.lock))
		}
		w.same("records", w.records(config.Snapshot), []string{"10T08:00 by a", "10T09:00 by a"})
	})
}
