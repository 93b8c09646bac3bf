package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
)

var listChecks = []check{
	{"a listing tells when objects were put", listModified},
	{"a listing of many pages is complete", listPages},
	{"a prefix is a string, whatever its slashes", listPrefixes},
	{"a listing can be left early", leaveList},
	{"a cancelled listing does not look empty", cancelledList},
}

// listKeys are in the order of their bytes. Names that hold a character less
// than the slash come before a directory of their beginning.
var listKeys = []string{
	"b-1/x", "b-2", "b.txt", "b/1", "b/10", "b/2-c", "b/2.c", "b/2/c", "b/2/d/e", "b/20/c", "b0", "bb/z", "c", "cc",
}

// listedPrefixes are those of listKeys, and some that nothing begins with.
func listedPrefixes() []string {
	prefixes := []string{
		"d", "B", "b/2/c/", "b/2/cc", "c/", "c/d/e/", "none/at/all", "bb//", "b//1",
		"/", "//", "/b", ".", "..", "../", "./", "./b", "b/.", "b/..", "b/../b", "b/./1", ".hidden/", "\x00", "*", "b*", "[b]", "é",
	}
	for _, key := range listKeys {
		for i := range len(key) + 1 {
			prefixes = append(prefixes, key[:i])
		}
	}
	slices.Sort(prefixes)
	return slices.Compact(prefixes)
}

func listPrefixes(t testing.TB, s storage.Store) {
	if listed := list(t, s, ""); len(listed) > 0 {
		t.Errorf("a store that was never written to lists %v", listed)
	}
	for i := range listKeys { // in an order that is not theirs
		i = (i*5 + 3) % len(listKeys)
		put(t, s, listKeys[i], content(1, int64(i)))
	}
	for _, prefix := range listedPrefixes() {
		var want []entry
		for i, key := range listKeys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, entry{key, int64(i)})
			}
		}
		if listed := list(t, s, prefix); !slices.Equal(listed, want) {
			t.Errorf("list %q: %v; want %v", prefix, listed, want)
		}
	}
}

// skew is how far the clocks of store and tests may be apart. Some stores keep
// whole seconds only.
const skew = 5 * time.Minute

func listModified(t testing.TB, s storage.Store) {
	before := time.Now().Add(-skew)
	put(t, s, "a", content(1, 10))
	put(t, s, "b/c", content(1, part))
	after := time.Now().Add(skew)
	n := 0
	for o, err := range s.List(t.Context(), "") {
		if err != nil || o.Modified.Before(before) || o.Modified.After(after) {
			t.Errorf("%s was put at %v, %v; want between %v and %v", o.Key, o.Modified, err, before, after)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d objects are listed, want 2", n)
	}
}

// pageKeys are more than one page of a listing, which has 1000 keys on S3.
const pageKeys = 1234

func listPages(t testing.TB, s storage.Store) {
	keys := make([]string, pageKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("pages/%d/%d", i%3, i)
	}
	const putters = 16
	var failed atomic.Pointer[error]
	inParallel(putters, func(p int) {
		for i := p; i < pageKeys; i += putters {
			if err := s.Put(t.Context(), keys[i], strings.NewReader(keys[i])); err != nil {
				failed.Store(&err)
			}
		}
	})
	if err := failed.Load(); err != nil {
		t.Fatalf("put: %v", *err)
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "pages/", "pages/1", "pages/2/1", "pages/2/1232", "pages/3"} {
		var want []entry
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, entry{key, int64(len(key))})
			}
		}
		listed := list(t, s, prefix)
		for i := range max(len(listed), len(want)) {
			if i >= len(listed) || i >= len(want) || listed[i] != want[i] {
				t.Errorf("list %q: %d objects, want %d; the first difference is at %d", prefix, len(listed), len(want), i)
				break
			}
		}
	}
}

func leaveList(t testing.TB, s storage.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("dir/%d/x", i), content(1, 10))
	}
	for leave := 1; leave <= 5; leave++ {
		seen := 0
		for o, err := range s.List(t.Context(), "dir/") {
			if want := fmt.Sprintf("dir/%d/x", seen); err != nil || o.Key != want {
				t.Errorf("%v, %v; want %s", o, err, want)
			}
			if seen++; seen == leave {
				break
			}
		}
		if seen != leave {
			t.Errorf("%d objects, want %d", seen, leave)
		}
	}
}

func cancelledList(t testing.TB, s storage.Store) {
	put(t, s, aKey, content(1, 10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, prefix := range []string{"", aKey, "none", "none/at/all"} {
		var last error
		for _, err := range s.List(ctx, prefix) {
			if last != nil {
				t.Errorf("list %q goes on after %v", prefix, last)
			}
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("cancelled list %q ends with %v; want %v", prefix, last, context.Canceled)
		}
	}
}
