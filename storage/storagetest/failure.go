package storagetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

var failureChecks = []check{
	{"a failing reader leaves nothing", failingReader},
	{"a cancelled context leaves nothing", cancelledPut},
	{"invalid keys are refused", invalidKeys},
}

// errReader is the error of the readers that fail.
var errReader = errors.New("the reader has failed")

// failing yields n bytes and then errReader.
func failing(n int64) io.Reader {
	return io.MultiReader(content(1, n), readerFunc(func([]byte) (int, error) { return 0, errReader }))
}

// failingWithBytes yields n bytes, the last of them together with errReader.
func failingWithBytes(n int64) io.Reader {
	left := n
	return readerFunc(func(p []byte) (int, error) {
		k := int(min(int64(len(p)), left))
		left -= int64(k)
		if left == 0 {
			return k, errReader
		}
		return k, nil
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func failingReader(t testing.TB, s storage.Store) {
	for _, n := range []int64{0, 1, part, 2*part + 1} {
		for _, r := range []io.Reader{failing(n), failingWithBytes(n)} {
			if err := s.Put(t.Context(), aKey, r); !errors.Is(err, errReader) {
				t.Fatalf("put from a reader that fails after %d bytes: %v; want %v", n, err, errReader)
			}
			empty(t, s, aKey)
		}
	}
	put(t, s, aKey, content(2, 1000)) // nothing stands in the way of the next try
	holds(t, s, aKey, content(2, 1000))
}

func cancelledPut(t testing.TB, s storage.Store) {
	for _, n := range []int64{0, 1, part, 2*part + 1} {
		ctx, cancel := context.WithCancel(t.Context())
		cancelNow := readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF })
		r := io.MultiReader(content(1, n), cancelNow, content(2, 4*part))
		if n == 0 {
			cancel()
			r = strings.NewReader("")
		}
		if err := s.Put(ctx, aKey, r); !errors.Is(err, context.Canceled) {
			t.Fatalf("put cancelled after %d bytes: %v; want %v", n, err, context.Canceled)
		}
		cancel()
		empty(t, s, aKey)
	}
	put(t, s, aKey, content(2, 1000))
	holds(t, s, aKey, content(2, 1000))
}

var badKeys = []string{
	"", ".", "..", "/", "//", "a//b", "/a", "a/", "a/../b", "../a", "a/..", "a/./b", "./a",
	".a", ".a/b", "a/.b", "a/.b/c", "a b", "a\\b", "a:b", "a\nb", "a\x00b", "a*", "a?b", "a%2fb", "é",
	strings.Repeat("k", 256), "a/" + strings.Repeat("k", 256) + "/b",
	strings.Repeat("k", 255) + "/" + strings.Repeat("l", 255) + "/" + strings.Repeat("m", 189), // 701 bytes
}

func invalidKeys(t testing.TB, s storage.Store) {
	for _, key := range badKeys {
		if err := s.Put(t.Context(), key, strings.NewReader("content")); !errors.Is(err, storage.ErrInvalidKey) {
			t.Errorf("put %q: %v; want %v", key, err, storage.ErrInvalidKey)
		}
		r, err := s.Open(t.Context(), key)
		if err == nil {
			r.Close()
		}
		if !errors.Is(err, storage.ErrInvalidKey) {
			t.Errorf("open %q: %v; want %v", key, err, storage.ErrInvalidKey)
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, storage.ErrInvalidKey) {
			t.Errorf("delete %q: %v; want %v", key, err, storage.ErrInvalidKey)
		}
	}
	empty(t, s, aKey)
}
