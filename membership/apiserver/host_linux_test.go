package apiserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A real process with the name of kube-apiserver is found, with its command line
// and a start time that stays; when it has ended it is gone, and even before
// anybody has waited for it.
func TestARealProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Args = []string{"/usr/local/bin/kube-apiserver", "--etcd-servers=" + strings.Join(three, ","), "", "--note=a b"}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stdout)
	if line, err := said.ReadString('\n'); line != "started\n" {
		t.Fatalf("it says %q, %v", line, err)
	}
	find := func() (found []Process) {
		all, err := NewHost().APIServers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(all, func(p Process) bool { return p.PID != cmd.Process.Pid })
	}
	first, second := find(), find()
	if len(first) != 1 || len(second) != 1 || first[0].identity() != second[0].identity() || first[0].Start == 0 || !slices.Equal(first[0].Args, cmd.Args) {
		t.Fatalf("found %+v, then %+v", first, second)
	}
	if !slices.Equal(serversOf(first[0]), three) {
		t.Errorf("its list is %q", serversOf(first[0]))
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, said); err != nil { // until it has ended
		t.Fatal(err)
	}
	for len(find()) > 0 { // the end of its output comes a moment before its own
		t.Log("it still ends")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// What proc(5) can hold.
func TestProcesses(t *testing.T) {
	root := t.TempDir()
	add := func(pid int, name string, start int, args ...string) {
		t.Helper()
		dir := filepath.Join(root, strconv.Itoa(pid))
		stat := fmt.Sprintf("%d (%s) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %d 20 21\n", pid, name, start)
		line := strings.Join(args, "\x00")
		if len(args) > 0 {
			line += "\x00"
		}
		for file, text := range map[string]string{"stat": stat, "cmdline": line} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(10, "kube-apiserver", 100, "kube-apiserver", "--v=2")
	add(20, "a) S 1 (b", 200, "/usr/bin/kube-apiserver")
	add(30, "hyperkube", 300, "/hyperkube", "apiserver", "--v=2")
	add(31, "hyperkube", 310, "/hyperkube", "kubelet")
	add(40, "sh", 400, "/bin/sh", "-c", "exec kube-apiserver --v=2")
	add(50, "kube-apiserver", 500) // a zombie
	add(60, "vi", 600, "vi", "kube-apiserver")
	add(70, "etcd", 700, "kube-apiserver-proxy")
	if err := os.MkdirAll(filepath.Join(root, "80"), 0o755); err != nil { // it ends just now
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "self"), 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := procHost{root}.APIServers(t.Context())
	want := []identity{{10, 100}, {20, 200}, {30, 300}}
	if err != nil || !slices.Equal(identities(all), want) {
		t.Errorf("%v, %v; want %v", identities(all), err, want)
	}
	if len(all) > 0 && !slices.Equal(all[0].Args, []string{"kube-apiserver", "--v=2"}) {
		t.Errorf("%q", all[0].Args)
	}
	add(90, "short", 0, "kube-apiserver")
	if err := os.WriteFile(filepath.Join(root, "90", "stat"), []byte("90 (short) S 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (procHost{root}).APIServers(t.Context()); err == nil || !strings.Contains(err.Error(), "look at process 90") {
		t.Errorf("what cannot be understood: %v", err)
	}
	if _, err := (procHost{filepath.Join(root, "none")}).APIServers(t.Context()); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "list processes: ") {
		t.Errorf("no proc: %v", err)
	}
}

// The addresses are those that others can use.
func TestAddresses(t *testing.T) {
	all, err := NewHost().Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if strings.HasPrefix(a, "127.") || a == "::1" || strings.HasPrefix(a, "fe80") || strings.Contains(a, "/") {
			t.Errorf("%s is no address for others", a)
		}
	}
}
