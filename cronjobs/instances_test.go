package cronjobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/cronjobs/notify"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// Two instances take turns: no slot is run twice, none is left out.
func TestChangeOfTheActiveInstance(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		b := w.ballot("c")
		c := named("c", w.job(config.Snapshot, "0 * * * *"))
		one, two := w.start("a", c), w.start("b", c)
		w.until("09:30:00") // nobody is active yet
		if len(w.acts) != 0 {
			t.Errorf("a standby has run %q", w.tries(config.Snapshot))
		}
		b.give("a")
		w.until("10:10:00")
		if s := one.of("c"); !s.Here || s.Active != "a" {
			t.Errorf("a says here=%t, active=%q", s.Here, s.Active)
		}
		if s := two.of("c"); s.Here || s.Active != "a" || s.Jobs[0].Last == nil || s.Jobs[0].Last.Instance != "a" {
			t.Errorf("b says here=%t, active=%q, last %+v", s.Here, s.Active, s.Jobs[0].Last)
		}
		b.give("b")
		w.until("11:10:00")
		b.give("")
		w.until("13:30:00")
		b.give("a")
		w.until("14:10:00")
		one.stop()
		two.stop()
		w.same("records", w.records(config.Snapshot), []string{"10T09:00 by a", "10T10:00 by a", "10T11:00 by b",
			"10T13:00 by a, 1 missed", "10T14:00 by a"})
	})
}

// A run is broken off with the term, leaves no record, and is run by the next instance.
func TestTermEndsAmidstARun(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		b := w.ballot("c")
		w.do = takes(10 * time.Minute)
		c := named("c", w.job(config.Prune, "0 * * * *"))
		one, two := w.start("a", c), w.start("b", c)
		b.give("a")
		w.until("08:59:59")
		// b has seen that there is no record, so that the slot counts for it as well.
		w.change(func() {
			w.keep(status.Record{Cluster: "c", Job: config.Prune, Slot: time.Now().Truncate(time.Hour), Passed: true})
		})
		w.until("09:05:00")
		b.give("b")
		w.until("09:30:00")
		one.stop()
		two.stop()
		w.same("tries", w.tries(config.Prune), []string{"09:00:00 for 09:00 by a", "09:05:00 for 09:00 by b"})
		w.same("records", w.records(config.Prune)[1:], []string{"10T09:00 by b"})
		if err := w.acts[0].err; !errors.Is(err, context.Canceled) {
			t.Errorf("the run of a ended with %v", err)
		}
	})
}

// What is told of failures and recoveries does not depend on who is active.
func TestToldOnce(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		b := w.ballot("c")
		down := true
		w.do = func(context.Context, string, Run) (string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if down {
				return "", errors.New("refused")
			}
			return "", nil
		}
		job := w.job(config.Snapshot, "0 * * * *")
		job.Deadline = 5 * time.Second // one try
		c := named("c", job)
		one, two := w.start("a", c), w.start("b", c)
		b.give("a")
		w.until("10:10:00")
		b.give("b")
		w.until("11:10:00")
		two.stop()
		two = w.start("b", c)
		w.until("12:10:00")
		w.change(func() { down = false })
		w.until("13:10:00")
		b.give("a")
		w.until("14:10:00")
		one.stop()
		two.stop()
		w.same("told", w.told(), []string{"08:59:00 a failure: c: snapshot failed: refused",
			"11:00:00 b failure: c: snapshot still fails: refused", // each process once, since the event before may be lost
			"12:00:00 b failure: c: snapshot still fails: refused", "13:00:00 b recovery: c: snapshot succeeds again"})
		if e := w.events[0]; e.Error != "refused" || e.Job != "snapshot" || e.Cluster != "c" || e.Instance != "a" {
			t.Errorf("failure: %+v", e)
		}
		// b was restarted, and knows the failures from the record of 11:00 on.
		if e := w.events[3]; e.Kind != notify.Recovery || e.Since.UTC().Format("15:04") != "11:00" {
			t.Errorf("recovery: %+v", e)
		}
		if got := w.records(config.Snapshot); len(got) != 7 {
			t.Errorf("records: %q", got)
		}
		if len(w.ran) != 7 {
			t.Errorf("%d runs were counted, want 7", len(w.ran))
		}
	})
}

