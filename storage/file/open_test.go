package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
)

var openers = storage.Openers{"file": file.Open}

func TestOpenCreatesTheDirectoryForAFirstBackup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	if _, err := openURL(t, dir, false); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open of what is missing: %v; want %v", err, storage.ErrUnavailable)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there now: %v", err)
	}
	s, err := openURL(t, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "cluster/object", "content")
	for _, create := range []bool{false, true} { // and what is there stays
		again, err := openURL(t, dir, create)
		if err != nil {
			t.Fatal(err)
		}
		if is := read(t, again, "cluster/object"); is != "content" {
			t.Errorf("the object holds %q", is)
		}
	}
}

func TestWhatIsNoStore(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"))
	for _, c := range []struct {
		name, path string
		create     bool
		want       error
	}{
		{"a file", "file", false, nil},
		{"a file, with create", "file", true, nil},
		{"below a file", "file/store", true, nil},
		{"missing", "missing", false, fs.ErrNotExist},
		{"missing below what is missing", "missing/store", false, fs.ErrNotExist},
		{"below an absent mount", "missing/store", true, fs.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := openURL(t, filepath.Join(dir, c.path), c.create)
			if s != nil || !errors.Is(err, storage.ErrUnavailable) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("open: %v, %v; want %v", s, err, storage.ErrUnavailable)
			}
		})
	}
	if is := names(t, dir); !slices.Equal(is, []string{".", "file"}) {
		t.Errorf("opening has left %q", is)
	}
}

// What a URL says beyond a path is either a mistake or a directory that was
// not meant. It may also be secret.
func TestURLsThatAreNoDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, u := range []string{
		"", "file://", "file://hunter2" + dir, "file://user:hunter2@host" + dir, "file://user:hunter2@" + dir,
		"file://" + dir + "?secret=hunter2", "file://" + dir + "#hunter2", "file://" + dir + "/%zzhunter2", "nfs://hunter2" + dir,
	} {
		s, err := openers.Open(t.Context(), u, true)
		if s != nil || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("open %s: %v, %v; want %v", u, s, err, storage.ErrUnavailable)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("open %s tells the secret: %v", u, err)
		}
	}
	if is := names(t, dir); !slices.Equal(is, []string{"."}) {
		t.Errorf("opening has left %q", is)
	}
}

// The URL that a store calls itself opens it again, from everywhere.
func TestStringIsTheURL(t *testing.T) {
	parent := t.TempDir()
	t.Chdir(parent)
	for _, name := range []string{"plain", "with space", "per%20cent", "100%", "a?b", "a#b", "naïve"} {
		s, err := openers.Open(t.Context(), name, true)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "name", name)
		if u := s.String(); !strings.HasPrefix(u, "file://"+parent+"/") {
			t.Errorf("%s calls itself %s", name, u)
		}
		again, err := openers.Open(t.Context(), s.String(), false)
		if err != nil {
			t.Errorf("open %s: %v", s, err)
			continue
		}
		if is := read(t, again, "name"); is != name {
			t.Errorf("%s opens %s", s, is)
		}
	}
}

// Where backups are mounted is often behind a link.
func TestTheRootMayBeALink(t *testing.T) {
	parent := t.TempDir()
	if err := os.MkdirAll(filepath.Join(parent, "disk", "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("disk", filepath.Join(parent, "mnt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("mnt", "real"), filepath.Join(parent, "backups")); err != nil {
		t.Fatal(err)
	}
	s, err := openURL(t, filepath.Join(parent, "backups"), true)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "cluster/object", "content")
	if is := read(t, open(t, filepath.Join(parent, "disk", "real")), "cluster/object"); is != "content" {
		t.Errorf("the object holds %q", is)
	}
	if keys := list(t, s, "cl"); !slices.Equal(keys, []string{"cluster/object"}) {
		t.Errorf("list: %q", keys)
	}
	if err := s.Delete(t.Context(), "cluster/object"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if is := names(t, filepath.Join(parent, "disk", "real")); !slices.Equal(is, []string{"."}) {
		t.Errorf("after the delete there is %q", is)
	}
}

// An unmounted or removed directory is no empty store.
func TestDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := openURL(t, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "object", "content")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "object", "cluster/"} {
		var last error
		for _, err := range s.List(t.Context(), prefix) {
			last = err
		}
		if !errors.Is(last, storage.ErrUnavailable) {
			t.Errorf("list %q: %v; want %v", prefix, last, storage.ErrUnavailable)
		}
	}
	for _, key := range []string{"object", "cluster/object"} {
		if r, err := s.Open(t.Context(), key); r != nil || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("open %s: %v; want %v", key, err, storage.ErrUnavailable)
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("delete %s: %v; want %v", key, err, storage.ErrUnavailable)
		}
	}
	for _, key := range []string{"new", "cluster/new"} {
		if err := s.Put(t.Context(), key, strings.NewReader("content")); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("put %s: %v; want %v", key, err, storage.ErrUnavailable)
		}
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there again: %v", err)
	}
}
