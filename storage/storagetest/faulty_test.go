package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/storagetest"
)

var errDisk = errors.New("the disk is on fire")

// Without a plan, a faulty store is as good as the one below it.
func TestFaultyKeepsTheContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return storagetest.NewFaulty(openDir(t)).Store() })
}

func TestFailEachOperationInTurn(t *testing.T) {
	run := func(s storage.Store) (failed string) {
		failed += outcome("put a", s.Put(t.Context(), "a", strings.NewReader("content of a")))
		failed += outcome("put b", s.Put(t.Context(), "b", strings.NewReader("content of b")))
		_, err := s.Open(t.Context(), "a")
		failed += outcome("open a", err)
		failed += outcome("delete b", s.Delete(t.Context(), "b"))
		for _, err := range s.List(t.Context(), "") {
			if err != nil {
				failed += outcome("list", err)
			}
		}
		return failed
	}
	counting := storagetest.NewFaulty(openDir(t))
	if failed := run(counting); failed != "" {
		t.Fatalf("without a fault: %s", failed)
	}
	for op, want := range map[storagetest.Op]int{storagetest.Any: 5, storagetest.Put: 2, storagetest.Open: 1, storagetest.Delete: 1, storagetest.List: 1} {
		if n := counting.Count(op); n != want {
			t.Errorf("count of %s is %d, want %d", op, n, want)
		}
	}
	for i, want := range []string{"put a: the disk is on fire; open a: no such object; ", "put b: the disk is on fire; ", "open a: the disk is on fire; ", "delete b: the disk is on fire; ", "list: the disk is on fire; "} {
		s := storagetest.NewFaulty(openDir(t))
		s.On(storagetest.Any, i+1, storagetest.Fail(errDisk))
		if failed := run(s); failed != want {
			t.Errorf("with a fault at %d: %q; want %q", i+1, failed, want)
		}
	}
}

func outcome(what string, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errDisk):
		err = errDisk
	case errors.Is(err, storage.ErrNotExist):
		err = storage.ErrNotExist
	}
	return fmt.Sprintf("%s: %v; ", what, err)
}

// locking is a store that keeps objects locked.
type locking struct{ storage.Store }

func (locking) Lock(_ context.Context, key string) (string, error) { return key + " is locked", nil }

// telling is a store with a clock.
type telling struct{ storage.Store }

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (telling) Now(context.Context) (time.Time, error) { return noon, nil }

// leaving is a store in which something is left.
type leaving struct{ storage.Store }

func (leaving) Leftovers(context.Context, time.Time) ([]storage.Leftover, error) {
	return []storage.Leftover{{Name: "left"}}, nil
}

// A faulty store can what the one below can, and does not claim more.
func TestFaultyIsWhatItsStoreIs(t *testing.T) {
	plain := struct{ storage.Store }{openDir(t)}
	for _, below := range []storage.Store{
		plain, locking{plain}, leaving{plain}, telling{plain},
		struct {
			locking
			storage.Sweeper
		}{locking{plain}, leaving{}},
		struct {
			locking
			storage.Clock
		}{locking{plain}, telling{}},
		struct {
			leaving
			storage.Clock
		}{leaving{plain}, telling{}},
		struct {
			locking
			storage.Sweeper
			storage.Clock
		}{locking{plain}, leaving{}, telling{}},
	} {
		faulty := storagetest.NewFaulty(below)
		s := faulty.Store()
		if is, want := abilities(t, s), abilities(t, below); is != want {
			t.Errorf("over a store that can %q it can %q", want, is)
		}
		faulty.On(storagetest.Delete, 0, storagetest.Fail(errDisk))
		if err := s.Delete(t.Context(), "key"); !errors.Is(err, errDisk) || faulty.Count(storagetest.Any) != 1 {
			t.Errorf("over a store that can %q: delete: %v; want %v", abilities(t, below), err, errDisk)
		}
	}
}

// abilities are what the optional interfaces of a store answer.
func abilities(t *testing.T, s storage.Store) (can string) {
	t.Helper()
	if locker, ok := s.(storage.Locker); ok {
		lock, err := locker.Lock(t.Context(), "key")
		can += fmt.Sprintln("lock:", lock, err)
	}
	if sweeper, ok := s.(storage.Sweeper); ok {
		left, err := sweeper.Leftovers(t.Context(), noon)
		can += fmt.Sprintln("sweep:", left, err)
	}
	if clock, ok := s.(storage.Clock); ok {
		now, err := clock.Now(t.Context())
		can += fmt.Sprintln("tell the time:", now, err)
	}
	return can
}

// A store that stays down: the plan is for every operation of a kind.
func TestFailAlways(t *testing.T) {
	s := storagetest.NewFaulty(openDir(t))
	s.On(storagetest.Put, 0, storagetest.Fail(errDisk))
	for range 3 {
		if err := s.Put(t.Context(), "key", strings.NewReader("")); !errors.Is(err, errDisk) {
			t.Errorf("put: %v; want %v", err, errDisk)
		}
	}
	if keys, err := keysOf(t, s); len(keys) > 0 || err != nil {
		t.Errorf("listed: %q, %v; want nothing", keys, err)
	}
}

// A test whose fault can never happen would pass for nothing.
func TestMeaninglessFaultsPanic(t *testing.T) {
	for _, c := range []struct {
		op    storagetest.Op
		fault storagetest.Fault
		want  string
	}{
		{storagetest.List, storagetest.Flip(1), "storagetest: list cannot have a bit flipped"},
		{storagetest.Open, storagetest.Lie(), "storagetest: open cannot lie"},
		{storagetest.Any, storagetest.Lie(), "storagetest: any cannot lie"},
		{storagetest.Delete, storagetest.Truncate(1), "storagetest: delete cannot be truncated"},
		{storagetest.List, storagetest.Overwrite(), "storagetest: list cannot overwrite"},
	} {
		func() {
			defer func() {
				if p := recover(); p != c.want {
					t.Errorf("panic: %v; want %s", p, c.want)
				}
			}()
			storagetest.NewFaulty(openDir(t)).On(c.op, 1, c.fault)
		}()
	}
}

func openDir(t *testing.T) storage.Store {
	s, err := file.Open(t.Context(), &url.URL{Scheme: "file", Path: t.TempDir()}, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s storage.Store, key, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func openAndRead(t *testing.T, s storage.Store, key string) (string, error) {
	r, err := s.Open(t.Context(), key)
	if err != nil {
		return "nothing", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

func contentOf(t *testing.T, s storage.Store, key string) string {
	t.Helper()
	content, err := openAndRead(t, s, key)
	if err != nil && !errors.Is(err, storage.ErrNotExist) {
		t.Fatal(err)
	}
	return content
}

func keysOf(t *testing.T, s storage.Store) (keys []string, err error) {
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			return keys, err
		}
		keys = append(keys, o.Key)
	}
	return keys, nil
}
