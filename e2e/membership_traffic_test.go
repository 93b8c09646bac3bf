package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// traffic is clients of a site that write and read without a pause, through
// whatever host answers, and remember every write that was acknowledged.
type traffic struct {
	s      *site
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	acked   []map[int]bool // by writer
	written int
	last    time.Time     // of an acknowledged write
	gap     time.Duration // the longest without one
	lost    []string
}

const (
	writers      = 4
	writePause   = 5 * time.Millisecond // so that etcd, not the writers, has the machine
	requestLimit = 500 * time.Millisecond
)

// write begins to write, until [traffic.stop].
func (s *site) write() *traffic {
	ctx, cancel := context.WithCancel(s.t.Context())
	w := &traffic{s: s, cancel: cancel, last: time.Now()}
	for i := range writers {
		w.acked = append(w.acked, make(map[int]bool))
		w.done.Go(func() { w.writer(ctx, i) })
	}
	s.t.Cleanup(func() { cancel(); w.done.Wait() })
	return w
}

// writer writes one key after the other through one host, goes on to the next
// host after an error or a while, and reads what was acknowledged at another.
func (w *traffic) writer(ctx context.Context, writer int) {
	const stay = 20 // writes through one host
	for i, turn := 0, writer; ctx.Err() == nil; i++ {
		hosts := w.s.running()
		if len(hosts) == 0 {
			time.Sleep(writePause)
			continue
		}
		if i%stay == 0 {
			turn++
		}
		if w.put(ctx, hosts[turn%len(hosts)], writer, i) {
			w.check(ctx, hosts[(turn+1)%len(hosts)], writer, i)
		} else {
			turn++
		}
		time.Sleep(writePause)
	}
}

func trafficKey(writer, i int) string { return fmt.Sprintf("/traffic/%d/%08d", writer, i) }

func (w *traffic) put(ctx context.Context, host string, writer, i int) bool {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if _, err := w.s.client(host).Put(ctx, trafficKey(writer, i), "written"); err != nil {
		return false // it may have been written all the same: nothing was promised
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[writer][i] = true
	w.written++
	w.gap = max(w.gap, time.Since(w.last))
	w.last = time.Now()
	return true
}

func (w *traffic) check(ctx context.Context, host string, writer, i int) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	resp, err := w.s.client(host).Get(ctx, trafficKey(writer, i), clientv3.WithCountOnly())
	if err == nil && resp.Count != 1 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lost = append(w.lost, trafficKey(writer, i)+" by a read at "+host)
	}
}

// flows waits until writes are acknowledged again.
func (w *traffic) flows(t *testing.T) {
	t.Helper()
	before := w.count()
	eventually(t, "writes are acknowledged", func() bool { return w.count() > before+writers })
}

func (w *traffic) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

// stop ends the writing. Every write that was acknowledged has to be there.
func (w *traffic) stop(t *testing.T) {
	t.Helper()
	w.cancel()
	w.done.Wait()
	w.gap = max(w.gap, time.Since(w.last))
	if len(w.lost) > 0 || w.written == 0 {
		t.Errorf("of %d acknowledged writes were lost: %q", w.written, w.lost)
	}
	for writer := range w.acked {
		var resp *clientv3.GetResponse
		eventually(t, "the cluster can be read", func() bool {
			for _, host := range w.s.running() {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				var err error
				resp, err = w.s.client(host).Get(ctx, fmt.Sprintf("/traffic/%d/", writer), clientv3.WithPrefix(), clientv3.WithKeysOnly())
				cancel()
				if err == nil {
					return true
				}
			}
			return false
		})
		there := make(map[string]bool, len(resp.Kvs))
		for _, kv := range resp.Kvs {
			there[string(kv.Key)] = true
		}
		for i := range w.acked[writer] {
			if !there[trafficKey(writer, i)] {
				t.Errorf("%s was acknowledged and is lost", trafficKey(writer, i))
			}
		}
	}
	t.Logf("%d acknowledged writes, none lost; the longest time without one was %v", w.written, w.gap.Round(time.Millisecond))
}
