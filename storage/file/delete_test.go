package file_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

// A Delete takes directories along that nothing is left in.
func TestDeleteLeavesNoEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, key := range []string{"cluster/life/id/db.zst", "cluster/life/id/manifest.json", "cluster/other/id/db.zst"} {
		put(t, s, key, "content")
	}
	writeFile(t, filepath.Join(dir, "cluster/other/README of somebody"))
	for _, step := range []struct {
		key  string
		left []string
	}{
		{"cluster/life/id/manifest.json", []string{
			".", "cluster", "cluster/life", "cluster/life/id", "cluster/life/id/db.zst",
			"cluster/other", "cluster/other/README of somebody", "cluster/other/id", "cluster/other/id/db.zst",
		}},
		{"cluster/life/id/db.zst", []string{".", "cluster", "cluster/other", "cluster/other/README of somebody", "cluster/other/id", "cluster/other/id/db.zst"}},
		{"cluster/other/id/db.zst", []string{".", "cluster", "cluster/other", "cluster/other/README of somebody"}},
	} {
		if err := s.Delete(t.Context(), step.key); err != nil {
			t.Error(err)
		}
		if is := names(t, dir); !slices.Equal(is, step.left) {
			t.Errorf("after %s there is %q, want %q", step.key, is, step.left)
		}
	}
}

// Directories vanish under a Put that is about to write into them. Neither side
// fails, and no object is lost with a directory.
func TestPutAndDeleteBesideEachOther(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	const workers, rounds = 8, 40
	var racing sync.WaitGroup
	for w := range workers {
		racing.Go(func() {
			for i := range rounds {
				key := fmt.Sprintf("cluster/life/%d/%d/object", i%2, w)
				if err := s.Put(t.Context(), key, strings.NewReader(key)); err != nil {
					t.Errorf("round %d: %v", i, err)
					return
				}
				if is := contentOf(t, s, key); is != key {
					t.Errorf("round %d: %s holds %q", i, key, is)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("round %d: %v", i, err)
				}
			}
		})
	}
	racing.Wait()
	if is := names(t, dir); !slices.Equal(is, []string{"."}) {
		t.Errorf("in the end there is %q, want nothing", is)
	}
}

// contentOf is read for other goroutines than the test's own.
func contentOf(t *testing.T, s storage.Store, key string) string {
	r, err := s.Open(t.Context(), key)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Who removes the directory of an object that is being written gets an error
// out of it, and no object.
func TestDirectoryRemovedUnderAPut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "other", "content")
	err := s.Put(t.Context(), "cluster/life/object", atEnd(func() {
		if err := os.RemoveAll(filepath.Join(dir, "cluster")); err != nil {
			t.Error(err)
		}
	}))
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("put: %v; want %v", err, storage.ErrUnavailable)
	}
	if is := names(t, dir); !slices.Equal(is, []string{".", "other"}) {
		t.Errorf("there is %q, want the other alone", is)
	}
	put(t, s, "cluster/life/object", "content")
}

// atEnd is a reader that calls itself before it ends.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
