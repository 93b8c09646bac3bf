package election_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/internal/fail"
)

// settled is when the preferred one of those that run is active, and all attend. It lies between
// two renewals.
const settled = 5*lease + retry/2

// ofThree starts three hosts, beside voters, and returns them in the order in which the cluster
// prefers them.
func ofThree(w *world) (first, second, third *host) {
	byName := map[string]*host{}
	names := []string{"cp-1", "cp-2", "cp-3"}
	for i, name := range names {
		byName[name] = w.host(name, w.voters[i])
		w.start(byName[name])
	}
	for len(names) > 0 {
		name := election.Prefer("production", names)
		first, second, third = second, third, byName[name]
		left := names[:0:0]
		for _, other := range names {
			if other != name {
				left = append(left, other)
			}
		}
		names = left
	}
	time.Sleep(settled)
	w.expect(first, false)
	return first, second, third
}

func (w *world) expect(h *host, unlocked bool) {
	w.t.Helper()
	if name, without := w.active(); name != h.self.Name || without != unlocked {
		w.t.Errorf("%q is active (unlocked: %t), not %s:\n%s", name, without, h.self.Name, w.diary.String())
	}
}

// expectOne returns whoever is active.
func (w *world) expectOne(unlocked bool) *host {
	w.t.Helper()
	name, without := w.active()
	for _, h := range w.hosts {
		if name == h.self.Name && without == unlocked {
			return h
		}
	}
	w.t.Fatalf("%q is active (unlocked: %t):\n%s", name, without, w.diary.String())
	return nil
}

// within waits until a host is active, for so long at most.
func (w *world) within(d time.Duration, h *host) {
	w.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		name, _ := w.active()
		if name == h.self.Name {
			w.t.Logf("active after %s", time.Since(began))
			return
		}
		if time.Since(began) > d {
			w.t.Fatalf("after %s, %q is active:\n%s", d, name, w.diary.String())
		}
	}
}

// prompt is how long it takes where nobody waits for one that is gone.
const prompt = lease

// bound is the promise: the lease lives that long after the last renewal, and the next
// one needs no more than a retry period, in which etcd sees that the lease has ended.
const bound = lease + retry

func TestTheNextOneIsActiveInTime(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, first, second, third *host) (next *host)
		in   time.Duration
	}{
		{"killed", func(_ *world, first, second, _ *host) *host {
			first.kill()
			return second
		}, prompt},
		{"killed, and the next one as well", func(_ *world, first, second, third *host) *host {
			first.kill()
			second.kill()
			return third
		}, bound},
		{"frozen", func(_ *world, first, second, _ *host) *host {
			first.freeze()
			return second
		}, prompt},
		{"cut off", func(_ *world, first, second, _ *host) *host {
			first.set("cut", func() { first.cut = true })
			return second
		}, bound},
		{"ended", func(_ *world, first, second, _ *host) *host {
			first.now.stop()
			return second
		}, spare + time.Second},
		{"killed while etcd is without a leader for a moment", func(w *world, first, second, _ *host) *host {
			first.kill()
			time.Sleep(lease - time.Second)
			w.setQuorum(false)
			time.Sleep(time.Second)
			w.setQuorum(true) // and all leases begin anew
			return second
		}, bound},
		{"killed under an alarm", func(w *world, first, second, third *host) *host {
			w.setAlarm(true)
			first.kill()
			if second.self.Member > third.self.Member {
				return third
			}
			return second
		}, bound + 2*retry},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 11, 22, 33)
				first, second, third := ofThree(w)
				w.within(c.in, c.do(w, first, second, third))
			})
		})
	}
}

// One that was away comes back, and has its clusters again when nothing is broken off by it,
// and when it has stayed.
func TestGivingWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22, 33)
		first, second, third := ofThree(w)
		first.kill()
		w.within(bound, second)
		third.end()
		second.set("busy", func() { second.busy = true })
		w.start(first)
		time.Sleep(4 * lease)
		w.expect(second, false)

		// One that comes and goes moves nothing.
		second.set("idle", func() { second.busy = false })
		for range 3 {
			first.end()
			time.Sleep(lease)
			w.start(first)
			time.Sleep(lease - retry)
			w.expect(second, false)
		}
		// One that is late has some time.
		for w.lockedBy() == second.self.Name {
			time.Sleep(time.Millisecond)
		}
		first.freeze()
		time.Sleep(retry)
		first.thaw()
		w.within(retry, first)

		// Under an alarm, it could not get the lock.
		first.kill()
		w.within(bound, second)
		w.start(first)
		time.Sleep(retry)
		w.setAlarm(true)
		time.Sleep(4 * lease)
		w.expect(second, false)
		w.setAlarm(false)
		w.within(2*lease+retry, first)
	})
}

