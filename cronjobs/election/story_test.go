package election_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/election"
)

// Whatever befalls instances and etcd, two are never active at once, and in the end the
// preferred one is.
func TestStories(t *testing.T) {
	for seed := range uint64(stories) {
		synctest.Test(t, func(t *testing.T) { story(t, seed) })
		if t.Failed() {
			t.Fatalf("that was story %d", seed)
		}
	}
}

const stories = 500

func story(t *testing.T, seed uint64) {
	w, r := newWorld(t, seed, 11, 22, 33), rand.New(rand.NewPCG(seed, 7))
	count := 2 + r.IntN(3)
	members := [][]uint64{{22, 11, 33, 0}, {0, 0, 0, 0}, {44, 0, 22, 33}}[r.IntN(3)]
	var names []string
	for i := range count {
		name := fmt.Sprintf("cp-%d", i+1)
		names = append(names, name)
		w.start(w.host(name, members[i]))
		sleepUpTo(r, 20*time.Second)
	}
	for range 5 + r.IntN(15) {
		w.befall(r, w.hosts[r.IntN(count)])
		sleepUpTo(r, []time.Duration{time.Second, 5 * time.Second, 40 * time.Second}[r.IntN(3)])
	}
	w.note("all is well")
	w.setAlarm(false)
	w.setQuorum(true)
	for _, h := range w.hosts {
		h.thaw()
		h.set("reachable", func() { h.cut, h.slow = false, 0 })
		if h.now == nil {
			w.start(h)
		}
	}
	time.Sleep(8 * lease)
	if name, unlocked := w.active(); name != election.Prefer("production", names) || unlocked {
		t.Errorf("in the end %q is active (unlocked: %t):\n%s", name, unlocked, w.diary.String())
	}
}

func sleepUpTo(r *rand.Rand, d time.Duration) {
	time.Sleep(time.Duration(r.Int64N(int64(d))))
}

// befall lets something happen.
func (w *world) befall(r *rand.Rand, h *host) {
	what, slow := r.IntN(12), time.Duration(r.Int64N(int64(3*time.Second)))
	switch {
	case h.now == nil:
		w.start(h)
	case what == 0 || what == 1:
		h.kill()
	case what == 2:
		h.end()
	case h.frozen != nil:
		h.thaw()
	case what == 3 || what == 4:
		h.freeze()
	case what == 5 || what == 6:
		h.set("cut or not", func() { h.cut = !h.cut })
	case what == 7:
		h.set(fmt.Sprintf("slow by %s", slow), func() { h.slow = slow })
	case what == 8:
		h.set("fast", func() { h.slow = 0 })
	case what == 9:
		w.setQuorum(!w.quorum)
	default:
		w.setAlarm(!w.alarm)
	}
}
