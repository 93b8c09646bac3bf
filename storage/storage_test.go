package storage_test

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

func TestKeysOfBackupsAreValid(t *testing.T) {
	for _, key := range []string{
		"default/cdf818194e3a8c32-0f1e2d3c/snapshots/20261120T235211Z-r42-ab12/db.zst",
		"default/cdf818194e3a8c32-0f1e2d3c/snapshots/20261120T235211Z-r42-ab12/reports/20261121T000000Z-rehearsal.json",
		"a", "-", "_", "a.b..c", "A-Z_0.9", "x/" + strings.Repeat("k", 255), strings.Repeat("k/", 349) + "kk",
	} {
		if err := storage.CheckKey(key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestKeysThatNoStoreMustSee(t *testing.T) {
	for _, key := range []string{
		"", ".", "..", "/", "/a", "a/", "a//b", "a/../b", "a/.hidden/b", ".a", "a b", `a\b`, "a\x00", "ä", "a%2f", "~", "a:b",
		strings.Repeat("k", 256), "a/" + strings.Repeat("k", 256), strings.Repeat("k/", 350) + "k", strings.Repeat("k/", 1<<20),
	} {
		err := storage.CheckKey(key)
		if !errors.Is(err, storage.ErrInvalidKey) {
			t.Errorf("%q: %v; want %v", key, err, storage.ErrInvalidKey)
		}
	}
	if err := storage.CheckKey("a b/c"); err.Error() != `invalid object key "a b/c"` {
		t.Errorf("the error is %q", err)
	}
	if err := storage.CheckKey(strings.Repeat("k/", 1<<20)); len(err.Error()) > 100 {
		t.Errorf("the error repeats a key of any length: %d bytes", len(err.Error()))
	}
	if err := storage.CheckElement("a/b"); !errors.Is(err, storage.ErrInvalidKey) {
		t.Errorf("an element with a slash: %v; want %v", err, storage.ErrInvalidKey)
	}
}

// What is a key is the same path to everyone, hides from nobody and needs no
// escaping in a URL.
func FuzzCheckKey(f *testing.F) {
	for _, seed := range []string{"a/b-1/c.d_e", "", "..", "a//b", "a/../b", "/a", "a/", ".a", "a%2e", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if storage.CheckKey(key) != nil {
			return
		}
		if path.Clean(key) != key || !fs.ValidPath(key) || strings.HasPrefix(key, ".") || strings.Contains(key, "/.") {
			t.Errorf("%q is no plain path", key)
		}
		if (&url.URL{Path: "/" + key}).String() != "/"+key {
			t.Errorf("%q has to be escaped", key)
		}
	})
}

// opened tells what an Opener was asked for.
type opened struct {
	storage.Store
	scheme, path string
	create       bool
}

func openers() storage.Openers {
	open := func(_ context.Context, u *url.URL, create bool) (storage.Store, error) {
		return opened{scheme: u.Scheme, path: u.Path, create: create}, nil
	}
	return storage.Openers{"s3": open, "file": open}
}

func TestOpenBySchemeOrDirectory(t *testing.T) {
	for _, c := range []struct{ url, scheme, path string }{
		{"s3://bucket/prefix?endpoint=x", "s3", "/prefix"},
		{"S3://bucket/prefix", "s3", "/prefix"},
		{"file:///var/backups/a%20b", "file", "/var/backups/a b"},
		{"/var/backups", "file", "/var/backups"},
		{"backups", "file", "backups"},
		{"a%20b?c#d", "file", "a%20b?c#d"}, // a directory's name stays as it is
		{"s3:backups", "file", "s3:backups"},
	} {
		for _, create := range []bool{false, true} {
			s, err := openers().Open(t.Context(), c.url, create)
			if want := (opened{scheme: c.scheme, path: c.path, create: create}); err != nil || s != want {
				t.Errorf("open %s: %+v, %v; want %+v", c.url, s, err, want)
			}
		}
	}
}

func TestWhatCannotBeOpenedIsUnavailable(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct{ url, want string }{
		{"gopher://key:" + secret + "@bucket/" + secret + "?secret=" + secret, `store unavailable: unknown scheme "gopher", known are: file, s3`},
		{"s3://key:" + secret + "@bucket:port/" + secret, "store unavailable: store URL is malformed"},
		{"s3://bucket/%zz?secret=" + secret, "store unavailable: store URL is malformed"},
		{"s3 ://" + secret, "store unavailable: store URL is malformed"},
		{"://" + secret, "store unavailable: store URL is malformed"},
	} {
		s, err := openers().Open(t.Context(), c.url, true)
		if s != nil || !errors.Is(err, storage.ErrUnavailable) || err.Error() != c.want {
			t.Errorf("open %s: %v, %v; want %s", c.url, s, err, c.want)
		}
	}
}
