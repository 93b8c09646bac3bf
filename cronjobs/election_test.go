package cronjobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
)

// The elector that daemons have: the next one takes over when the lease of one that was
// killed is over, and at once from one that has ended.
func TestRealElector(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		table := &table{}
		c := named("c", w.job(config.Snapshot, "* * * * *"))
		start := func(name string) *node {
			n := w.node(name, c)
			n.o.Elect = func(c config.Cluster, _ Worker, idle func() bool) *election.Elector {
				return election.New(election.Options{Cluster: c.Name, Self: name, Registry: &seat{table, n}, Idle: idle, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			}
			n.Daemon.elect = n.electWith
			n.run()
			return n
		}
		one := start("a")
		w.until("08:52:30")
		if s := one.of("c"); !s.Here || s.Active != "a" {
			t.Errorf("a says here=%t, active=%q", s.Here, s.Active)
		}
		two := start("b")
		w.until("08:55:30")
		one.kill()
		w.until("08:55:50")
		if s := two.of("c"); !s.Here || s.Active != "b" {
			t.Errorf("20 s after the end of a: here=%t, active=%q", s.Here, s.Active)
		}
		w.until("08:57:30")
		two.stop()
		three := start("d")
		w.until("08:59:30")
		three.stop()
		if got := w.records(config.Snapshot); len(got) != 10 || got[len(got)-1] != "10T08:59 by d" {
			t.Errorf("records: %q", got)
		}
		for _, r := range w.kept {
			if r.Missed != 0 {
				t.Errorf("slot %s says %d missed", r.Slot, r.Missed)
			}
		}
	})
}

// table is where the instances of a cluster meet.
type table struct {
	mu    sync.Mutex
	owner *node
	until time.Time // when the lease ends of an owner that was killed
}

// seat is the table as one instance sees it.
type seat struct {
	*table
	node *node
}

func (s *seat) Lead(context.Context) (election.Lock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != nil && s.owner.killed() && s.until.IsZero() {
		s.until = time.Now().Add(leaseLeft)
	}
	if s.owner != nil && (s.until.IsZero() || time.Now().Before(s.until)) {
		return nil, &election.TakenError{Who: s.owner.name}
	}
	if s.node.killed() {
		return nil, errCut
	}
	s.owner, s.until = s.node, time.Time{}
	return &held{s}, nil
}

func (s *seat) Attend(context.Context) (election.Lock, error) { return &held{s}, nil }

func (s *seat) Attending(context.Context) (election.Attendance, error) {
	return election.Attendance{Instances: []election.Instance{{Name: s.node.name}}}, nil
}

func (s *seat) Freed(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type held struct{ *seat }

func (h *held) Held(time.Duration) error {
	if h.node.killed() {
		return errors.New("no answer")
	}
	return nil
}

func (h *held) Release(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.owner == h.node && !h.node.killed() {
		h.owner = nil
	}
	return nil
}
