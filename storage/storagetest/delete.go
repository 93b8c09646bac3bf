package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

var deleteChecks = []check{
	{"a deleted object is gone, and no other", deleteOne},
	{"deleting what is not there is no error", deleteNothing},
	{"a key can be put again when it was deleted", putAgain},
	{"objects can be deleted while they are listed", deleteListed},
	{"many objects can be deleted at once", deleteAtOnce},
	{"a cancelled Delete says so", cancelledDelete},
}

func deleteOne(t testing.TB, s storage.Store) {
	keys := []string{"a", "b/c", "b/c-d", "b/cc", "b/d/e", "b/d/f"}
	for _, key := range keys {
		put(t, s, key, strings.NewReader(key))
	}
	for _, gone := range []string{"b/c", "b/d/e", "a", "b/cc", "b/d/f", "b/c-d"} {
		remove(t, s, gone)
		absent(t, s, gone)
		keys = slices.DeleteFunc(keys, func(key string) bool { return key == gone })
		if listed := keysOf(list(t, s, "")); !slices.Equal(listed, keys) {
			t.Fatalf("listed: %q; want %q", listed, keys)
		}
		for _, key := range keys {
			holds(t, s, key, strings.NewReader(key))
		}
	}
}

func deleteNothing(t testing.TB, s storage.Store) {
	remove(t, s, aKey)
	put(t, s, "a/object", strings.NewReader("content"))
	for _, key := range []string{"a", "a/objec", "a/object2", "a/object/below", "a/object/below/it", "b/object", aKey} {
		remove(t, s, key)
	}
	holds(t, s, "a/object", strings.NewReader("content"))
	remove(t, s, "a/object")
	remove(t, s, "a/object")
	empty(t, s, "a/object")
}

func putAgain(t testing.TB, s storage.Store) {
	// The same key, one above it, below it and beside it.
	for i, key := range []string{"a/b/c", "a/b/c", "a/b", "a/b/c/d", "a/b/d", "a"} {
		put(t, s, key, content(byte(i), 1000))
		holds(t, s, key, content(byte(i), 1000))
		remove(t, s, key)
		empty(t, s, key)
	}
}

func deleteListed(t testing.TB, s storage.Store) {
	var want []string
	for i := range 12 {
		want = append(want, fmt.Sprintf("dir/%02d/%d", i/3, i))
	}
	slices.Sort(want)
	for _, key := range want {
		put(t, s, key, strings.NewReader(key))
	}
	var listed []string
	for o, err := range s.List(t.Context(), "dir/") {
		if err != nil {
			t.Fatalf("list after %q: %v", listed, err)
		}
		listed = append(listed, o.Key)
		remove(t, s, o.Key)
	}
	if !slices.Equal(listed, want) {
		t.Errorf("listed: %q; want %q", listed, want)
	}
	empty(t, s, want[0])
}

// deleteAtOnce deletes each object while others are put beside it.
func deleteAtOnce(t testing.TB, s storage.Store) {
	const keys = 16
	old := func(i int) string { return fmt.Sprintf("at/once/%d/old", i/2) }
	fresh := func(i int) string { return fmt.Sprintf("at/once/%d/new-%d", i/2, i) }
	for i := 0; i < keys; i += 2 {
		put(t, s, old(i), content(byte(i), 1000))
	}
	errs := make([]error, 2*keys)
	inParallel(2*keys, func(i int) {
		if i < keys {
			errs[i] = s.Delete(t.Context(), old(i)) // two for each key
		} else {
			errs[i] = s.Put(t.Context(), fresh(i-keys), content(byte(i), 1000))
		}
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("delete or put %d: %v", i, err)
		}
	}
	if listed := list(t, s, ""); len(listed) != keys {
		t.Fatalf("%d objects are listed, want %d", len(listed), keys)
	}
	for i := range keys {
		absent(t, s, old(i))
		holds(t, s, fresh(i), content(byte(i+keys), 1000))
	}
}

func cancelledDelete(t testing.TB, s storage.Store) {
	put(t, s, aKey, strings.NewReader("content"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Delete(ctx, aKey); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled delete: %v; want %v", err, context.Canceled)
	}
	remove(t, s, aKey)
	empty(t, s, aKey)
}

func remove(t testing.TB, s storage.Store, key string) {
	t.Helper()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Errorf("delete %s: %v", key, err)
	}
}

func keysOf(entries []entry) (keys []string) {
	for _, e := range entries {
		keys = append(keys, e.key)
	}
	return keys
}
