package probe_test

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/probe"
	"github.com/etcdha/etcdha/storage/storagetest"
)

var errDown = errors.New("store is down")

func openDir(t *testing.T) storage.Store {
	t.Helper()
	s, err := file.Open(t.Context(), &url.URL{Path: filepath.Join(t.TempDir(), "store")}, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run returns what was found, by name, "ok" or what is wrong, and whether
// somebody asked for it.
func run(t *testing.T, s storage.Store) (map[string]string, error) {
	t.Helper()
	found := make(map[string]string)
	now := time.Unix(0, 0)
	err := probe.Run(t.Context(), s, probe.Options{
		Now:    func() time.Time { now = now.Add(time.Millisecond); return now },
		Random: bytes.NewReader(make([]byte, 8)),
		Found: func(f storage.Finding) {
			found[f.Name] = "ok"
			if f.Err != nil {
				found[f.Name] = f.Err.Error()
				if !f.Asked {
					found[f.Name] = "not asked for: " + found[f.Name]
				}
			}
		},
	})
	return found, err
}

func TestASoundStore(t *testing.T) {
	s := openDir(t)
	found, err := run(t, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"round trip", "create race", "listing", "throughput", "removal"} {
		if found[name] != "ok" {
			t.Errorf("%s: %q", name, found[name])
		}
	}
	for o, err := range s.List(t.Context(), "") {
		t.Errorf("%s is left behind, error %v", o.Key, err)
	}
}

// Each check notices what it is there for.
func TestStoresThatDoNotDoWhatTheySay(t *testing.T) {
	tests := []struct {
		name  string
		op    storagetest.Op
		nth   int // 0: each
		fault storagetest.Fault
		check string
		text  string
	}{
		{"other bytes come back", storagetest.Open, 1, storagetest.Flip(3), "round trip", "other bytes"},
		{"nothing is kept", storagetest.Put, 1, storagetest.Lie(), "round trip", "no such object"},
		{"each writer wins", storagetest.Put, 0, storagetest.Overwrite(), "create race", "two writers created the same object"},
		{"no writer wins", storagetest.Put, 0, storagetest.Fail(storage.ErrExist), "create race", "none could create"},
		{"writers are refused", storagetest.Put, 0, storagetest.Fail(errDown), "create race", "store is down"},
		{"a listing lags behind", storagetest.List, 2, storagetest.Truncate(0), "listing", "is not listed"},
		{"a large object is cut", storagetest.Open, 8, storagetest.Truncate(1 << 20), "throughput", "other bytes"},
		{"what is removed stays", storagetest.Delete, 1, storagetest.Lie(), "removal", "can still be opened"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := storagetest.NewFaulty(openDir(t))
			s.On(test.op, test.nth, test.fault)
			found, err := run(t, s)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(found[test.check], test.text) {
				t.Errorf("%s: %q; want %q", test.check, found[test.check], test.text)
			}
		})
	}
}

func TestAStoreThatDoesNotAnswerEndsTheCheck(t *testing.T) {
	for _, op := range []storagetest.Op{storagetest.List, storagetest.Put} {
		s := storagetest.NewFaulty(openDir(t))
		s.On(op, 1, storagetest.Fail(storage.ErrUnavailable))
		found, err := run(t, s)
		if !errors.Is(err, storage.ErrUnavailable) || len(found) > 0 {
			t.Errorf("%s: %v, found %v", op, err, found)
		}
	}
}

// A store that stops to answer where something is removed is not taken for one
// that does not let it be removed.
func TestAStoreThatStopsToAnswerAtTheRemoval(t *testing.T) {
	s := storagetest.NewFaulty(openDir(t))
	s.On(storagetest.Delete, 0, storagetest.Fail(storage.ErrUnavailable))
	s.On(storagetest.Open, 7, storagetest.Fail(storage.ErrUnavailable)) // five trips and a race before
	found, err := run(t, s)
	if _, ended := found["removal"]; ended || !errors.Is(err, storage.ErrUnavailable) || !strings.HasPrefix(err.Error(), "removal: ") {
		t.Errorf("found %v, error %v; want an early end", found, err)
	}
}

// A role that only saves may not remove. All else is tried out, and what is
// left is no error.
func TestARoleThatMayNotRemove(t *testing.T) {
	s := storagetest.NewFaulty(openDir(t))
	s.On(storagetest.Delete, 0, storagetest.Fail(storage.ErrUnavailable))
	found, err := run(t, s)
	if err != nil {
		t.Errorf("the check ends with %v", err)
	}
	if want := "not asked for: this role may not remove"; !strings.HasPrefix(found["removal"], want) {
		t.Errorf("removal: %q; want %q", found["removal"], want)
	}
	for _, name := range []string{"round trip", "create race", "listing", "throughput"} {
		if found[name] != "ok" {
			t.Errorf("%s: %q", name, found[name])
		}
	}
	if n := s.Count(storagetest.Delete); n != 1 {
		t.Errorf("it was asked %d times to remove something, want once", n)
	}
}

// What a locked store does not remove is no failure of it, nothing large is put
// that would stay, and what it tries out by itself is part of the check.
func TestALockedStore(t *testing.T) {
	s := storagetest.NewFaulty(openDir(t))
	s.On(storagetest.Delete, 0, storagetest.Fail(storage.ErrLocked))
	found, err := run(t, locked{s})
	if err != nil || found["removal"] != "ok" || found["object lock"] != "ok" {
		t.Errorf("%v, error %v", found, err)
	}
	if want := "not asked for: left out, because 32 MiB would stay: objects are locked (until 2030)"; found["throughput"] != want {
		t.Errorf("throughput: %q; want %q", found["throughput"], want)
	}
	for o, err := range s.List(t.Context(), "") {
		if err != nil || o.Size > 100 {
			t.Errorf("%s of %d bytes stays, error %v", o.Key, o.Size, err)
		}
	}
}

// A store that could lock objects, and does not, is tried out with a large one.
func TestAStoreThatLocksNothing(t *testing.T) {
	found, err := run(t, unlocked{openDir(t)})
	if err != nil || found["throughput"] != "ok" {
		t.Errorf("throughput: %q, error %v", found["throughput"], err)
	}
}

type locked struct{ storage.Store }

func (locked) Probe(context.Context, string) []storage.Finding {
	return []storage.Finding{{Name: "object lock", Asked: true}}
}

func (locked) Lock(context.Context, string) (string, error) { return "until 2030", nil }

type unlocked struct{ storage.Store }

func (unlocked) Lock(context.Context, string) (string, error) { return "", nil }
