package cronjobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// Every instance looks at a cluster at once, each minute at a second of its own, and after
// what was run.
func TestObserve(t *testing.T) {
	tell(t, "2026-03-10T08:59:30Z", func(w *world) {
		b := w.ballot("c")
		c := named("c", w.job(config.Prune, "0 * * * *"), w.job(config.Health, "10 * * * * *"))
		one, two := w.start("a", c), w.start("b", c)
		b.give("a")
		w.until("09:09:30")
		if s := two.of("c"); s.ID != "c1" || !s.Quorum || s.Name != "c" || time.Since(s.Observed) > time.Minute {
			t.Errorf("a standby says %+v", s)
		}
		one.stop()
		two.stop()
		// Each has looked at the begin and ten times since, and a after prune.
		if got := len(w.looks["c"]); got != 2*11+1 {
			t.Errorf("%d looks", got)
		}
		phase := w.looks["c"][len(w.looks["c"])-1].Second()
		for _, at := range w.looks["c"][2:] {
			if s := at.Second(); s != phase && s != 0 {
				t.Errorf("a look at second %d, others at %d", s, phase)
			}
		}
	})
}

// A standby asks for a job only when it should have been run since.
func TestStandbyAsksSeldom(t *testing.T) {
	tell(t, "2026-03-10T08:59:30Z", func(w *world) {
		b := w.ballot("c")
		c := named("c", w.job(config.Prune, "0 * * * *"), w.job(config.Defrag, "@daily"))
		one, two := w.start("a", c), w.start("b", c)
		b.give("a")
		w.until("09:00:05")
		w.change(func() { clear(w.asked) })
		w.until("13:30:00")
		if last := two.of("c").Jobs[0].Last; last == nil || last.Slot.Hour() != 13 {
			t.Errorf("the standby knows of %+v", last)
		}
		one.stop()
		two.stop()
		if got := w.asked[config.Prune]; got < 4 || got > 10 {
			t.Errorf("prune was asked for %d times in four hours of hourly runs", got)
		}
	})
}

// The active instance knows what it has done, and asks once a term.
func TestActiveAsksOnce(t *testing.T) {
	tell(t, "2026-03-10T08:59:30Z", func(w *world) {
		b := w.ballot("c")
		n := w.start("a", named("c", w.job(config.Prune, "0 * * * *"), w.job(config.Defrag, "@daily")))
		b.give("a")
		w.until("08:59:40")
		w.change(func() { clear(w.asked) })
		w.until("13:30:00")
		n.stop()
		if len(w.asked) != 0 {
			t.Errorf("it was asked for %v", w.asked)
		}
	})
}

// What Fleet has said does not change afterwards.
func TestFleetIsACopy(t *testing.T) {
	tell(t, "2026-03-10T08:59:30Z", func(w *world) {
		w.do = takes(30 * time.Second)
		n := w.start("a", named("c", w.job(config.Prune, "*/2 * * * *"), w.job(config.Verify, "30 */6 * * *")))
		w.until("09:00:10")
		first := n.Fleet()
		if first.Instance != "a" || first.Version != "v1" || !first.Now.Equal(time.Now()) || first.Config.File != "etcdha.yaml" {
			t.Errorf("fleet: %+v", first)
		}
		prune, verify := first.Clusters[0].Jobs[0], first.Clusters[0].Jobs[1]
		if prune.Running.IsZero() || prune.Attempt != 1 || prune.Last != nil || prune.Schedule != "*/2 * * * *" ||
			prune.Next.UTC().Format(time.TimeOnly) != "09:02:00" || prune.Expected.UTC().Format(time.TimeOnly) != "08:58:00" {
			t.Errorf("prune: %+v", prune)
		}
		if verify.Next.UTC().Format(time.TimeOnly) != "12:30:00" || verify.Expected.UTC().Format(time.TimeOnly) != "00:30:00" || !verify.Running.IsZero() {
			t.Errorf("verify: %+v", verify)
		}
		w.until("09:05:00")
		if again := first.Clusters[0].Jobs[0]; again != prune {
			t.Errorf("it has become %+v", again)
		}
		second := n.Fleet().Clusters[0].Jobs[0]
		if second.Last == nil || !second.Last.Passed || second.Last.Slot.Minute() != 4 || !second.Running.IsZero() || second.Attempt != 0 ||
			second.Next.UTC().Format(time.TimeOnly) != "09:06:00" || second.Expected.UTC().Format(time.TimeOnly) != "09:02:00" {
			t.Errorf("prune: %+v, last %+v", second, second.Last)
		}
		n.stop()
	})
}

// Of the last errors each is kept once, the newest first.
func TestTroubles(t *testing.T) {
	tell(t, "2026-03-10T08:59:30Z", func(w *world) {
		n := w.node("a", named("c"))
		c := n.clusters[0]
		for i := range 50 {
			c.trouble("prune", numbered(i/2))
			time.Sleep(time.Second)
		}
		c.trouble("prune", numbered(20))
		got := n.of("c").Troubles
		if len(got) != status.MaxTroubles || got[0].Err != "error 20" || got[1].Err != "error 24" || got[2].Err != "error 23" {
			t.Errorf("%d troubles: %+v", len(got), got)
		}
	})
}

func numbered(i int) error { return fmt.Errorf("error %d", i) }
