package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Two operators at once: while one waits for a new etcd that nobody starts, the
// other is told who that is. When the first is done, the second acts.
func twoOperators(t *testing.T) {
	s := newSite(t, "37", 3, 4)
	first := s.begin(t, "member", "add", "m4", "--peer-urls="+s.host("m4").PeerURL, "--wait=5m")
	eventually(t, "the first operator has added a learner", func() bool { return len(s.learners()) == 1 })

	_, stderr, code := etcdha(t, with(s.on("m1"), "member", "move-leader", "best")...)
	who := fmt.Sprintf("pid %d", first.Process.Pid)
	if code != 1 || !strings.Contains(stderr, who) || !strings.Contains(stderr, "since") {
		t.Errorf("the second operator: exit %d, expected to be told of %s\n%s", code, who, stderr)
	}

	second := s.begin(t, "member", "move-leader", "best")
	leader := s.leader()
	s.operate()
	if err := first.Wait(); err != nil {
		t.Errorf("the first operator: %v\n%s", err, first.Stderr)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("the second operator: %v\n%s", err, second.Stderr)
	}
	if got := len(s.voters()); got != 4 || s.leader() == leader {
		t.Errorf("%d voters, and %s still leads", got, leader)
	}
}

// begin starts etcdha, which is killed if it still runs when the test ends.
func (s *site) begin(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool("etcdha"), with(s.on("m1"), args...)...)
	cmd.Stderr = new(strings.Builder)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// A target file is reached although etcdha crashes on the way, and a backup
// from before the first step is in the store.
func applyGoesOnAfterACrash(t *testing.T) {
	s := newSite(t, "36", 3, 5)
	s.operate()
	w := s.write()
	w.flows(t)
	dead := s.follower()
	s.kill(dead)
	kept := s.otherThan(dead, "")
	target := filepath.Join(t.TempDir(), "target.yaml")
	text := "members:\n"
	for i, name := range []string{kept, "m4", "m5"} {
		text += fmt.Sprintf("  - name: %s\n    peerURLs: [%s]\n    zone: zone-%d\n", name, s.host(name).PeerURL, i)
	}
	if err := os.WriteFile(target, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(t.TempDir(), "backups")

	// The first run crashes when a learner has been added.
	crash := `grep -q '"step":"add"' && kill -9 $PPID || true`
	args := with(s.on(kept), "member", "apply", "--target="+target, "--store="+store, "--yes", "--wait=1m")
	stdout, stderr, code := run(t, tool("etcdha"), with(args, "--on-step="+crash)...)
	if code != -1 {
		t.Fatalf("exit %d, expected a crash\n%s%s", code, stdout, stderr)
	}
	if ids := listed(t, store); len(ids) != 1 {
		t.Errorf("backups before the first step: %v", ids)
	}
	must(t, tool("etcdha"), args...)
	if got := strings.Join(s.voters(), " "); got != kept+" m4 m5" || len(s.learners()) > 0 {
		t.Errorf("voters: %s", got)
	}
	if out := must(t, tool("etcdha"), args...); strings.Contains(out, "added") || len(listed(t, store)) > 2 {
		t.Errorf("with nothing left to do:\n%s", out)
	}
	w.flows(t)
	w.stop(t)
}

// When the time of add --wait runs out, a learner that never started is taken
// out again, and one that has started stays.
func addThatTakesTooLong(t *testing.T) {
	s := newSite(t, "37", 1, 2)
	add := with(s.on("m1"), "member", "add", "m2", "--peer-urls="+s.host("m2").PeerURL, "--wait=3s")
	_, stderr, code := run(t, tool("etcdha"), add...)
	if code != 1 || len(s.members()) != 1 || !strings.Contains(stderr, "taken out again") {
		t.Errorf("never started: exit %d, members %v\n%s", code, s.members(), stderr)
	}

	// This one starts, and stops before etcdha first looks at it.
	dir := t.TempDir()
	asked, ready := filepath.Join(dir, "asked"), filepath.Join(dir, "ready")
	onStep := fmt.Sprintf(`grep -q '"step":"start"' || exit 0; touch %s; while [ ! -e %s ]; do sleep 0.05; done`, asked, ready)
	var code2 int
	var ended sync.WaitGroup
	ended.Go(func() { _, stderr, code2 = run(t, tool("etcdha"), with(add, "--on-step="+onStep)...) })
	eventually(t, "the start is asked for", func() bool { return exists(asked) })
	s.operate()
	eventually(t, "m2 starts", func() bool { return s.member("m2") != nil && s.member("m2").Name != "" })
	s.pause("m2")
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ended.Wait()
	if learners := s.learners(); code2 != 1 || len(learners) != 1 || !strings.Contains(stderr, "hint: it stays a learner") {
		t.Errorf("started: exit %d, learners %v\n%s", code2, learners, stderr)
	}
	s.resume("m2")
	eventually(t, "m2 is promoted", func() bool {
		_, _, code := run(t, tool("etcdha"), with(s.on("m1"), "member", "promote", "m2")...)
		return code == 0
	})
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
