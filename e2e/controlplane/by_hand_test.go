//go:build linux

package controlplane

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Without agents: a removal says what to type, waits until it was typed on each
// host, and then happens. What the copies hold is not put back once a member is gone.
func TestByHand(t *testing.T) {
	s := external(t, 3, 3)
	o := s.operate()
	w := s.write()
	w.flows(t)
	cp1 := s.cps[0]

	// There and back.
	three := cp1.read(manifest)
	cp1.etcdha("apiserver", "rewire", "--etcd-servers="+strings.Join(clientURLs(s.etcds[:2]...), ","), "--yes")
	cp1.etcdha("apiserver", "rollback", "--yes")
	if got := cp1.read(manifest); got != three || !slices.Equal(cp1.running(), clientURLs(s.etcds...)) {
		t.Errorf("after rollback the apiserver has %v, and the manifest is\n%s", cp1.running(), got)
	}

	remove := cp1.start(append([]string{tool("etcdha"), "member", "remove", "e3", "--yes"}, etcdFlags(s.etcds...)...)...)
	for _, h := range s.cps {
		eventually(t, "it says what to type on "+h.name, func() bool {
			if remove.ended() {
				t.Fatal(remove.wait())
			}
			return strings.Contains(remove.stderr(), "etcdha apiserver rewire --from-members") && strings.Contains(remove.stderr(), h.address)
		})
		if got := o.names(); !slices.Contains(got, "e3") {
			t.Fatalf("e3 was removed before %s went without it: %v", h.name, got)
		}
		h.etcdha("apiserver", "rewire", "--from-members", "--yes")
	}
	remove.waitDone()
	if got, want := o.names(), []string{"e1", "e2"}; !slices.Equal(got, want) {
		t.Errorf("members: %v, expected %v", got, want)
	}
	s.eventuallyServe(t, s.etcds[:2]...)

	two := cp1.read(manifest)
	if r := cp1.run(tool("etcdha"), "apiserver", "rollback", "--yes"); r.code == 0 || cp1.read(manifest) != two {
		t.Errorf("rollback to a list with a member that is gone: %v", r)
	}
	w.stop(t)
	s.oneEach(t)
	s.neverBothRestarting(t)
}

// kubelet takes 30 s to end the old process, which is ready almost all the while.
// A rewiring is over when the new one is.
func TestSlowKubelet(t *testing.T) {
	s := external(t, 3, 3)
	h := s.cps[0]
	h.slowly()
	eventually(t, "it is ready", func() bool { return s.ready(h) })
	w := s.write()
	w.flows(t)
	began := time.Now()
	h.etcdha("apiserver", "rewire", "--etcd-servers="+strings.Join(clientURLs(s.etcds[:2]...), ","), "--yes")
	ended := time.Now()
	lives := h.apiservers()
	old, last := lives[len(lives)-2], lives[len(lives)-1]
	if took := old.Ended.Sub(began); took < 27*time.Second {
		t.Errorf("the old process was gone after %v: this is not the slow kubelet", took)
	}
	if ended.Before(last.Started) || !slices.Equal(h.running(), clientURLs(s.etcds[:2]...)) || !s.ready(h) {
		t.Errorf("it was over at %v, the new process started at %v, has %v, and is ready: %v", ended, last.Started, h.running(), s.ready(h))
	}
	w.stop(t)
	s.oneEach(t)
}
