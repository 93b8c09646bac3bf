package file

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// FAT and many shares have no hard links. A rename that replaces nothing is as
// good; that this system can do it, the test finds out for itself.
func TestFileSystemWithoutLinks(t *testing.T) {
	for _, answer := range []error{syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		s, _ := failing(t, 0, nil)
		s.link = func(_ *os.Root, from, to string) error {
			return &os.LinkError{Op: "linkat", Old: from, New: to, Err: answer}
		}
		if err := s.Put(t.Context(), "cluster/object", strings.NewReader("content")); err != nil {
			t.Errorf("put with %q: %v", answer, err)
		}
		holds(t, s, "cluster/object", "content")
		if err := s.Put(t.Context(), "cluster/object", strings.NewReader("other")); !errors.Is(err, storage.ErrExist) {
			t.Errorf("put of another: %v; want %v", err, storage.ErrExist)
		}
		put := func(name string) error { return s.Put(t.Context(), name, strings.NewReader("first")) }
		if err := s.Put(t.Context(), "object", overtaken(put)); !errors.Is(err, storage.ErrExist) {
			t.Errorf("put that was overtaken: %v; want %v", err, storage.ErrExist)
		}
		holds(t, s, "object", "first")
		if left := entries(t, s); len(left) != 2 {
			t.Errorf("%q are left, want the cluster and the object", left)
		}
	}
}

// Where neither works nothing is put in a weaker way.
func TestFileSystemWithoutExclusiveNames(t *testing.T) {
	s, _ := failing(t, 0, nil)
	s.link = func(dir *os.Root, from, to string) error {
		if err := dir.Remove(from); err != nil { // so that a rename has nothing to succeed with
			return err
		}
		return &os.LinkError{Op: "linkat", Old: from, New: to, Err: syscall.EPERM}
	}
	err := s.Put(t.Context(), "cluster/object", strings.NewReader("content"))
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("put: %v; want %v", err, storage.ErrUnavailable)
	}
	for _, answer := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP} {
		if err := uncommitted(answer); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, answer) || !strings.Contains(fail.Hint(err), "another") {
			t.Errorf("%v, hint %q; want one that tells to go elsewhere", err, fail.Hint(err))
		}
	}
	if left := entries(t, s); !slices.Equal(left, nil) {
		t.Errorf("%q are left", left)
	}
}
