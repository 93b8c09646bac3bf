package membership_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

// dataDir is one of a member whose db holds a word.
func dataDir(t *testing.T) (dir, db string) {
	t.Helper()
	dir = t.TempDir()
	db = filepath.Join(dir, "member", "snap", "db")
	if err := os.MkdirAll(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := bolt.Open(db, 0o600, nil)
	if err == nil {
		err = b.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, db
}

func TestMoveAside(t *testing.T) {
	dir, _ := dataDir(t)
	for range 2 { // the second time there is nothing to move
		if err := membership.MoveAside(dir, "abc"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "member.abc", "snap", "db")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "member")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the member directory is still there: %v", err)
	}
}

// Something may have made the directory again, and nothing in it.
func TestWhatWasMovedBeforeIsDone(t *testing.T) {
	dir, _ := dataDir(t)
	if err := membership.MoveAside(dir, "abc"); err != nil {
		t.Fatal(err)
	}
	wal := filepath.Join(dir, "member", "wal")
	if err := os.MkdirAll(wal, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := membership.MoveAside(dir, "abc"); err != nil {
		t.Errorf("there is nothing to move: %v", err)
	}
	if err := os.WriteFile(filepath.Join(wal, "0.wal"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := membership.MoveAside(dir, "abc"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("new data: %v", err)
	}
}

func TestWhatAnEtcdHasOpenIsNotMoved(t *testing.T) {
	dir, db := dataDir(t)
	b, err := bolt.Open(db, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = membership.MoveAside(dir, "abc")
	if !errors.Is(err, fail.ErrUnsafe) || fail.Hint(err) == "" || err.Error() != "data directory "+dir+" is in use by a running etcd" {
		t.Errorf("error %v, hint %q", err, fail.Hint(err))
	}
	if _, err := os.Stat(db); err != nil {
		t.Error(err)
	}
}

func TestNothingIsMovedOver(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a directory":        func(path string) error { return os.MkdirAll(filepath.Join(path, "snap"), 0o700) },
		"an empty directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a file":             func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a dangling link":    func(path string) error { return os.Symlink("nowhere", path) },
	} {
		dir, db := dataDir(t)
		aside := filepath.Join(dir, "member.abc")
		if err := make(aside); err != nil {
			t.Fatal(err)
		}
		before, err := os.Lstat(aside)
		if err != nil {
			t.Fatal(err)
		}
		if err := membership.MoveAside(dir, "abc"); !errors.Is(err, fs.ErrExist) || fail.Hint(err) == "" {
			t.Errorf("%s: error %v, hint %q", name, err, fail.Hint(err))
		}
		after, err := os.Lstat(aside)
		if err != nil || !os.SameFile(before, after) {
			t.Errorf("%s: it is not there any more: %v", name, err)
		}
		if _, err := os.Stat(db); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMoveAsideNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if err := membership.MoveAside(dir, "abc"); err != nil {
			t.Error(err)
		}
	}
	for _, suffix := range []string{"", "a/b", "../b"} {
		if err := membership.MoveAside(t.TempDir(), suffix); !errors.Is(err, fail.ErrUsage) {
			t.Errorf("suffix %q: error %v", suffix, err)
		}
	}
}
