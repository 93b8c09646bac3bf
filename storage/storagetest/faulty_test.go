package storagetest_test

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/storagetest"
)

var errDisk = errors.New("the disk is on fire")

// Without a plan, a faulty store is as good as the one below it.
func TestFaultyKeepsTheContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return storagetest.NewFaulty(openDir(t)) })
}

func TestFailEachOperationInTurn(t *testing.T) {
	run := func(s storage.Store) (failed string) {
		failed += outcome("put a", s.Put(t.Context(), "a", strings.NewReader("content of a")))
		failed += outcome("put b", s.Put(t.Context(), "b", strings.NewReader("content of b")))
		_, err := s.Open(t.Context(), "a")
		failed += outcome("open a", err)
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
	for op, want := range map[storagetest.Op]int{storagetest.Any: 4, storagetest.Put: 2, storagetest.Open: 1, storagetest.List: 1} {
		if n := counting.Count(op); n != want {
			t.Errorf("count of %s is %d, want %d", op, n, want)
		}
	}
	for i, want := range []string{"put a: the disk is on fire; open a: no such object; ", "put b: the disk is on fire; ", "open a: the disk is on fire; ", "list: the disk is on fire; "} {
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

func TestFaultsOfPut(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  storagetest.Fault
		err    error
		read   int // bytes of the content
		stored string
	}{
		{"fail", storagetest.Fail(errDisk), errDisk, 0, "nothing"},
		{"fail midway", storagetest.FailAfter(4, errDisk), errDisk, 4, "nothing"},
		{"fail at the end", storagetest.FailAfter(100, errDisk), errDisk, 10, "nothing"},
		{"lie", storagetest.Lie(), nil, 10, "nothing"},
		{"truncate", storagetest.Truncate(4), nil, 10, "0123"},
		{"flip", storagetest.Flip(4), nil, 10, "0123556789"},
	} {
		t.Run(c.name, func(t *testing.T) {
			below := openDir(t)
			s := storagetest.NewFaulty(below)
			s.On(storagetest.Put, 2, c.fault)
			put(t, s, "first", "0123456789")
			r := strings.NewReader("0123456789")
			if err := s.Put(t.Context(), "second", r); !errors.Is(err, c.err) {
				t.Errorf("put: %v; want %v", err, c.err)
			}
			put(t, s, "third", "0123456789")
			if read := 10 - r.Len(); read != c.read {
				t.Errorf("%d bytes were read, want %d", read, c.read)
			}
			for key, want := range map[string]string{"first": "0123456789", "second": c.stored, "third": "0123456789"} {
				if is := contentOf(t, below, key); is != want {
					t.Errorf("%s holds %q, want %q", key, is, want)
				}
			}
		})
	}
}

func TestFaultsOfOpen(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault storagetest.Fault
		err   error
		read  string
	}{
		{"fail", storagetest.Fail(errDisk), errDisk, "nothing"},
		{"fail midway", storagetest.FailAfter(4, errDisk), errDisk, "0123"},
		{"truncate", storagetest.Truncate(4), nil, "0123"},
		{"flip the first", storagetest.Flip(0), nil, "1123456789"},
		{"flip the last", storagetest.Flip(9), nil, "0123456788"},
		{"flip none", storagetest.Flip(10), nil, "0123456789"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := storagetest.NewFaulty(openDir(t))
			s.On(storagetest.Open, 1, c.fault)
			put(t, s, "key", "0123456789")
			if is, err := openAndRead(t, s, "key"); is != c.read || !errors.Is(err, c.err) {
				t.Errorf("read %q, %v; want %q, %v", is, err, c.read, c.err)
			}
			if is := contentOf(t, s, "key"); is != "0123456789" {
				t.Errorf("then %q", is)
			}
		})
	}
}

func TestFaultsOfList(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault storagetest.Fault
		err   error
		keys  []string
	}{
		{"fail", storagetest.Fail(errDisk), errDisk, nil},
		{"fail midway", storagetest.FailAfter(2, errDisk), errDisk, []string{"a", "b"}},
		{"fail at the end", storagetest.FailAfter(100, errDisk), errDisk, []string{"a", "b", "c"}},
		{"truncate", storagetest.Truncate(2), nil, []string{"a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := storagetest.NewFaulty(openDir(t))
			s.On(storagetest.List, 2, c.fault)
			for _, key := range []string{"a", "b", "c"} {
				put(t, s, key, "content")
			}
			for nth, want := range []struct {
				keys []string
				err  error
			}{{[]string{"a", "b", "c"}, nil}, {c.keys, c.err}, {[]string{"a", "b", "c"}, nil}} {
				if keys, err := keysOf(t, s); !slices.Equal(keys, want.keys) || !errors.Is(err, want.err) {
					t.Errorf("listing %d: %q, %v; want %q, %v", nth+1, keys, err, want.keys, want.err)
				}
			}
		})
	}
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
