package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// etcdha on a host of the site; it has to succeed.
func (s *site) etcdha(t *testing.T, host string, args ...string) string {
	t.Helper()
	return must(t, tool("etcdha"), with(s.on(host), args...)...)
}

// A cluster grows from one member to five and shrinks to one again, while
// clients write: no acknowledged write is lost, and none waits for long. New
// members are started by nothing but what --on-step is told.
func growAndShrink(t *testing.T, version string) {
	s := newSite(t, version, 1, 5)
	onStep := s.automation(t)
	w := s.write()
	w.flows(t)
	for i, name := range []string{"m2", "m3", "m4", "m5"} {
		out := s.etcdha(t, "m1", "member", "add", name, "--peer-urls="+s.host(name).PeerURL, "--wait=1m", "--on-step="+onStep)
		if !strings.Contains(out, "ETCD_INITIAL_CLUSTER_STATE=\"existing\"") || !strings.Contains(out, s.id(name)) {
			t.Errorf("add %s does not print what etcdctl does:\n%s", name, out)
		}
		if got := len(s.voters()); got != i+2 {
			t.Fatalf("%d voters after %s", got, name)
		}
	}
	for left := 4; left >= 1; left-- {
		leader := s.leader()
		s.etcdha(t, s.follower(), "member", "remove", leader)
		if got := s.voters(); len(got) != left || slices.Contains(got, leader) {
			t.Fatalf("voters after the removal of %s: %v", leader, got)
		}
		eventually(t, leader+" ends by itself", s.host(leader).Exited)
	}
	w.flows(t)
	w.stop(t)
	if w.gap > longestGap {
		t.Errorf("clients could not write for %v", w.gap)
	}
}

// longestGap is what clients may have to wait for a planned change: a few
// elections, on a machine that is busy.
const longestGap = 5 * time.Second

// automation begins to start what has to be started, as a shell command for
// --on-step asks for it, which it returns.
func (s *site) automation(t *testing.T) (onStep string) {
	dir := t.TempDir()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
			for _, file := range files {
				s.carryOut(t, file)
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return fmt.Sprintf("cat > %[1]s/$$ && mv %[1]s/$$ %[1]s/$$.json", dir)
}

// stepEvent is what automation is told.
type stepEvent struct {
	Step   string
	Member struct{ Name, ID string }
	Start  *struct{ InitialCluster string }
}

func (s *site) carryOut(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	var e stepEvent
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		t.Error(err)
	}
	if e.Step == "start" {
		id, err := strconv.ParseUint(e.Member.ID, 16, 64)
		if err != nil {
			t.Error(err)
		}
		s.startOn(e.Member.Name, id, true, e.Start.InitialCluster)
	}
}
