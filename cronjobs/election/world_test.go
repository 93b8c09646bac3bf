package election_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is an etcd with leases, and hosts that reach it or do not. Its time is that of a
// synctest bubble.
type world struct {
	t       *testing.T
	r       *rand.Rand
	log     slog.Handler
	voters  []uint64
	hosts   []*host
	running sync.WaitGroup

	mu       sync.Mutex
	keys     map[string]*key // "active", and names of instances
	alarm    bool
	alarmEnd time.Time
	quorum   bool
	freed    int // how often the lock was

	terms   map[*term]bool // that go on
	acting  *term          // that acted last
	acted   time.Time
	over    map[*term]bool // after which another one has acted
	diary   strings.Builder
	faulted bool
}

type term struct {
	host     *process
	unlocked bool
	unknown  bool // nobody is told of it
	excused  bool // its host was frozen: it cannot stop in time, only not act
	// unaware that one who was never told of an alarm has taken the lock at its very end
	unaware bool
}

func newWorld(t *testing.T, seed uint64, voters ...uint64) *world {
	w := &world{
		t: t, log: slog.DiscardHandler, r: rand.New(rand.NewPCG(seed, 6)), voters: voters, quorum: true,
		keys: make(map[string]*key), terms: make(map[*term]bool), over: make(map[*term]bool),
	}
	t.Cleanup(w.finish)
	return w
}

func (w *world) begin(t *term) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes("%s begins a term (unlocked: %t)", t.host.self.Name, t.unlocked)
	entry := w.keys[t.host.self.Name]
	t.unknown = t.unlocked && (entry == nil || time.Since(entry.made) < lease)
	for other := range w.terms {
		if w.crossed(other, t) {
			other.unaware = true
		}
		if w.crossed(t, other) {
			t.unaware = true
		}
		// Nor can those know of each other that came after the alarm, one of them beside no voter.
		if t.unknown && other.unknown && (!w.beside(t) || !w.beside(other)) {
			other.unaware, t.unaware = true, true
		}
		if !other.excused && !other.unaware && !t.unaware {
			w.fault("%s begins a term while %s is active", t.host.self.Name, other.host.self.Name)
		}
	}
	w.terms[t] = true
	t.host.alarmed, t.host.saw = t.host.alarmed && t.unlocked, t.host.saw || !t.unlocked
}

// crossed tells whether one term is without a lock, and the other under a lock that an instance
// has got at the very end of the alarm, of which it was never told: it has seen who had the lock, and
// the alarm came and went before it asked again.
func (w *world) crossed(without, under *term) bool {
	return without.unlocked && !under.unlocked && under.host.saw && !under.host.alarmed && !w.alarm && time.Since(w.alarmEnd) < retry+2*requestTime
}

func (w *world) beside(t *term) bool { return slices.Contains(w.voters, t.host.self.Member) }

func (w *world) end(t *term) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes("%s ends its term", t.host.self.Name)
	delete(w.terms, t)
}

func (w *world) act(t *term) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.unaware && t.unlocked {
		return
	}
	if w.over[t] {
		w.fault("%s acts, although %s has acted since", t.host.self.Name, w.acting.host.self.Name)
	}
	if w.acting != t && w.acting != nil {
		w.over[w.acting] = true
	}
	w.acting, w.acted = t, time.Now()
}

// fault is called with the mutex.
func (w *world) fault(format string, args ...any) {
	if !w.faulted {
		w.notes("HERE: "+format, args...)
	}
	w.faulted = true
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes(format, args...)
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble begins

func (w *world) notes(format string, args ...any) {
	fmt.Fprintf(&w.diary, "%8.3f %s\n", time.Since(epoch).Seconds(), fmt.Sprintf(format, args...))
}

// active returns who acts and has acted just now, "" if nobody.
func (w *world) active() (name string, unlocked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.acting == nil || time.Since(w.acted) > time.Second {
		return "", false
	}
	return w.acting.host.self.Name, w.acting.unlocked
}

// finish ends all instances, and tells what happened if it was wrong.
func (w *world) finish() {
	for _, h := range w.hosts {
		h.thaw()
		if h.now != nil {
			h.now.stop()
		}
	}
	w.running.Wait()
	if w.faulted {
		w.t.Errorf("two were active:\n%s", w.diary.String())
	}
}