// Etcd is away for long. That is said when it begins and when it ends, and not in between.
func TestWithoutQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11)
		var log strings.Builder
		w.log = slog.NewTextHandler(&log, nil)
		h := w.host("cp-1", 11)
		p := w.start(h)
		time.Sleep(2 * lease)
		w.expect(h, false)
		w.setQuorum(false)
		time.Sleep(time.Hour)
		if since, err := p.elector.Trouble(); err == nil || err.Error() != "no answer" || time.Since(since) < 50*time.Minute {
			t.Errorf("trouble: %v since %s", err, since)
		}
		if name, _ := w.active(); name != "" {
			t.Errorf("%s is active", name)
		}
		w.setQuorum(true)
		w.within(lease+4*requestTime, h) // its own lock is what it waits for
		if _, err := p.elector.Trouble(); err != nil {
			t.Errorf("trouble: %v", err)
		}
		w.finish()
		var said []string
		for line := range strings.Lines(log.String()) {
			_, text, _ := strings.Cut(line, "level=")
			said = append(said, strings.TrimSpace(text))
		}
		want := []string{
			`INFO msg="this instance is active" cluster=production unlocked=false`,
			`INFO msg="this instance is no longer active" cluster=production why="the lock may have been lost"`,
			`WARN msg="the election cannot be taken part in" cluster=production why="no answer" hint=""`,
			`INFO msg="the election is taken part in again" cluster=production`,
			`INFO msg="this instance is active" cluster=production unlocked=false`,
			`INFO msg="this instance is no longer active" cluster=production why="context canceled"`,
		}
		if got := strings.Join(said, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("log:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
		}
	})
}

// Two instances of the same name: both say so, and what to do about it.
func TestTwoOfTheSameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22)
		one, two := w.start(w.host("cp-1", 11)), w.start(w.host("cp-1", 22))
		time.Sleep(lease)
		if _, err := two.elector.Trouble(); err != nil {
			t.Errorf("an entry that may be of the process before: %v", err)
		}
		time.Sleep(3 * lease)
		_, first := one.elector.Trouble()
		_, err := two.elector.Trouble()
		if err == nil {
			err, first = first, err
		}
		if first != nil || err == nil || err.Error() != "there is another instance of the name cp-1" || fail.Hint(err) != "give each of them a name of its own, by --instance" {
			t.Errorf("trouble: %v, hint %q; of the one that attends: %v", err, fail.Hint(err), first)
		}
	})
}

// Who was active is said no longer than that can be known.
func TestActiveIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22, 33)
		first, second, third := ofThree(w)
		if name := second.now.elector.Active(); name != first.self.Name {
			t.Errorf("%q is active, not %s", name, first.self.Name)
		}
		second.set("cut", func() { second.cut = true })
		time.Sleep(2 * lease)
		if name := second.now.elector.Active(); name != "" {
			t.Errorf("cut off, it says %q", name)
		}
		// Under an alarm, whoever does not act says nothing of one that is dead.
		w.setAlarm(true)
		first.kill()
		time.Sleep(2 * lease)
		w.expect(third, true)
		second.set("back", func() { second.cut = false })
		third.freeze()
		time.Sleep(2 * retry)
		if name := second.now.elector.Active(); name == first.self.Name {
			t.Errorf("%q is active", name)
		}
	})
}

// To whom it is left under an alarm is logged, once.
func TestLeftToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22)
		var log strings.Builder
		w.log = slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})
		w.setAlarm(true)
		w.start(w.host("cp-2", 22))
		time.Sleep(time.Hour)
		w.finish()
		_, text, _ := strings.Cut(log.String(), "level=")
		if want := `WARN msg="an alarm allows no lock: backups are left to another instance" cluster=production instance="the instance beside the voter with the lowest id"`; strings.TrimSpace(text) != want {
			t.Errorf("log:\n%s\nwant:\n%s", log.String(), want)
		}
	})
}

// lockedBy is who has the lock.
func (w *world) lockedBy() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := w.keys["active"]; k != nil {
		return k.value.Name
	}
	return ""
}

// A lead that returns by itself gives up its term, and has another one later.
func TestALeadThatReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11)
		p := &process{host: w.host("cp-1", 11)}
		ctx, stop := context.WithCancel(t.Context())
		terms := 0
		election.New(election.Options{
			Cluster: "production", Self: "cp-1", Registry: p, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		}).Run(ctx, func(ctx context.Context, term election.Term) {
			if err := term.MayAct(); err != nil {
				t.Errorf("term %d: %v", terms, err)
			}
			if terms++; terms == 3 {
				stop()
			}
		})
		if terms != 3 {
			t.Errorf("%d terms", terms)
		}
		if len(w.keys) > 0 {
			t.Errorf("left behind: %v", w.keys)
		}
	})
}
