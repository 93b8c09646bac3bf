//go:build linux

package controlplane

import (
	"testing"
	"time"
)

// apiservers are the lives of apiservers on a host.
func (h *host) apiservers() []Run {
	h.t.Helper()
	var all []Run
	for _, r := range h.runs() {
		if r.Container == "kube-apiserver" {
			all = append(all, r)
		}
	}
	return all
}

// oneEach makes sure that kubelet never ran two apiservers at once on a host, as
// it would have with a copy of the manifest beside it.
func (s *site) oneEach(t *testing.T) {
	t.Helper()
	for _, h := range s.cps {
		var last time.Time
		files := make(map[string]bool)
		for i, r := range h.apiservers() {
			if i > 0 && (last.IsZero() || r.Started.Before(last)) {
				t.Errorf("%s: process %d of %s started before the one before it had ended", h.name, r.PID, r.File)
			}
			last = r.Ended
			files[r.File] = true
		}
		if !last.IsZero() || len(files) != 1 {
			t.Errorf("%s: at the end there is no apiserver, or they came from several files: %v", h.name, files)
		}
	}
}

// starts is how often an apiserver was started on the host.
func (h *host) starts() int { return len(h.apiservers()) }

// neverBothRestarting makes sure that the time between the end of a process and
// the moment at which the next one could be ready was never the same on both hosts.
func (s *site) neverBothRestarting(t *testing.T) {
	t.Helper()
	type pause struct{ from, to time.Time }
	var pauses [][]pause
	for _, h := range s.cps {
		var own []pause
		lives := h.apiservers()
		for i := range lives[1:] {
			own = append(own, pause{lives[i].Ended, lives[i+1].Started.Add(fastestStart)})
		}
		pauses = append(pauses, own)
	}
	for _, a := range pauses[0] {
		for _, b := range pauses[1] {
			if a.from.Before(b.to) && b.from.Before(a.to) {
				t.Errorf("both apiservers were on their way at once: %v and %v", a, b)
			}
		}
	}
}

// fastestStart is less than any apiserver needs until it is ready.
const fastestStart = time.Second
