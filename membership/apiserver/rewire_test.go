package apiserver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// A change runs through its stages, and ends when the new process is ready: not
// when the old one, which answers for 30 s more, is.
func TestRewire(t *testing.T) {
	n := newNode(t, three)
	if err := n.site().Rewire(t.Context(), n.file(), five); err != nil {
		t.Fatal(err)
	}
	n.wantFile(five)
	n.wantServing(five)
	n.wantNothingLeft()
	if n.Restarts != 1 || n.Locked != "" {
		t.Errorf("%d restarts, locked by %q", n.Restarts, n.Locked)
	}
	wantStages(t, n.stages,
		"ask the servers", "= they are of cluster c1", "wait for the lock", "= locked", "look for another", "= 192.0.2.11:6443 is ready",
		"keep a copy", "= "+n.copies(), "write "+n.path(), "= written", "wait for kube-apiserver with "+strings.Join(five, ","), "= ready after ")
	wantStages(t, n.waits, "process 4712 still runs with another list", "127.0.0.1:6443 is not ready: etcd failed")

	// The copy, which nobody else may read, is the old file.
	copies, err := filepath.Glob(filepath.Join(n.copies(), "*Z"))
	if err != nil || len(copies) != 1 || !strings.HasSuffix(copies[0], "%2Fmanifests%2Fkube-apiserver.yaml.20260301T120100.000000000Z") {
		t.Fatalf("copies: %q, %v", copies, err)
	}
	if info, err := os.Stat(copies[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode of the copy: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(n.copies()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: %v, %v", info.Mode(), err)
	}
}

func wantStages(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("stages:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheSameServersAreNothingToDo(t *testing.T) {
	n := newNode(t, three)
	other := []string{"https://10.0.0.3:2379/", three[0], "HTTPS://10.0.0.2:2379"}
	if err := n.site().Rewire(t.Context(), n.file(), other); err != nil {
		t.Error(err)
	}
	n.wantFile(three)
	if n.Restarts != 0 || len(n.stages) != 0 {
		t.Errorf("%d restarts, stages %q", n.Restarts, n.stages)
	}
}

// An apiserver that did not run before is waited for all the same.
func TestAnApiserverThatDidNotRun(t *testing.T) {
	n := newNode(t, three)
	n.Running = nil
	if err := n.site().Rewire(t.Context(), n.file(), five); err != nil {
		t.Error(err)
	}
	n.wantServing(five)
}

func TestPrevious(t *testing.T) {
	n := newNode(t, three)
	s := n.site()
	if _, err := s.Previous(n.file()); !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), "no copy of "+n.path()+" with other servers") {
		t.Errorf("without a copy: %v", err)
	}
	original := n.file().Data()
	if err := s.Rewire(t.Context(), n.file(), five); err != nil {
		t.Fatal(err)
	}
	servers, err := s.Previous(n.file())
	if err != nil || !slices.Equal(servers, three) {
		t.Fatalf("%q, %v", servers, err)
	}
	if err := s.Rewire(t.Context(), n.file(), servers); err != nil {
		t.Fatal(err)
	}
	if now := n.file().Data(); string(now) != string(original) {
		t.Errorf("the file is\n%s", now)
	}
	n.wantServing(three)

	// An upgrade has changed the file since: what it did stays.
	if err := os.WriteFile(n.path(), []byte(strings.Replace(string(original), "v1.36.3", "v1.37.0", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if servers, err = s.Previous(n.file()); err != nil || !slices.Equal(servers, five) {
		t.Fatalf("%q, %v", servers, err)
	}
	if err := s.Rewire(t.Context(), n.file(), servers); err != nil {
		t.Fatal(err)
	}
	if f := n.file(); !strings.Contains(string(f.Data()), "v1.37.0") || !slices.Equal(f.Servers, five) {
		t.Errorf("the file is\n%s", f.Data())
	}
}

func TestTenCopiesAreKept(t *testing.T) {
	n := newNode(t, three)
	for i := range 15 {
		servers := five
		if i%2 == 1 {
			servers = three
		}
		if err := n.site().Rewire(t.Context(), n.file(), servers); err != nil {
			t.Fatal(err)
		}
	}
	names, err := copies{dir: n.copies(), file: n.path()}.list()
	if err != nil || len(names) != keptCopies || !slices.IsSortedFunc(names, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("%q, %v", names, err)
	}
}

// kubeadm's configuration is read by no process.
func TestWriteAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kubeadm.yaml")
	text := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\netcd:\n  external:\n    endpoints: # in order\n    - https://10.0.0.1:2379\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, three)
	s := n.site()
	s.Cluster, s.Host, s.Dialer = nil, nil, nil
	f, err := etcdservers.Read(os.DirFS("/"), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Rewire(t.Context(), f, three[:2]); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(path)
	if want := text + "    - https://10.0.0.2:2379\n"; string(now) != want || err != nil {
		t.Errorf("%v\n%s", err, now)
	}
	if err := s.Rewire(t.Context(), f, three); !errors.Is(err, ErrChanged) {
		t.Errorf("a second change of what was read once: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if servers, err := s.Previous(f); err == nil {
		t.Errorf("the file as it was has an older list, %q", servers)
	}
}
