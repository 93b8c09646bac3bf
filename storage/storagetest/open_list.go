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

var openChecks = []check{
	{"what was never put cannot be opened", neverPut},
}

func neverPut(t testing.TB, s storage.Store) {
	absent(t, s, aKey)
	put(t, s, "a/object", strings.NewReader("content"))
	for _, key := range []string{"a", "a/objec", "a/object2", "a/object/below", "a/object/below/it", "b/object"} {
		absent(t, s, key)
	}
	holds(t, s, "a/object", strings.NewReader("content"))
}

var listChecks = []check{
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
		var want []storage.Object
		for i, key := range listKeys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, storage.Object{Key: key, Size: int64(i)})
			}
		}
		if listed := list(t, s, prefix); !slices.Equal(listed, want) {
			t.Errorf("list %q: %v; want %v", prefix, listed, want)
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
