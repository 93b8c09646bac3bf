//go:build linux

package controlplane

import (
	"slices"
	"testing"
)

const stackedServer = "https://127.0.0.1:2379"

// The member of a stacked host is replaced by a new one on that host, since its
// disk has to go. Its apiserver uses the others for that time, and the other
// apiserver serves all the while.
func TestStackedMemberIsReplaced(t *testing.T) {
	s := stacked(t, 1)
	o := s.operate()
	old := o.life["cp1"]
	for _, h := range s.cps {
		s.follow(h)
	}
	w := s.write()
	w.flows(t)

	cp1, cp2 := s.cps[0], s.cps[1]
	cp1.etcdha("apiserver", "rewire", "--topology=external", "--yes")
	if got, want := sorted(cp1.running()), sorted(clientURLs(cp1, cp2, s.etcds[0])); !slices.Equal(got, want) {
		t.Fatalf("cp1 uses %v, expected %v", got, want)
	}
	cp1.removeEtcd()
	w.flows(t)
	cp2.etcdha(append([]string{"member", "replace", "cp1", "cp1", "--yes", "--wait=3m"}, etcdFlags(cp2, s.etcds[0])...)...)
	cp1.etcdha("apiserver", "rewire", "--topology=stacked", "--yes")

	if got, want := o.names(), []string{"cp1", "cp2", "e1"}; !slices.Equal(got, want) || o.idOn(cp1) == old {
		t.Errorf("members: %v, expected %v; cp1 has the id %x, and had %x", got, want, o.idOn(cp1), old)
	}
	w.flows(t)
	w.stop(t)
	s.areStacked(t)
	if n := cp2.starts(); n != 1 {
		t.Errorf("the apiserver of cp2 was started %d times: it has nothing to do with the member of cp1", n)
	}
}

// A stacked control plane moves to an external etcd, and back.
func TestStackedToExternalAndBack(t *testing.T) {
	s := stacked(t, 3)
	o := s.operate()
	for _, h := range s.cps {
		s.follow(h)
	}
	w := s.write()
	w.flows(t)

	for _, h := range s.cps {
		h.etcdha("apiserver", "rewire", "--topology=external", "--yes")
	}
	s.apply(s.etcds...)
	if got, want := o.names(), []string{"e1", "e2", "e3"}; !slices.Equal(got, want) {
		t.Fatalf("members: %v, expected %v", got, want)
	}
	s.eventuallyServe(t, s.etcds...)
	w.flows(t)

	s.apply(s.cps[0], s.cps[1], s.etcds[0])
	if got, want := o.names(), []string{"cp1", "cp2", "e1"}; !slices.Equal(got, want) {
		t.Fatalf("members: %v, expected %v", got, want)
	}
	for _, h := range s.cps {
		h.etcdha("apiserver", "rewire", "--topology=stacked", "--yes")
	}
	w.flows(t)
	w.stop(t)
	s.areStacked(t)
}

// areStacked makes sure that both apiservers use the member of their host, and
// that they got there one at a time.
func (s *site) areStacked(t *testing.T) {
	t.Helper()
	for _, h := range s.cps {
		got := h.show()
		if got.Topology != "stacked" || !slices.Equal(got.Servers, []string{stackedServer}) || !slices.Equal(h.running(), got.Servers) {
			t.Errorf("%s: %+v, and the process has %v", h.name, got, h.running())
		}
	}
	s.oneEach(t)
	s.neverBothRestarting(t)
}

// etcdha runs etcdha on the host, which has to succeed.
func (h *host) etcdha(args ...string) result {
	h.t.Helper()
	return h.must(append([]string{tool("etcdha")}, args...)...)
}

func (o *operator) idOn(h *host) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.life[h.name]
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
