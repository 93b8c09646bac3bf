package cronjobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// What fails is tried until it succeeds.
func TestRetry(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.do = func(_ context.Context, _ string, r Run) (string, error) {
			if time.Now().UTC().Format("15:04:05") < "09:02:00" {
				return "", errors.New("no route to host")
			}
			return "saved", nil
		}
		n := w.start("a", named("c", w.job(config.Verify, "0 * * * *")))
		w.until("09:01:00")
		if j := n.of("c").Jobs[0]; j.Attempt != 3 || j.Running.UTC().Format(time.TimeOnly) != "09:00:00" || j.Next.Hour() != 10 {
			t.Errorf("while it is tried: %+v", j)
		}
		if trouble := n.of("c").Troubles; len(trouble) != 1 || trouble[0].Err != "no route to host" || trouble[0].What != "verify" {
			t.Errorf("troubles: %+v", trouble)
		}
		w.until("09:59:00")
		n.stop()
		w.same("tries", w.tries(config.Verify), []string{"09:00:00 for 09:00 by a", "09:00:10 for 09:00 by a", "09:00:30 for 09:00 by a",
			"09:01:10 for 09:00 by a", "09:02:30 for 09:00 by a"})
		w.same("records", w.records(config.Verify), []string{"10T09:00 by a, 5 tries"})
		if r := w.kept[0]; r.Summary != "saved" || r.Format != 1 || r.Cluster != "c" || r.Etcdha != "v1" ||
			r.Started.Format(time.TimeOnly) != "09:00:00" || r.Finished.Format(time.TimeOnly) != "09:02:30" {
			t.Errorf("record: %+v", r)
		}
		if len(w.told()) != 0 {
			t.Errorf("a slot that succeeded in the end is no news: %q", w.told())
		}
	})
}

// Tries end where the next slot begins, and that one is a new chance.
func TestWindowEnds(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.do = func(_ context.Context, _ string, r Run) (string, error) {
			time.Sleep(50 * time.Second)
			return "", fail.WithHint(errors.New("refused"), "is it running?")
		}
		n := w.start("a", named("c", w.job(config.Verify, "*/5 * * * *")))
		w.until("09:09:59")
		n.stop()
		w.same("tries", w.tries(config.Verify)[:6], []string{
			"08:55:00 for 08:55 by a", "08:56:00 for 08:55 by a", "08:57:10 for 08:55 by a", "08:58:40 for 08:55 by a",
			"09:00:00 for 09:00 by a", "09:01:00 for 09:00 by a"})
		w.same("records", w.records(config.Verify)[:1], []string{"10T08:55 by a, 4 tries, other: refused"})
		if r := w.kept[0]; r.Hint != "is it running?" {
			t.Errorf("hint is %q", r.Hint)
		}
	})
}

// A last try that goes on beyond the next slot does not cost that one.
func TestFailureBeyondTheNextSlot(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		w.do = func(_ context.Context, _ string, r Run) (string, error) {
			time.Sleep(7 * time.Minute)
			return "", errors.New("too slow")
		}
		n := w.start("a", named("c", w.job(config.Verify, "*/5 * * * *")))
		w.until("09:16:00")
		w.change(func() { w.do = nil })
		w.until("09:26:00")
		n.stop()
		w.same("records", w.records(config.Verify), []string{"10T09:00 by a, other: too slow", "10T09:05 by a, other: too slow",
			"10T09:10 by a, other: too slow", "10T09:20 by a, 1 missed", "10T09:25 by a"})
	})
}

// A run ends at its deadline, with all its tries.
func TestDeadline(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		verify, prune := w.job(config.Verify, "0 * * * *"), w.job(config.Prune, "0 * * * *")
		verify.Deadline, prune.Deadline = 10*time.Minute, 10*time.Minute
		w.do = func(ctx context.Context, cluster string, r Run) (string, error) {
			if r.Job == config.Verify {
				return takes(time.Hour)(ctx, cluster, r)
			}
			return "", errors.New("refused")
		}
		n := w.start("a", named("c", verify, prune))
		w.until("09:59:00")
		n.stop()
		w.same("verify", w.records(config.Verify), []string{"10T09:00 by a, deadline: not done within 10m0s: context deadline exceeded"})
		w.same("prune", w.records(config.Prune), []string{"10T09:00 by a, 6 tries, other: refused"})
	})
}

// An error that does not change by trying is not tried again, and its kind is kept.
func TestFinalErrors(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		errs := map[config.JobName]error{
			config.Verify:   fail.Verificationf("damaged"),
			config.Prune:    fail.Unsafef("unsafe"),
			config.Defrag:   fail.Usagef("which?"),
			config.Rehearse: storeError{errors.New("bucket gone")},
		}
		var jobs []config.Job
		for name := range errs {
			jobs = append(jobs, w.job(name, "0 * * * *"))
		}
		w.do = func(_ context.Context, _ string, r Run) (string, error) { return "", errs[r.Job] }
		n := w.start("a", named("c", jobs...))
		w.until("09:59:00")
		n.stop()
		w.same("verify", w.records(config.Verify), []string{"10T09:00 by a, verification: damaged"})
		w.same("prune", w.records(config.Prune), []string{"10T09:00 by a, unsafe: unsafe"})
		w.same("defrag", w.records(config.Defrag), []string{"10T09:00 by a, usage: which?"})
		w.same("rehearse", w.records(config.Rehearse), []string{"10T09:00 by a, 16 tries, store: bucket gone"})
	})
}

type storeError struct{ error }

func (storeError) Kind() string { return "store" }
