//go:build linux

package controlplane

import (
	"strings"
	"testing"
	"time"
)

// What the stand-in for kubelet does, on which the other tests rely.
func TestKubelet(t *testing.T) {
	s := external(t, 1, 1)
	h := s.cps[0]
	t.Run("a file whose name starts with a dot is nobody's", func(t *testing.T) {
		h := h.in(t)
		h.write(manifests+"/.kube-apiserver.yaml", h.read(manifest))
		h.write(manifests+"/idle.yaml", idlePod) // it is seen, so that the other one was, too
		eventually(t, "the other pod runs", func() bool { return h.lives("idle.yaml") == 1 })
		if n := h.starts(); n != 1 {
			t.Errorf("the apiserver was started %d times", n)
		}
	})
	t.Run("until the old process is gone it serves, and there is no new one", func(t *testing.T) {
		in := s.in(t)
		in.cps[0].changeSlowly(t, in)
	})
	t.Run("a copy in the directory is another apiserver", func(t *testing.T) {
		h := h.in(t)
		before := h.starts()
		h.write(manifests+"/kube-apiserver.yaml.bak", strings.Replace(h.read(manifest), "--secure-port=6443", "--secure-port=6444", 1))
		eventually(t, "two apiservers run at once", func() bool {
			return h.starts() > before && h.lives("kube-apiserver.yaml") == 1 && h.lives("kube-apiserver.yaml.bak") == 1
		})
	})
	t.Run("a process that ends is started again", func(t *testing.T) {
		h := h.in(t)
		before := len(h.runs())
		for _, r := range h.runs() {
			if r.File == "idle.yaml" && r.Ended.IsZero() {
				check(t, h.call("Signal", SignalArgs{r.PID, 9}, nil))
			}
		}
		eventually(t, "it runs again", func() bool { return len(h.runs()) > before && h.lives("idle.yaml") == 1 })
	})
}

const idlePod = `{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "idle", "command": ["sleep"], "args": ["$(LONG)"], "env": [{"name": "LONG", "value": "1000"}]}]}}`

// slow is a preStop hook after which SIGTERM leaves hardly any of the 30 s of grace.
const slow = "    lifecycle: {preStop: {sleep: {seconds: 27}}}\n"

// slowly makes kubelet take 30 s to end the apiserver, which is ready almost all the while.
func (h *host) slowly() {
	h.t.Helper()
	h.edit(func(m string) string {
		return strings.Replace(m, "    name: kube-apiserver\n", slow+"    name: kube-apiserver\n", 1)
	})
}

// edit changes the manifest as an editor does, and waits until the new process is ready.
func (h *host) edit(change func(string) string) {
	h.t.Helper()
	before := h.starts()
	h.write(manifest, change(h.read(manifest)))
	eventually(h.t, "kubelet starts the apiserver anew", func() bool { return h.starts() == before+1 })
}

// lives is how many containers of a file live.
func (h *host) lives(file string) int {
	h.t.Helper()
	n := 0
	for _, r := range h.runs() {
		if r.File == file && r.Ended.IsZero() {
			n++
		}
	}
	return n
}

// changeSlowly sees one change of the manifest through.
func (h *host) changeSlowly(t *testing.T, s *site) {
	t.Helper()
	h.slowly()
	eventually(t, "it is ready", func() bool { return s.ready(h) })
	began, before := time.Now(), h.starts()
	h.write(manifest, strings.Replace(h.read(manifest), "--allow-privileged=true", "--allow-privileged=false", 1))
	notReady := time.Time{}
	eventually(t, "the new process is there", func() bool {
		if !s.ready(h) && notReady.IsZero() {
			notReady = time.Now()
		}
		return h.starts() == before+1
	})
	all := h.apiservers()
	old := all[len(all)-2]
	if took := old.Ended.Sub(began); took < 27*time.Second || took > 35*time.Second {
		t.Errorf("the old process ended after %v, expected 30 s", took)
	}
	if served := notReady.Sub(began); served < 26*time.Second {
		t.Errorf("the old process was ready for %v only", served)
	}
	eventually(t, "the new process is ready", func() bool { return s.ready(h) })
}
