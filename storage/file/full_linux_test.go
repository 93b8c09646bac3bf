package file_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/storage"
)

// A disk that takes no more in the middle of an object. The limit is on the
// size of a file: the system refuses a write in the same way. It is beyond what the
// process writes beside, such as its test log.
func TestNoRoomForAnObject(t *testing.T) {
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "there", "content")
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	const room = 16 << 20
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: room, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err := s.Put(t.Context(), "cluster/object", strings.NewReader(strings.Repeat("k", room+1)))
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EFBIG) || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("put: %v; want %v", err, unix.EFBIG)
	}
	if is := names(t, dir); !slices.Equal(is, []string{".", "there"}) {
		t.Errorf("there is %q, want what was there", is)
	}
	put(t, s, "cluster/object", strings.Repeat("k", 100<<10))
}

// A store that may only be read can be read, and says why it cannot be written.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "cluster/object", "content")
	readOnly(t, dir, filepath.Join(dir, "cluster"))
	for _, key := range []string{"new", "cluster/new", "new/new"} {
		if err := s.Put(t.Context(), key, strings.NewReader("content")); !errors.Is(err, fs.ErrPermission) || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("put %s: %v; want %v", key, err, fs.ErrPermission)
		}
	}
	if err := s.Put(t.Context(), "cluster/object", strings.NewReader("content")); !errors.Is(err, storage.ErrExist) {
		t.Errorf("put of what is there: %v; want %v", err, storage.ErrExist)
	}
	if err := s.Delete(t.Context(), "cluster/object"); !errors.Is(err, fs.ErrPermission) || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("delete: %v; want %v", err, fs.ErrPermission)
	}
	r, err := s.Open(t.Context(), "cluster/object")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := io.ReadAll(r); string(data) != "content" {
		t.Errorf("the object holds %q, %v", data, err)
	}
	if keys := list(t, s, ""); !slices.Equal(keys, []string{"cluster/object"}) {
		t.Errorf("list: %q; want the object", keys)
	}
}

// readOnly takes the right to write away, from root too: for the rest of the
// test its thread reads and writes files as one who owns them and may no more.
func readOnly(t *testing.T, dirs ...string) {
	t.Helper()
	const nobody = 65534
	root := os.Geteuid() == 0
	for _, dir := range dirs {
		if root {
			err := unix.Chown(dir, nobody, -1)
			if err == nil {
				err = unix.Chown(filepath.Join(dir, "object"), nobody, -1)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	}
	if root {
		runtime.LockOSThread() // and never unlocked: the thread ends with the test
		if _, err := unix.SetfsuidRetUid(nobody); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = unix.SetfsuidRetUid(0) }) // first, as the last one registered
	}
}
