//go:build linux

package controlplane

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// traffic is clients that write and read ConfigMaps through both apiservers
// without a pause, and remember what was acknowledged.
type traffic struct {
	s      *site
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	acked  map[string]bool
	lost   []string
	failed []time.Time // moments at which neither apiserver answered
	down   map[string]time.Duration
	gap    time.Duration // the longest without an acknowledged write
	last   time.Time
}

const (
	writePause = 50 * time.Millisecond // two cores run all of this
	readLimit  = 500 * time.Millisecond
	watchPause = 100 * time.Millisecond
	// longestGap is what a write may wait for a new leader of etcd, and then be tried again.
	longestGap = 2 * requestLimit
	configMaps = "/api/v1/namespaces/default/configmaps"
)

// write begins to write through both apiservers, until [traffic.stop].
func (s *site) write() *traffic {
	ctx, cancel := context.WithCancel(s.t.Context())
	w := &traffic{s: s, cancel: cancel, acked: make(map[string]bool), down: make(map[string]time.Duration), last: time.Now()}
	for i, h := range s.cps {
		other := s.cps[(i+1)%len(s.cps)]
		w.done.Go(func() { w.writer(ctx, h, other) })
	}
	w.done.Go(func() { w.watch(ctx) })
	s.t.Cleanup(func() { cancel(); w.done.Wait() })
	return w
}

// writer writes through one apiserver, and reads what was acknowledged through
// the other one.
func (w *traffic) writer(ctx context.Context, h, other *host) {
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("written-%s-%06d", h.name, i)
		body := fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"by":"traffic"}},"data":{"i":"%d"}}`, name, i)
		code, _, err := w.s.ask(ctx, h, http.MethodPost, configMaps, body)
		if err == nil && code == http.StatusCreated {
			w.acknowledge(name)
			w.read(ctx, other, name)
		}
		time.Sleep(writePause)
	}
}

// read looks for what was acknowledged. It does not wait for an apiserver that is
// on its way, since the next write is to come.
func (w *traffic) read(ctx context.Context, h *host, name string) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	if code, _, err := w.s.ask(ctx, h, http.MethodGet, configMaps+"/"+name, ""); err == nil && code == http.StatusNotFound {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lost = append(w.lost, name+" by a read through "+h.name)
	}
}

func (w *traffic) acknowledge(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[name] = true
	w.gap = max(w.gap, time.Since(w.last))
	w.last = time.Now()
}

// watch looks whether the apiservers serve: each answers a read from etcd.
func (w *traffic) watch(ctx context.Context) {
	for ctx.Err() == nil {
		begin := time.Now()
		var all sync.WaitGroup
		serves := make([]bool, len(w.s.cps))
		for i, h := range w.s.cps {
			all.Go(func() {
				code, _, err := w.s.ask(ctx, h, http.MethodGet, "/api/v1/namespaces/default", "")
				serves[i] = err == nil && code == http.StatusOK
			})
		}
		all.Wait()
		time.Sleep(watchPause)
		w.note(ctx, begin, serves)
	}
}

func (w *traffic) note(ctx context.Context, begin time.Time, serves []bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	for i, ok := range serves {
		if !ok {
			w.down[w.s.cps[i].name] += time.Since(begin)
		}
	}
	if !slices.Contains(serves, true) {
		w.failed = append(w.failed, begin)
	}
}

func (w *traffic) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// flows waits until writes are acknowledged.
func (w *traffic) flows(t *testing.T) {
	t.Helper()
	before := w.count()
	eventually(t, "writes are acknowledged", func() bool { return w.count() > before+2 })
}

// stop ends the writing. Never were both apiservers down, and every write that
// was acknowledged is there, through each of them.
func (w *traffic) stop(t *testing.T) {
	t.Helper()
	w.cancel()
	w.done.Wait()
	if w.gap > longestGap {
		t.Errorf("for %v no write was acknowledged", w.gap)
	}
	if len(w.failed) > 0 {
		t.Errorf("neither apiserver served at %d moments, the first was %v", len(w.failed), w.failed[0])
	}
	if len(w.lost) > 0 || len(w.acked) == 0 {
		t.Errorf("of %d acknowledged writes these were lost: %q", len(w.acked), w.lost)
	}
	for _, h := range w.s.cps {
		there := w.there(t, h)
		for name := range w.acked {
			if !there[name] {
				t.Errorf("%s was acknowledged, and is not there through %s", name, h.name)
			}
		}
	}
	var down []string
	for _, h := range w.s.cps {
		down = append(down, fmt.Sprintf("%s was down for %v", h.name, w.down[h.name].Round(watchPause)))
	}
	t.Logf("%d acknowledged writes, none lost; the longest time without one was %v; %s",
		len(w.acked), w.gap.Round(time.Millisecond), strings.Join(down, ", "))
}

// there are the ConfigMaps that an apiserver lists.
func (w *traffic) there(t *testing.T, h *host) map[string]bool {
	t.Helper()
	var body string
	eventually(t, h.name+" lists the ConfigMaps", func() bool {
		code, answer, err := w.s.get(h, configMaps+"?labelSelector=by%3Dtraffic")
		body = answer
		return err == nil && code == http.StatusOK
	})
	var list struct {
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		} `json:"items"`
	}
	check(t, json.Unmarshal([]byte(body), &list))
	names := make(map[string]bool, len(list.Items))
	for _, item := range list.Items {
		names[item.Metadata.Name] = true
	}
	return names
}
