package throwaway_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/throwaway"
)

func TestDirIsPrivateAndGoesAway(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	parent := t.TempDir()
	d, err := throwaway.NewDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(d.Path); err != nil || fi.Mode() != fs.ModeDir|0o700 || filepath.Dir(d.Path) != parent {
		t.Errorf("mode of %s is %v, %v; want 0700", d.Path, fi.Mode(), err)
	}
	writeFiles(t, d.Path, "secret", "m1/data/member/snap/db")
	if removed := throwaway.Sweep(parent); len(removed) > 0 {
		t.Errorf("swept %q, which is in use", removed)
	}
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if left := names(t, parent); len(left) > 0 {
		t.Errorf("after Close there is %q", left)
	}
}

func TestNoDir(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "missing")
	if d, err := throwaway.NewDir(parent); d != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in what is missing: %v, %v; want %v", d, err, fs.ErrNotExist)
	}
	if removed := throwaway.Sweep(parent); len(removed) > 0 {
		t.Errorf("swept %q there", removed)
	}
}

// Sweep removes what has been left behind, wherever removing it has stopped,
// and nothing that could be somebody's.
func TestSweep(t *testing.T) {
	const prefix = "etcdha-throwaway-"
	parent := filepath.Join(t.TempDir(), "[odd*name")
	outside := filepath.Join(t.TempDir(), prefix+"kept")
	for dir, files := range map[string][]string{
		filepath.Join(parent, prefix+"dead"):         {"lock", "secret", "m1/data/db"},
		filepath.Join(parent, prefix+"half-removed"): {"m1/data/db"},
		filepath.Join(parent, prefix+"moving-in"):    {},
		filepath.Join(parent, "other"):               {"lock"},
		filepath.Join(parent, "other", prefix+"x"):   {"lock"},
		outside: {"lock"},
	} {
		writeFiles(t, dir, files...)
	}
	writeFiles(t, parent, prefix+"file")
	if err := os.Symlink(outside, filepath.Join(parent, prefix+"link")); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(parent, prefix+"dead"), filepath.Join(parent, prefix+"half-removed")}
	if removed := throwaway.Sweep(parent); !slices.Equal(removed, want) {
		t.Errorf("swept %q, want %q", removed, want)
	}
	left := []string{prefix + "file", prefix + "link", prefix + "moving-in", "other"}
	if is := names(t, parent); !slices.Equal(is, left) {
		t.Errorf("there is now %q, want %q", is, left)
	}
	if is := names(t, outside); !slices.Equal(is, []string{"lock"}) {
		t.Errorf("outside there is now %q", is)
	}
	if is := names(t, filepath.Join(parent, "other")); !slices.Equal(is, []string{prefix + "x", "lock"}) {
		t.Errorf("in another directory there is now %q", is)
	}
}

func writeFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
