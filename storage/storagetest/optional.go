package storagetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// optionalChecks are of what a store implements beside [storage.Store]. What a
// killed Put leaves, and what locks an object, only the adapter's tests know.
var optionalChecks = []check{
	{"what was put is not locked by itself", notLocked},
	{"whatever its end, a Put leaves nothing to sweep", nothingLeftOver},
	{"objects are dated by the clock of the store", datedByItsClock},
}

func notLocked(t testing.TB, s storage.Store) {
	locker, ok := s.(storage.Locker)
	if !ok {
		return
	}
	put(t, s, aKey, strings.NewReader("content"))
	if lock, err := locker.Lock(t.Context(), aKey); lock != "" || err != nil {
		t.Errorf("lock of %s: %q, %v; want none", aKey, lock, err)
	}
	remove(t, s, aKey)
}

func nothingLeftOver(t testing.TB, s storage.Store) {
	sweeper, ok := s.(storage.Sweeper)
	if !ok {
		return
	}
	nothing := func(when string) {
		t.Helper()
		left, err := sweeper.Leftovers(t.Context(), time.Now().Add(skew))
		if err != nil {
			t.Errorf("leftovers %s: %v", when, err)
		}
		for _, l := range left {
			t.Errorf("%s %s is left, of %v", when, l.Name, l.Since)
		}
	}
	nothing("in a fresh store")
	put(t, s, aKey, content(1, 2*part))
	nothing("after a put")
	if err := s.Put(t.Context(), aKey, content(2, 2*part)); !errors.Is(err, storage.ErrExist) {
		t.Errorf("second put: %v; want %v", err, storage.ErrExist)
	}
	nothing("after a refused put")
	for _, n := range []int64{0, 1, 2*part + 1} {
		if err := s.Put(t.Context(), "other/"+aKey, failing(n)); !errors.Is(err, errReader) {
			t.Errorf("put from a reader that fails: %v; want %v", err, errReader)
		}
		nothing("after a failed put")
	}
	remove(t, s, aKey)
	nothing("after a delete")
}

// datedByItsClock allows the second that a clock or a date may be cut to.
func datedByItsClock(t testing.TB, s storage.Store) {
	clock, ok := s.(storage.Clock)
	if !ok {
		return
	}
	tell := func() time.Time {
		t.Helper()
		now, err := clock.Now(t.Context())
		if err != nil {
			t.Fatalf("now: %v", err)
		}
		return now
	}
	before := tell()
	if listed := list(t, s, ""); len(listed) > 0 {
		t.Errorf("to tell the time leaves %v", listed)
	}
	put(t, s, aKey, strings.NewReader("content"))
	after := tell()
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if o.Modified.Before(before.Add(-time.Second)) || o.Modified.After(after.Add(time.Second)) {
			t.Errorf("what was put between %v and %v is dated %v", before, after, o.Modified)
		}
	}
}
