package e2e

import (
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Every member is defragmented, the leader last, while clients write.
func defragmentationWhileClientsWrite(t *testing.T) {
	s := newSite(t, "37", 3, 3)
	w := s.write()
	s.leaveHoles(t)
	before := s.sizes(t)
	leader := s.leader()
	out := s.etcdha(t, "m1", "member", "defrag")
	w.flows(t)
	w.stop(t)
	for name, size := range s.sizes(t) {
		if size > before[name]/2 {
			t.Errorf("the db of %s has %d bytes, and had %d", name, size, before[name])
		}
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := lines[len(lines)-1]; len(lines) != 3 || !strings.HasPrefix(last, "Finished defragmenting "+leader+":") {
		t.Errorf("the leader %s was not the last of three:\n%s", leader, out)
	}
	if w.gap > longestGap {
		t.Errorf("clients could not write for %v", w.gap)
	}
}

// leaveHoles makes dbs that are mostly free pages.
func (s *site) leaveHoles(t *testing.T) {
	t.Helper()
	client := s.client("m1")
	value := strings.Repeat("v", 64<<10)
	var revision int64
	for i := range 200 {
		resp, err := client.Put(t.Context(), fmt.Sprintf("/hole/%d", i%4), value)
		if err != nil {
			t.Fatal(err)
		}
		revision = resp.Header.Revision
	}
	if _, err := client.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
}

func (s *site) sizes(t *testing.T) map[string]int64 {
	t.Helper()
	sizes := make(map[string]int64)
	for _, host := range s.running() {
		status, err := s.status(host)
		if err != nil {
			t.Fatal(err)
		}
		sizes[host] = status.DbSize
	}
	return sizes
}
