package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// linked returns a store with one object, and links of all kinds in it. Each
// leads to a directory or to an object, which are outside or in the store.
func linked(t *testing.T) (s storage.Store, dir, outside string) {
	t.Helper()
	dir, outside = t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(outside, "object"))
	s = open(t, dir)
	put(t, s, "inside/object", "content")
	for name, target := range map[string]string{
		"out": outside, "relative": filepath.Join("..", filepath.Base(outside)), "about": "inside", "inside/up": "..", "self": "self",
		"file": filepath.Join(outside, "object"), "inside/other": "object", "dangling": filepath.Join(outside, "new"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s, dir, outside
}

// A symbolic link leads nowhere, neither out of the store nor about in it.
func TestLinksAreNotFollowed(t *testing.T) {
	s, dir, outside := linked(t)
	before, beforeOutside := names(t, dir), names(t, outside)
	for _, link := range []string{"out", "relative", "about", "inside/up", "inside/up/about", "self", "file", "inside/other", "dangling"} {
		for _, key := range []string{link + "/object", link + "/new/object"} {
			err := s.Put(t.Context(), key, strings.NewReader("content"))
			_, openErr := s.Open(t.Context(), key)
			for what, err := range map[string]error{"put": err, "open": openErr, "delete": s.Delete(t.Context(), key)} {
				if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "is a symbolic link") || fail.Hint(err) == "" {
					t.Errorf("%s %s: %v; want one that tells of the link", what, key, err)
				}
			}
		}
		if keys := list(t, s, link+"/"); len(keys) > 0 {
			t.Errorf("list %s/: %q; want nothing", link, keys)
		}
	}
	if keys := list(t, s, ""); !slices.Equal(keys, []string{"inside/object"}) {
		t.Errorf("list: %q; want inside/object alone", keys)
	}
	if is := names(t, dir); !slices.Equal(is, before) {
		t.Errorf("in the store there is now %q, want %q", is, before)
	}
	if is := names(t, outside); !slices.Equal(is, beforeOutside) {
		t.Errorf("outside there is now %q, want %q", is, beforeOutside)
	}
}

// A link in the place of an object is none, and stays.
func TestALinkIsNoObject(t *testing.T) {
	s, dir, _ := linked(t)
	before := names(t, dir)
	for _, link := range []string{"out", "about", "file", "inside/other", "dangling", "self"} {
		if err := s.Put(t.Context(), link, strings.NewReader("content")); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("put %s: %v; want %v", link, err, storage.ErrUnavailable)
		}
		if r, err := s.Open(t.Context(), link); r != nil || !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("open %s: %v; want %v", link, err, storage.ErrNotExist)
		}
		if err := s.Delete(t.Context(), link); err != nil {
			t.Errorf("delete %s: %v", link, err)
		}
	}
	if is := names(t, dir); !slices.Equal(is, before) {
		t.Errorf("in the store there is now %q, want %q", is, before)
	}
	if is := read(t, s, "inside/object"); is != "content" {
		t.Errorf("the object that a link leads to holds %q", is)
	}
}
