package throwaway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// membersOf returns the ids of the processes whose command line names dir.
func membersOf(dir string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, err := os.ReadFile(file) // of one that has ended, it is empty
		if err == nil && bytes.Contains(line, []byte(dir+"/")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func waitFor(t *testing.T, what string, seen func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !seen() {
		select {
		case <-deadline:
			t.Fatalf("gave up waiting for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// hasItsOwnEnvironment fails if a member sees more than what etcd needs.
func hasItsOwnEnvironment(t *testing.T, c *throwaway.Cluster) {
	t.Helper()
	want := []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	for _, pid := range membersOf(c.Dir) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			t.Fatal(err)
		}
		if is := strings.Split(strings.TrimSuffix(string(environ), "\x00"), "\x00"); !slices.Equal(is, want) {
			t.Errorf("the environment of %d is %q, want %q", pid, is, want)
		}
	}
}

// listensNowhereElse fails if members listen anywhere but at their URLs.
func listensNowhereElse(t *testing.T, c *throwaway.Cluster) {
	t.Helper()
	listeners := listeningSockets(t)
	var is, want []string
	for _, pid := range membersOf(c.Dir) {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if socket, err := os.Readlink(fd); err == nil && listeners[socket] != "" {
				is = append(is, listeners[socket])
			}
		}
	}
	for _, m := range c.Members {
		for _, u := range []string{m.ClientURL, m.PeerURL} {
			port, err := strconv.Atoi(u[strings.LastIndex(u, ":")+1:])
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("0100007F:%04X", port)) // 127.0.0.1 as /proc writes it here
		}
	}
	slices.Sort(is)
	slices.Sort(want)
	if !slices.Equal(is, want) {
		t.Errorf("members listen at %q, want %q", is, want)
	}
}

// listeningSockets returns the address of each socket that listens; see proc(5).
func listeningSockets(t *testing.T) map[string]string {
	t.Helper()
	const address, state, inode, listens = 1, 3, 9, "0A"
	found := map[string]string{}
	for _, table := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile("/proc/net/" + table)
		if os.IsNotExist(err) {
			continue // without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); f[state] == listens {
				found["socket:["+f[inode]+"]"] = f[address]
			}
		}
	}
	return found
}

// A parent that is killed cannot clean up. The kernel ends its members; the
// next Sweep removes the directory, and nothing that is in use.
func TestKilledParent(t *testing.T) {
	tmp := t.TempDir()
	living, err := throwaway.NewDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(os.Args[0], parentCommand, tmp)
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	said, _ := bufio.NewReader(stdout).ReadString('\n')
	dir := strings.TrimSpace(said)
	if pids := membersOf(dir); filepath.Dir(dir) != tmp || len(pids) != 2 {
		t.Errorf("the parent says %q and has the members %v, want 2", said, pids)
	}
	if removed := throwaway.Sweep(tmp); len(removed) > 0 {
		t.Errorf("swept %q while it was in use", removed)
	}

	_ = parent.Process.Kill()
	_ = parent.Wait()
	waitFor(t, "the members to end", func() bool { return len(membersOf(dir)) == 0 })
	if removed := throwaway.Sweep(tmp); !slices.Equal(removed, []string{dir}) {
		t.Errorf("swept %q, want %s", removed, dir)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 1 || left[0].Name() != filepath.Base(living.Path) {
		t.Errorf("there is now %v, %v; want %s alone", left, err, living.Path)
	}
	if err := living.Close(); err != nil {
		t.Error(err)
	}
}
