package cronjobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// A CronJob runs the slots of the schedule, although it comes some seconds late.
func TestOnce(t *testing.T) {
	tell(t, "2026-03-10T09:00:07Z", func(w *world) {
		n := w.node("job", named("c", w.job(config.Verify, "0 * * * *")))
		for i := range 3 {
			time.Sleep(time.Duration(i) * time.Hour) // at 9, 10 and 12
			r, err := n.Once(context.Background(), "c", config.Verify)
			if err != nil || !r.Passed {
				t.Errorf("Once: %+v, %v", r, err)
			}
		}
		if _, err := n.Once(context.Background(), "c", config.Verify); err != nil {
			t.Error(err)
		}
		w.same("records", w.records(config.Verify), []string{"10T09:00 by job", "10T10:00 by job", "10T12:00 by job, 1 missed", "10T12:00 by job"})
		if got := w.kept[3].Slot.Format(time.TimeOnly); got != "12:00:07" {
			t.Errorf("the second run of the slot counts for %s", got)
		}
		if w.open["c"] != 0 {
			t.Error("the worker was not closed")
		}
	})
}

// It tries as often as a daemon, and returns the error itself.
func TestOnceFails(t *testing.T) {
	tell(t, "2026-03-10T09:00:07Z", func(w *world) {
		w.do = func(context.Context, string, Run) (string, error) {
			return "", fail.WithHint(errors.New("refused"), "is it running?")
		}
		job := w.job(config.Verify, "0 * * * *")
		job.Deadline = time.Minute
		n := w.node("job", named("c", job))
		r, err := n.Once(context.Background(), "c", config.Verify)
		if err == nil || err.Error() != "refused" || fail.Hint(err) != "is it running?" || r.Attempts != 3 || r.Error != "refused" {
			t.Errorf("Once: %+v, %v", r, err)
		}
		w.same("records", w.records(config.Verify), []string{"10T09:00 by job, 3 tries, other: refused"})
		w.same("told", w.told(), []string{"09:00:37 job failure: c: verify failed: refused"})
	})
}

// It waits for the lock no longer than the job may take.
func TestOnceWaitsForItsTurn(t *testing.T) {
	tell(t, "2026-03-10T09:00:07Z", func(w *world) {
		b := w.ballot("c")
		job := w.job(config.Verify, "0 * * * *")
		job.Deadline = 10 * time.Minute
		n := w.node("job", named("c", job))
		_, err := n.Once(context.Background(), "c", config.Verify)
		if err == nil || err.Error() != "run verify of cluster c: this instance did not become active within 10m0s" {
			t.Errorf("Once: %v", err)
		}
		b.give("a/once")
		if _, err = n.Once(context.Background(), "c", config.Verify); fail.Hint(err) != "a/once is active for the cluster" {
			t.Errorf("Once: %v, hint %q", err, fail.Hint(err))
		}
		time.AfterFunc(time.Minute, func() { b.give("job") })
		if _, err = n.Once(context.Background(), "c", config.Verify); err != nil {
			t.Errorf("Once: %v", err)
		}
		w.same("tries", w.tries(config.Verify), []string{"09:21:07 for 09:00 by job"})
	})
}

// Beside a daemon it does not wait at all, and says what to do instead. Nor does it say that time is up
// when somebody has ended it.
func TestOnceBesideADaemon(t *testing.T) {
	tell(t, "2026-03-10T09:00:07Z", func(w *world) {
		b := w.ballot("c")
		b.give("a")
		n := w.node("job", named("c", w.job(config.Verify, "0 * * * *")))
		begin := time.Now()
		_, err := n.Once(context.Background(), "c", config.Verify)
		if err == nil || err.Error() != "run verify of cluster c: a is active: the daemon runs verify by itself" ||
			fail.Hint(err) != "beside it, etcdha snapshot verify latest verifies the newest backup" || time.Since(begin) > 0 {
			t.Errorf("Once: %v, hint %q, after %s", err, fail.Hint(err), time.Since(begin))
		}
		b.give("b/once")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err = n.Once(ctx, "c", config.Verify)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "interrupted before it began") {
			t.Errorf("Once: %v", err)
		}
	})
}

// One that is broken off says so, and leaves no record.
func TestOnceIsBrokenOff(t *testing.T) {
	tell(t, "2026-03-10T09:00:07Z", func(w *world) {
		w.do = takes(time.Hour)
		n := w.node("job", named("c", w.job(config.Verify, "0 * * * *")))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := n.Once(ctx, "c", config.Verify)
		if !errors.Is(err, errBrokenOff) || len(w.kept) != 0 {
			t.Errorf("Once: %v, records %q", err, w.records(config.Verify))
		}
	})
}

// What is not there is a mistake of who asks; what cannot be known stops all but a backup.
func TestOnceRefuses(t *testing.T) {
	tell(t, "2026-03-10T09:00:07Z", func(w *world) {
		down := errors.New("store is down")
		w.last = func(string) error { return down }
		n := w.node("job", named("c", w.job(config.Prune, "0 * * * *"), w.job(config.Snapshot, "0 * * * *")))
		for _, test := range []struct {
			cluster string
			job     config.JobName
			want    string
			kind    error
		}{
			{"d", config.Prune, "there is no cluster d in etcdha.yaml", fail.ErrUsage},
			{"c", config.Verify, "cluster c has no job verify", fail.ErrUsage},
			{"c", config.Prune, "learn what of prune was run before: store is down", down},
		} {
			_, err := n.Once(context.Background(), test.cluster, test.job)
			if err == nil || err.Error() != test.want || !errors.Is(err, test.kind) {
				t.Errorf("Once(%s, %s): %v, want %s", test.cluster, test.job, err, test.want)
			}
		}
		if _, err := n.Once(context.Background(), "c", config.Snapshot); err != nil {
			t.Error(err)
		}
		if len(w.kept) != 1 || w.kept[0].Slot.Format(time.TimeOnly) != "09:00:07" {
			t.Errorf("records: %+v", w.kept)
		}
		w.opens = func(config.Cluster) error { return errors.New("no key") }
		if _, err := n.Once(context.Background(), "c", config.Snapshot); err == nil || err.Error() != "open cluster c: no key" {
			t.Errorf("Once: %v", err)
		}
	})
}

// What a daemon does after it counts on the record of a CronJob.
func TestDaemonAfterOnce(t *testing.T) {
	tell(t, "2026-03-10T09:00:07Z", func(w *world) {
		c := named("c", w.job(config.Snapshot, "0 * * * *"))
		if _, err := w.node("job", c).Once(context.Background(), "c", config.Snapshot); err != nil {
			t.Fatal(err)
		}
		n := w.start("a", c)
		w.until("10:10:00")
		n.stop()
		w.same("records", w.records(config.Snapshot), []string{"10T09:00 by job", "10T10:00 by a"})
	})
}