// Health leaves a record of what has changed, counts each time, and misses nothing.
func TestHealth(t *testing.T) {
	tell(t, "2026-03-10T08:59:30Z", func(w *world) {
		b := w.ballot("c")
		w.do = func(context.Context, string, Run) (string, error) {
			switch clock := time.Now().UTC().Format("15:04:05"); {
			case clock < "09:10:00" || clock > "09:30:00":
				return "healthy", nil
			case clock < "09:20:00":
				return "", errors.New("m1 is down")
			}
			return "", errors.New("m1 and m2 are down")
		}
		job := w.job(config.Health, "* * * * *")
		job.Deadline = 5 * time.Second
		c := named("c", job)
		one, two := w.start("a", c), w.start("b", c)
		b.give("a")
		w.until("09:15:30")
		b.give("")
		w.until("09:17:30")
		b.give("b")
		w.until("09:40:30")
		if last := two.of("c").Jobs[0].Last; last == nil || last.Slot.Format("15:04") != "09:40" {
			t.Errorf("last is %+v", last)
		}
		one.stop()
		two.stop()
		w.same("records", w.records(config.Health), []string{"10T09:00 by a", "10T09:10 by a, other: m1 is down",
			"10T09:20 by b, other: m1 and m2 are down", "10T09:31 by b"})
		w.same("told", w.told(), []string{"09:10:00 a failure: c: health failed: m1 is down",
			"09:18:00 b failure: c: health still fails: m1 is down", "09:31:00 b recovery: c: health succeeds again"})
		if want := 41 - 2; len(w.ran) != want { // 09:16 and 09:17 had nobody
			t.Errorf("%d runs were counted, want %d", len(w.ran), want)
		}
	})
}

// Without a lock only what harms nobody is run.
func TestUnlocked(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		var jobs []config.Job
		for _, name := range config.JobNames {
			jobs = append(jobs, w.job(name, "0 * * * *"))
		}
		n := w.node("a", named("c", jobs...))
		n.Daemon.elect = func(config.Cluster, Worker, func() bool) elector { return unlockedElector{} }
		n.run()
		w.until("09:30:00")
		n.stop()
		for _, name := range config.JobNames {
			runs := name == config.Snapshot || name == config.Health
			if got := w.records(name); (len(got) > 0) != runs {
				t.Errorf("records of %s: %q", name, got)
			}
		}
		for _, r := range w.kept {
			if !r.Unlocked {
				t.Errorf("record %+v", r)
			}
		}
		for _, a := range w.acts {
			if !a.run.Unlocked || a.run.MayAct == nil {
				t.Errorf("run %+v", a.run)
			}
		}
	})
}

// An instance that has nothing to do in a term stays active all the same.
func TestNothingToDo(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		n := w.node("a", named("c", w.job(config.Prune, "0 * * * *")))
		early := false
		n.Daemon.elect = func(config.Cluster, Worker, func() bool) elector { return patientElector{early: &early} }
		n.run()
		w.until("09:30:00")
		if !n.of("c").Here {
			t.Error("it is not active")
		}
		n.stop()
		if early || len(w.acts) != 0 {
			t.Errorf("the term was given up: %t; runs: %q", early, w.tries(config.Prune))
		}
	})
}

type patientElector struct {
	always
	early *bool
}

func (patientElector) Active() string { return "" }

func (p patientElector) Run(ctx context.Context, lead func(context.Context, election.Term)) {
	lead(ctx, election.Term{Unlocked: true, MayAct: ctx.Err})
	*p.early = ctx.Err() == nil
	<-ctx.Done()
}

type unlockedElector struct{ always }

func (unlockedElector) Active() string { return "" }

