package election_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/election"
)

// An alarm goes on while instances come and go. All that have attended before it act in their
// order, then the one beside the lowest voter. When it is over, there is one with a lock.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22, 33)
		ofThree(w)
		one, two, three := w.hosts[0], w.hosts[1], w.hosts[2]
		w.setAlarm(true)
		had := w.expectOne(false)
		had.freeze()
		time.Sleep(bound + 3*retry)
		had.thaw() // it is on the list no more
		time.Sleep(2 * lease)
		if has := w.expectOne(true); has == had || has != one && has != two {
			t.Errorf("%s is active, after %s was", has.self.Name, had.self.Name)
		}
		for _, h := range w.hosts {
			h.kill()
		}
		time.Sleep(2 * lease)
		w.start(two)
		w.start(three)
		time.Sleep(2 * lease)
		if name, _ := w.active(); name != "" {
			t.Errorf("%s is active, which cannot know of another", name)
		}
		w.start(one)
		w.within(2*retry, one)
		w.expect(one, true)
		w.setAlarm(false)
		time.Sleep(2 * lease)
		w.expectOne(false)
	})
}

// Others go by the entry on the list of whoever acts without a lock. So does it itself.
func TestAnEntryThatIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22, 33)
		first, _, _ := ofThree(w)
		w.setAlarm(true)
		first.kill()
		time.Sleep(bound + 3*retry)
		has := w.expectOne(true)
		has.set("faint", func() { has.faint = true })
		time.Sleep(bound + 3*retry)
		if next := w.expectOne(true); next == has {
			t.Errorf("%s is still active", has.self.Name)
		}
	})
}

// At the very end of an alarm, one that knows nothing of it may get the lock. It waits until
// whoever acts without has seen that.
func TestTheLockIsTakenByOneThatKnowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22, 33)
		w.setAlarm(true)
		one, two := w.host("cp-1", 11), w.host("cp-2", 22)
		w.start(one)
		time.Sleep(lease)
		w.expect(one, true)
		one.freeze()
		w.setAlarm(false)
		w.start(two)
		time.Sleep(lease - retry)
		if name, _ := w.active(); w.lockedBy() != "cp-2" || name != "" {
			t.Errorf("%q has the lock, and %q is active:\n%s", w.lockedBy(), name, w.diary.String())
		}
		one.thaw()
		time.Sleep(spare)
		w.expect(two, false)
		w.mu.Lock()
		defer w.mu.Unlock()
		for term := range w.terms {
			if term.host.host == one {
				t.Errorf("%s has not stopped:\n%s", one.self.Name, w.diary.String())
			}
		}
	})
}

// The lock can be had again just as the term without one ends: it is given back, since somebody
// else may have seen it end.
func TestALockAtTheEndOfATermWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11)
		p := &process{host: w.host("cp-1", 11)}
		late := &lateLock{process: p}
		w.setAlarm(true)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		terms := 0
		election.New(election.Options{
			Cluster: "production", Self: "cp-1", Registry: late, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		}).Run(ctx, func(ctx context.Context, term election.Term) {
			terms++
			if !term.Unlocked {
				t.Error("it is active under a lock that came too late")
			}
			<-ctx.Done()
		})
		if terms != 1 || late.released != 1 {
			t.Errorf("%d terms, and the lock was given back %d times", terms, late.released)
		}
	})
}

// lateLock is a registry under an alarm whose second answer takes longer than a term lasts. Then
// it is a lock, and there is no other one.
type lateLock struct {
	*process
	asked, released int
}

func (l *lateLock) Lead(ctx context.Context) (election.Lock, error) {
	if l.asked++; l.asked != 2 {
		return nil, election.ErrAlarmed
	}
	time.Sleep(lease)
	return l, nil
}

func (l *lateLock) Attending(context.Context) (election.Attendance, error) {
	a := election.Attendance{Voters: []uint64{11}, Self: &l.self, Alarmed: true}
	if l.asked > 1 {
		a.Self = nil
	}
	return a, nil
}

func (l *lateLock) Held(time.Duration) error { return nil }

func (l *lateLock) Release(context.Context) error {
	l.released++
	return nil
}

// Nobody attends, and the one beside the lowest voter acts. It stops when somebody does.
func TestSomebodyAttends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11, 22, 33)
		w.setAlarm(true)
		one := w.host("cp-1", 11)
		w.start(one)
		time.Sleep(2 * lease)
		w.expect(one, true)
		w.mu.Lock()
		w.keys["cp-2"] = &key{value: election.Instance{Name: "cp-2", Member: 22}, expires: time.Now().Add(lease)}
		w.mu.Unlock()
		time.Sleep(retry + spare)
		if name, _ := w.active(); name != "" {
			t.Errorf("%s is active:\n%s", name, w.diary.String())
		}
		time.Sleep(lease)
		w.expect(one, true)
	})
}

// crossing is an etcd whose alarm ends between two answers.
type crossing struct{ *process }

func (c crossing) Lead(context.Context) (election.Lock, error) { return nil, election.ErrAlarmed }

func (c crossing) Attending(context.Context) (election.Attendance, error) {
	return election.Attendance{Active: "cp-2", Self: &c.self}, nil
}

func TestSomebodyHasTheLockAfterAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 11)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		election.New(election.Options{
			Cluster: "production", Self: "cp-1", Registry: crossing{&process{host: w.host("cp-1", 11)}}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		}).Run(ctx, func(context.Context, election.Term) { t.Error("it is active") })
	})
}
