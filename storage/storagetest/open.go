package storagetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

var openChecks = []check{
	{"what was never put cannot be opened", neverPut},
	{"a cancelled Open says so", cancelledOpen},
	{"what is read when the context ends does not look complete", cancelledRead},
}

func neverPut(t testing.TB, s storage.Store) {
	absent(t, s, aKey)
	put(t, s, "a/object", strings.NewReader("content"))
	for _, key := range []string{"a", "a/objec", "a/object2", "a/object/below", "a/object/below/it", "b/object"} {
		absent(t, s, key)
	}
	holds(t, s, "a/object", strings.NewReader("content"))
}

func cancelledOpen(t testing.TB, s storage.Store) {
	put(t, s, aKey, content(1, 10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := s.Open(ctx, aKey)
	if err == nil {
		r.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled open: %v; want %v", err, context.Canceled)
	}
}

// cancelledRead allows a store to have sent everything already.
func cancelledRead(t testing.TB, s storage.Store) {
	const size = 2 * part
	put(t, s, aKey, content(1, size))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := s.Open(ctx, aKey)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatalf("read: %v", err)
	}
	cancel()
	n, err := io.Copy(io.Discard, r)
	if n += 1000; err == nil && n != size || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while it is read it ends after %d of %d bytes with %v", n, size, err)
	}
}