func (unlockedElector) Run(ctx context.Context, lead func(context.Context, election.Term)) {
	lead(ctx, election.Term{Unlocked: true, MayAct: ctx.Err})
}

// An instance that was frozen begins nothing, although its context has not ended yet, and
// what fails meanwhile is not recorded.
func TestMayNotAct(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		frozen := false
		mayAct := func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if frozen {
				return errors.New("the lease is over")
			}
			return nil
		}
		n := w.node("a", named("c", w.job(config.Prune, "*/10 * * * *")))
		n.Daemon.elect = func(config.Cluster, Worker, func() bool) elector { return mayActElector(mayAct) }
		w.do = func(_ context.Context, _ string, r Run) (string, error) {
			time.Sleep(time.Minute)
			return "", r.MayAct()
		}
		n.run()
		w.until("09:10:30")
		w.change(func() { frozen = true })
		w.until("09:20:30")
		n.stop()
		w.same("tries", w.tries(config.Prune), []string{"09:00:00 for 09:00 by a", "09:10:00 for 09:10 by a"})
		w.same("records", w.records(config.Prune), []string{"10T09:00 by a"})
		w.same("told", w.told(), nil)
	})
}

type mayActElector func() error

func (mayActElector) Taken(func(string)) {}

func (mayActElector) Trouble() (time.Time, error) { return time.Time{}, nil }

func (mayActElector) Active() string { return "a" }

func (m mayActElector) Run(ctx context.Context, lead func(context.Context, election.Term)) {
	lead(ctx, election.Term{MayAct: m})
}

// A cluster is idle between the tries of a job, so that another instance may try it, and
// while it looks at its health.
func TestIdle(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		var idle func() bool
		n := w.node("a", named("c", w.job(config.Prune, "0 * * * *"), w.job(config.Health, "5 * * * *")))
		n.Daemon.elect = func(_ config.Cluster, _ Worker, f func() bool) elector { idle = f; return always{"a"} }
		w.do = func(context.Context, string, Run) (string, error) {
			time.Sleep(time.Minute)
			return "", errors.New("refused")
		}
		n.run()
		for _, at := range []struct {
			clock string
			idle  bool
		}{{"08:59:30", true}, {"09:00:30", false}, {"09:01:05", true}, {"09:01:30", false}, {"09:05:30", true}} {
			w.until(at.clock)
			if got := idle(); got != at.idle {
				t.Errorf("at %s idle is %t", at.clock, got)
			}
		}
		n.stop()
	})
}

// One that goes on failing is told again each day, and each of its records knows the last success.
func TestToldAgain(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		w.do = func(_ context.Context, _ string, r Run) (string, error) {
			if time.Now().UTC().Format(time.DateOnly) != "2026-03-10" {
				return "", fail.Usagef("refused")
			}
			return "done", nil
		}
		n := w.start("a", named("c", w.job(config.Verify, "0 */6 * * *")))
		time.Sleep(64 * time.Hour)
		n.stop()
		w.same("told", w.told(), []string{"00:00:00 a failure: c: verify failed: refused",
			"00:00:00 a failure: c: verify still fails: refused", "00:00:00 a failure: c: verify still fails: refused"})
		for _, r := range w.kept[2:] {
			if r.Passed == r.LastSuccess.Equal(w.kept[1].Finished) {
				t.Errorf("the record of %s: passed=%t, last success %s", r.Slot, r.Passed, r.LastSuccess)
			}
		}
	})
}

// An instance with a record that no store has taken does not give way: the next one would run
// the slot once more.
func TestNotIdleWithARecordThatWaits(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		down := true
		w.add = func(status.Record) (bool, error) {
			if down {
				return false, errors.New("down")
			}
			return true, nil
		}
		n := w.start("a", named("c", w.job(config.Verify, "0 * * * *")))
		w.until("09:00:30")
		if n.clusters[0].idle() {
			t.Error("idle while a record waits")
		}
		w.change(func() { down = false })
		w.until("09:05:00")
		if !n.clusters[0].idle() {
			t.Error("not idle after it was taken")
		}
		n.stop()
	})
}
