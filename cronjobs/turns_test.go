package cronjobs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// A snapshot and a defragmentation wait for each other; others do not.
func TestAlone(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		w.do = takes(10 * time.Minute)
		n := w.start("a", named("c", w.job(config.Snapshot, "0 * * * *"), w.job(config.Defrag, "5 * * * *"), w.job(config.Verify, "5 * * * *")))
		w.until("09:40:00")
		n.stop()
		w.same("snapshot", w.tries(config.Snapshot), []string{"08:59:00 for 08:00 by a"})
		w.same("defrag", w.tries(config.Defrag), []string{"09:09:00 for 09:05 by a"})
		w.same("verify", w.tries(config.Verify), []string{"09:05:00 for 09:05 by a"})
	})
}

// So many runs go on at the same time, over all clusters, but for health.
func TestConcurrency(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		w.do = takes(10 * time.Minute)
		var clusters []config.Cluster
		for _, name := range []string{"c1", "c2", "c3", "c4", "c5"} {
			clusters = append(clusters, named(name, w.job(config.Verify, "0 * * * *"), w.job(config.Health, "0 * * * *")))
		}
		n := w.node("a", clusters...)
		if err := n.configure(func(f *config.File) { f.Concurrency = 2 }); err != nil {
			t.Fatal(err)
		}
		n.run()
		w.until("09:05:00")
		if got := len(w.tries(config.Verify)); got != 2 {
			t.Errorf("%d runs go on, want 2", got)
		}
		if got := len(w.tries(config.Health)); got != 5 {
			t.Errorf("%d looks at health go on, want 5", got)
		}
		waiting := 0
		for _, c := range n.Fleet().Clusters {
			if j := c.Jobs[0]; j.Running.IsZero() {
				waiting++
				if !j.Next.Equal(time.Now()) {
					t.Errorf("one that waits is due at %s", j.Next)
				}
			}
		}
		if waiting != 3 {
			t.Errorf("%d wait, want 3", waiting)
		}
		if err := n.configure(func(f *config.File) { f.Concurrency = 3 }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := len(w.tries(config.Verify)); got != 3 {
			t.Errorf("%d runs have begun, want 3", got)
		}
		w.until("09:30:00")
		n.stop()
		if got := len(w.records(config.Verify)); got != 5 {
			t.Errorf("%d records, want 5", got)
		}
	})
}

// A job that has waited for its turn is run for the slot that is the newest then.
func TestSlotsPassWhileItWaits(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		w.do = func(ctx context.Context, c string, r Run) (string, error) {
			if r.Job == config.Verify {
				return takes(55*time.Minute)(ctx, c, r)
			}
			return "", nil
		}
		n := w.node("a", named("c", w.job(config.Verify, "0 * * * *"), w.job(config.Prune, "1,11,21,31,41 * * * *")))
		if err := n.configure(func(f *config.File) { f.Concurrency = 1 }); err != nil {
			t.Fatal(err)
		}
		n.run()
		w.until("09:59:00")
		n.stop()
		w.same("tries", w.tries(config.Prune), []string{"09:55:00 for 09:41 by a"})
		w.same("records", w.records(config.Prune), []string{"10T09:41 by a, 4 missed"})
	})
}

// A try whose turn comes after the next slot is none any more.
func TestWindowEndsWhileItWaits(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		w.do = func(ctx context.Context, c string, r Run) (string, error) {
			if r.Job == config.Verify {
				return takes(50*time.Minute)(ctx, c, r)
			}
			return "", errors.New("refused")
		}
		n := w.node("a", named("c", w.job(config.Prune, "*/20 * * * *"), w.job(config.Verify, "5 0 * * * *")))
		if err := n.configure(func(f *config.File) { f.Concurrency = 1 }); err != nil {
			t.Fatal(err)
		}
		n.run()
		w.until("09:50:06")
		n.stop()
		w.same("tries", w.tries(config.Prune), []string{"09:00:00 for 09:00 by a", "09:50:05 for 09:40 by a"})
		w.same("records", w.records(config.Prune), []string{"10T09:00 by a, other: refused"})
	})
}
