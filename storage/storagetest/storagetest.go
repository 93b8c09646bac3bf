// Package storagetest is what every adapter of [storage.Store] is tested with:
// one conformance suite, and a store that fails on demand.
//
// The suite holds an adapter to the contract alone. What is particular to it -
// its URL, file modes, retries - stays with the adapter's own tests.
package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

// Run holds a store to its contract. Each call of open returns an empty store
// of the adapter; t.Cleanup may remove it.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}

// check is one promise of the contract, kept by an empty store.
type check struct {
	name  string
	check func(t testing.TB, s storage.Store)
}

var checks = slices.Concat(putChecks, failureChecks, openChecks, listChecks, deleteChecks, optionalChecks)

// aKey is a key such as backups have.
const aKey = "default/cdf818194e3a8c32-0f1e2d3c/snapshots/20261120T235211Z-r42-ab12/db.zst"

// part is what an adapter could reasonably send at a time. Content that has to
// be more than one part is a few of them.
const part = 8 << 20

// content is bytes that differ from one seed to another. They repeat after a
// prime number, so that no two parts are alike.
func content(seed byte, size int64) io.Reader {
	block := make([]byte, 65537)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(block) // never fails
	return io.LimitReader(&repeating{block: block}, size)
}

type repeating struct {
	block []byte
	next  int
}

func (r *repeating) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], r.block[r.next:])
		r.next = (r.next + k) % len(r.block)
		n += k
	}
	return n, nil
}

func put(t testing.TB, s storage.Store, key string, r io.Reader) {
	t.Helper()
	if err := s.Put(t.Context(), key, r); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

// holds fails unless the object opens as want and is listed with its size.
func holds(t testing.TB, s storage.Store, key string, want io.Reader) {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("open %s: %v", key, err)
	}
	defer r.Close()
	size, err := sameStream(r, want)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	others := func(e entry) bool { return e.key != key }
	if listed := slices.DeleteFunc(list(t, s, key), others); !slices.Equal(listed, []entry{{key, size}}) {
		t.Errorf("list %s: %v; want this key with %d bytes", key, listed, size)
	}
}

// sameStream returns the length of two streams, or where they differ.
func sameStream(is, want io.Reader) (size int64, err error) {
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(is, a)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return size, err
		}
		m, _ := io.ReadFull(want, b) // made here, so that it cannot fail
		switch i := differAt(a[:n], b[:m]); {
		case i >= 0 && i == n:
			return size, fmt.Errorf("it ends after %d bytes, which is too early", size+int64(i))
		case i >= 0 && i == m:
			return size, fmt.Errorf("it goes on after %d bytes", size+int64(i))
		case i >= 0:
			return size, fmt.Errorf("it differs at byte %d", size+int64(i))
		}
		if size += int64(n); n < len(a) {
			return size, nil
		}
	}
}

// differAt returns where a and b differ first, or -1.
func differAt(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range max(len(a), len(b)) {
		if i == len(a) || i == len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// entry is what can be foretold of an object in a listing.
type entry struct {
	key  string
	size int64
}

func list(t testing.TB, s storage.Store, prefix string) []entry {
	t.Helper()
	var entries []entry
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		entries = append(entries, entry{o.Key, o.Size})
	}
	return entries
}

// empty fails if the store lists anything, or opens key.
func empty(t testing.TB, s storage.Store, key string) {
	t.Helper()
	if listed := list(t, s, ""); len(listed) > 0 {
		t.Errorf("listed: %v; want nothing", listed)
	}
	absent(t, s, key)
}

// absent fails if key can be opened.
func absent(t testing.TB, s storage.Store, key string) {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	if err == nil {
		r.Close()
	}
	if !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("open %s: %v; want %v", key, err, storage.ErrNotExist)
	}
}
