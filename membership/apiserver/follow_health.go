package apiserver

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// missedPeriods is after how many periods without a look a follower is taken for
// dead: one may be long, and one may come late.
const missedPeriods = 3

// health is what a follower says of itself, to others than the one who follows.
type health struct {
	mu     sync.Mutex
	alive  time.Time // when it last did anything, or will have, of what takes its time
	ready  bool      // the last look has found nothing wrong
	detail string
}

func (h *health) began(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alive, h.detail = now, "no look has come to its end yet"
}

// beat notes that something is done now, or will be by then.
func (h *health) beat(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alive = at
}

func (h *health) looked(now time.Time, err error, detail string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alive, h.ready, h.detail = now, err == nil, detail
	if err != nil {
		h.detail = err.Error()
	}
}

// state describes what is pending.
func (f *Follower) state() string {
	if f.pending.waits() {
		return fmt.Sprintf("other servers have been asked for since %s", f.pending.since.UTC().Format(time.RFC3339))
	}
	return "in step"
}

// Handler serves /healthz, which fails when no look was taken for three periods;
// /readyz, which fails when the last one has found that the apiserver cannot be
// followed for, and says why; and /metrics for Prometheus.
func (f *Follower) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", f.serveAlive)
	mux.HandleFunc("GET /readyz", f.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(f.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

func (f *Follower) serveAlive(w http.ResponseWriter, _ *http.Request) {
	f.health.mu.Lock()
	idle := f.Now().Sub(f.health.alive)
	f.health.mu.Unlock()
	if limit := missedPeriods*f.Period + lookTimeout; idle > limit {
		http.Error(w, fmt.Sprintf("nothing was done for %s", idle.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok") // who has gone away needs no answer
}

func (f *Follower) serveReady(w http.ResponseWriter, _ *http.Request) {
	f.health.mu.Lock()
	ready, detail := f.health.ready, f.health.detail
	f.health.mu.Unlock()
	if !ready {
		http.Error(w, detail, http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, detail)
}
