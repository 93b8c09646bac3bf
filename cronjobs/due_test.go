package cronjobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// Which slot is next, case by case: an hourly job with a jitter of three minutes.
func TestDue(t *testing.T) {
	const jitter = 3 * time.Minute
	clock := func(s string) time.Time {
		at, err := time.Parse("2 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return at.AddDate(2026, 0, 0)
	}
	for name, test := range map[string]struct {
		job            config.JobName
		last, finished string // "" is none
		failed, never  bool
		from, now      string
		want           string
	}{
		"the next one":                  {last: "10 09:00", finished: "10 09:04", now: "10 09:20", want: "10 10:00 at 10:03"},
		"not before its jitter":         {last: "10 09:00", finished: "10 09:04", now: "10 10:02", want: "10 10:00 at 10:03"},
		"at it":                         {last: "10 09:00", finished: "10 09:04", now: "10 10:03", want: "10 10:00 at 10:03"},
		"caught up":                     {last: "10 09:00", finished: "10 09:04", now: "10 10:50", want: "10 10:00 at 10:03"},
		"the newest is caught up":       {last: "10 09:00", finished: "10 09:04", now: "10 13:01", want: "10 12:00 at 12:03, 2 missed"},
		"a run that lasted":             {last: "10 09:00", finished: "10 11:30", now: "10 11:30", want: "10 12:00 at 12:03, 2 missed"},
		"until the next one began":      {last: "10 09:00", finished: "10 10:03", now: "10 10:03", want: "10 10:00 at 10:03"},
		"a failure that lasted":         {last: "10 09:00", finished: "10 11:30", failed: true, now: "10 11:30", want: "10 11:00 at 11:03, 1 missed"},
		"lasted, and then a downtime":   {last: "10 09:00", finished: "10 11:30", now: "10 14:30", want: "10 14:00 at 14:03, 4 missed"},
		"nothing known":                 {from: "10 09:20", now: "10 09:30", want: "10 10:00 at 10:03"},
		"nothing known, in the jitter":  {from: "10 09:01", now: "10 09:02", want: "10 09:00 at 09:03"},
		"nothing known, later":          {from: "10 09:20", now: "10 12:30", want: "10 12:00 at 12:03, 2 missed"},
		"never run":                     {never: true, from: "10 09:20", now: "10 09:20", want: "10 10:00 at 10:03"},
		"no backup yet":                 {job: config.Snapshot, never: true, from: "10 09:20", now: "10 09:20", want: "10 09:00 at 09:03"},
		"no backup yet, later":          {job: config.Snapshot, never: true, from: "10 09:20", now: "10 11:20", want: "10 11:00 at 11:03, 1 missed"},
		"backup, nothing known":         {job: config.Snapshot, from: "10 09:20", now: "10 09:20", want: "10 10:00 at 10:03"},
		"another clock is ahead":        {last: "10 10:00", finished: "10 10:01", now: "10 09:58", want: "10 11:00 at 11:03"},
		"another clock was far ahead":   {last: "20 10:00", finished: "20 10:01", from: "10 09:20", now: "10 10:05", want: "10 10:00 at 10:03"},
		"a slot of no schedule (once)":  {last: "10 09:20", finished: "10 09:21", now: "10 09:30", want: "10 10:00 at 10:03"},
		"of a schedule that was denser": {last: "10 09:59", finished: "10 09:59", now: "10 11:30", want: "10 11:00 at 11:03, 1 missed"},
	} {
		job := zoned(t, config.Prune, "0 * * * *", time.UTC)
		if test.job != "" {
			job.Name = test.job
		}
		p := past{never: test.never}
		if test.from != "" {
			p.from = clock(test.from)
		}
		if test.last != "" {
			p.last = &status.Record{Slot: clock(test.last), Finished: clock(test.finished), Passed: !test.failed}
		}
		got := due(job, jitter, p, clock(test.now))
		words := fmt.Sprintf("%s at %s", got.slot.Format("2 15:04"), got.at.Format("15:04"))
		if got.missed > 0 {
			words += fmt.Sprintf(", %d missed", got.missed)
		}
		if words != test.want {
			t.Errorf("%s: %s, want %s", name, words, test.want)
		}
	}
}

// A job whose schedule has no slot is never due, but a new cluster gets a backup.
func TestDueNever(t *testing.T) {
	now := time.Date(2026, 3, 10, 9, 0, 0, 5, time.UTC)
	never := config.Job{Name: config.Prune}
	for _, p := range []past{{from: now}, {from: now, never: true}, {last: &status.Record{Slot: now.Add(-time.Hour)}}} {
		if got := due(never, 0, p, now); got != (plan{}) {
			t.Errorf("%+v is due after %+v", got, p)
		}
	}
	never.Name = config.Snapshot
	if got := due(never, time.Minute, past{never: true, from: now}, now); !got.slot.Equal(now.Truncate(time.Second).Add(-time.Minute)) || got.at.After(now) {
		t.Errorf("the first backup is due: %+v", got)
	}
	rare := zoned(t, config.Prune, "0 0 29 2 *", time.UTC) // none within the year before
	last := &status.Record{Slot: time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC), Passed: true}
	if got := due(rare, 0, past{last: last}, now); got.slot.Year() != 2024 || got.missed != 0 {
		t.Errorf("%+v", got)
	}
	long := zoned(t, config.Prune, "@every 1s", time.UTC)
	if got := due(long, 0, past{last: &status.Record{Slot: now.AddDate(-1, 0, 0).Truncate(time.Second)}}, now); got.missed != maxMissed || !got.slot.Equal(now.Truncate(time.Second)) {
		t.Errorf("%+v", got)
	}
}

