package file

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// failing is a store whose nth sync fails, 0 for none.
func failing(t *testing.T, nth int, fault error) (*Store, *int) {
	t.Helper()
	opened, err := Open(t.Context(), &url.URL{Scheme: "file", Path: t.TempDir()}, false)
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*Store)
	syncs := new(int)
	s.sync = func(f *os.File) error {
		if *syncs++; *syncs == nth {
			return &os.PathError{Op: "sync", Path: f.Name(), Err: fault}
		}
		return f.Sync()
	}
	return s, syncs
}

// Whichever sync fails, what may be gone after a crash was never there, and the
// next try succeeds.
func TestNothingIsVisibleThatIsNotDurable(t *testing.T) {
	const key = "cluster/life/object"
	s, syncs := failing(t, 0, nil)
	if err := s.Put(t.Context(), key, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if *syncs != 4 { // the root, cluster, the file, life
		t.Fatalf("a put has made %d syncs, want 4", *syncs)
	}
	for nth := range *syncs {
		for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
			s, _ := failing(t, nth+1, fault)
			err := s.Put(t.Context(), key, strings.NewReader("content"))
			if !errors.Is(err, fault) || !errors.Is(err, storage.ErrUnavailable) || errors.Is(fault, syscall.ENOSPC) != (fail.Hint(err) != "") {
				t.Errorf("sync %d fails: %v, hint %q; want %v", nth+1, err, fail.Hint(err), fault)
			}
			if left := entries(t, s); len(left) > 0 {
				t.Errorf("sync %d fails: %q are left", nth+1, left)
			}
			if err := s.Put(t.Context(), key, strings.NewReader("content")); err != nil {
				t.Errorf("the next put: %v", err)
			}
			holds(t, s, key, "content")
		}
	}
}

// A Delete whose sync fails may come back after a crash. The next one syncs
// although it finds nothing.
func TestDeleteSyncsWhatIsGone(t *testing.T) {
	s, syncs := failing(t, 0, nil)
	for _, key := range []string{"cluster/object", "cluster/other"} {
		if err := s.Put(t.Context(), key, strings.NewReader("content")); err != nil {
			t.Fatal(err)
		}
	}
	sync := s.sync
	s.sync = func(*os.File) error { return syscall.EIO }
	if err := s.Delete(t.Context(), "cluster/object"); !errors.Is(err, syscall.EIO) || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("delete: %v; want %v", err, syscall.EIO)
	}
	s.sync = sync
	before := *syncs
	if err := s.Delete(t.Context(), "cluster/object"); err != nil || *syncs != before+1 {
		t.Errorf("the next delete: %v with %d syncs; want 1", err, *syncs-before)
	}
}

// The answer of a network file system was lost. The client asks again, and is
// told what the first call has done.
func TestLinkThatIsRepeated(t *testing.T) {
	for _, answer := range []error{syscall.EEXIST, syscall.EIO, syscall.ESTALE} {
		s, _ := failing(t, 0, nil)
		s.link = func(dir *os.Root, from, to string) error {
			if err := dir.Link(from, to); err != nil {
				return err
			}
			return &os.LinkError{Op: "linkat", Old: from, New: to, Err: answer}
		}
		if err := s.Put(t.Context(), "cluster/object", strings.NewReader("content")); err != nil {
			t.Errorf("put of what is there although it says %q: %v", answer, err)
		}
		holds(t, s, "cluster/object", "content")
		if err := s.Put(t.Context(), "cluster/object", strings.NewReader("other")); !errors.Is(err, storage.ErrExist) {
			t.Errorf("put of another: %v; want %v", err, storage.ErrExist)
		}
		holds(t, s, "cluster/object", "content")
	}
}

// The last word is the link's, not the look before it.
func TestLinkThatFails(t *testing.T) {
	for _, c := range []struct{ answer, want error }{{syscall.EIO, storage.ErrUnavailable}, {syscall.EACCES, storage.ErrUnavailable}} {
		s, _ := failing(t, 0, nil)
		s.link = func(_ *os.Root, from, to string) error {
			return &os.LinkError{Op: "linkat", Old: from, New: to, Err: c.answer}
		}
		if err := s.Put(t.Context(), "cluster/object", strings.NewReader("content")); !errors.Is(err, c.want) || !errors.Is(err, c.answer) {
			t.Errorf("put: %v; want %v", err, c.answer)
		}
		if left := entries(t, s); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	}
}

// overtaken lets another one make something while it is read.
type overtaken func(name string) error

func (make overtaken) Read([]byte) (int, error) {
	if err := make("object"); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// What has come meanwhile is an object or is none.
func TestOvertakenByWhatIsNoObject(t *testing.T) {
	s, _ := failing(t, 0, nil)
	err := s.Put(t.Context(), "object", overtaken(func(name string) error { return s.root.Mkdir(name, dirMode) }))
	if !errors.Is(err, syscall.EISDIR) || !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrExist) {
		t.Errorf("put: %v; want %v", err, syscall.EISDIR)
	}
	if left := entries(t, s); !slices.Equal(left, []string{"object"}) {
		t.Errorf("%q are left, want the directory alone", left)
	}
}

func entries(t *testing.T, s *Store) (names []string) {
	t.Helper()
	dir, err := s.root.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if names, err = dir.Readdirnames(-1); err != nil {
		t.Fatal(err)
	}
	return names
}

func holds(t *testing.T, s *Store, key, want string) {
	t.Helper()
	is := func() string {
		r, err := s.Open(t.Context(), key)
		if err != nil {
			return fmt.Sprint(err)
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		return string(data) + fmt.Sprint(err)
	}()
	if is != want+"<nil>" {
		t.Errorf("%s holds %q, want %q", key, is, want)
	}
}

// A directory that is removed because it is empty may be an object by then.
func TestNoObjectIsRemovedForADirectory(t *testing.T) {
	s, _ := failing(t, 0, nil)
	if err := s.Put(t.Context(), "cluster/life", strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	s.removeEmpty("cluster/life")
	holds(t, s, "cluster/life", "content")
}