// For any schedule and any past: each slot since the last run is the one that is due, or is
// missed, or is still to come. The slots are found one by one.
func TestDueLeavesNoSlotOut(t *testing.T) {
	specs := []string{"0 * * * *", "*/7 * * * *", "30 2 * * *", "0 */6 * * 1", "@every 13m", "15,45 1-4 * * *"}
	zones := []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe"}
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		zone, err := time.LoadLocation(zones[r.IntN(len(zones))])
		if err != nil {
			t.Fatal(err)
		}
		job := zoned(t, config.Verify, specs[r.IntN(len(specs))], zone)
		jitter := time.Duration(r.IntN(300)) * time.Second
		start := time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, r.IntN(86400), 0, time.UTC)
		last := &status.Record{Slot: job.Schedule.Next(start), Passed: r.IntN(2) == 0}
		last.Finished = last.Slot.Add(jitter + time.Duration(r.IntN(4*86400))*time.Second)
		now := last.Finished.Add(time.Duration(r.IntN(4*86400)) * time.Second)
		got := due(job, jitter, past{last: last}, now)

		missed := 0
		want := job.Schedule.Next(last.Slot)
		for {
			next := job.Schedule.Next(want)
			passed := want.Add(jitter).Before(last.Finished) && last.Passed // while the run went on
			newer := !next.Add(jitter).After(now)
			if !newer && !passed {
				break
			}
			want = next
			missed++
		}
		if !got.slot.Equal(want) || got.missed != missed || !got.at.Equal(want.Add(jitter)) {
			t.Fatalf("seed %d, %s in %s, jitter %s, last %s until %s passed=%t, now %s:\n got %s, %d missed\nwant %s, %d missed", seed, job.Spec, zone, jitter,
				last.Slot, last.Finished, last.Passed, now, got.slot, got.missed, want, missed)
		}
	}
}

// Those who wait are let in in the order in which they came, and who gives up is skipped.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.resize(2)
		order := make(chan int, 10)
		enter := func(ctx context.Context, i int) {
			go func() {
				if g.enter(ctx) == nil {
					order <- i
				}
			}()
			synctest.Wait()
		}
		impatient, giveUp := context.WithCancel(context.Background())
		for i := range 6 {
			ctx := context.Background()
			if i == 3 {
				ctx = impatient
			}
			enter(ctx, i)
		}
		giveUp()
		synctest.Wait()
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			if len(order) != len(want) {
				t.Fatalf("%d were let in, want %v", len(order), want)
			}
			for _, i := range want {
				if got := <-order; got != i {
					t.Errorf("%d was let in, want %d", got, i)
				}
			}
		}
		expect(0, 1)
		g.leave()
		expect(2)
		g.resize(1)
		g.leave()
		expect()
		g.leave()
		expect(4)
		g.resize(0) // is one, or nobody would ever work
		g.leave()
		expect(5)
		g.leave()
		for range 100 { // let in and given up at the same time
			if g.enter(impatient) == nil {
				g.leave()
			}
		}
		if g.inside != 0 || len(g.queue) != 0 {
			t.Errorf("%d inside, %d wait", g.inside, len(g.queue))
		}
	})
}
