package storagetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/storagetest"
)

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
		{"fail late", storagetest.FailLate(errDisk), errDisk, 10, "0123456789"},
		{"lie", storagetest.Lie(), nil, 10, "nothing"},
		{"overwrite", storagetest.Overwrite(), nil, 10, "0123456789"},
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
		{"fail late", storagetest.FailLate(errDisk), errDisk, "0123456789"},
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
		{"fail late", storagetest.FailLate(errDisk), errDisk, []string{"a", "b", "c"}},
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

func TestFaultsOfDelete(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault storagetest.Fault
		err   error
		left  []string
	}{
		{"fail", storagetest.Fail(errDisk), errDisk, []string{"a", "b"}},
		{"fail midway", storagetest.FailAfter(2, errDisk), errDisk, []string{"a", "b"}},
		{"fail late", storagetest.FailLate(errDisk), errDisk, []string{"b"}},
		{"lie", storagetest.Lie(), nil, []string{"a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			below := openDir(t)
			s := storagetest.NewFaulty(below)
			s.On(storagetest.Delete, 1, c.fault)
			put(t, s, "a", "content")
			put(t, s, "b", "content")
			if err := s.Delete(t.Context(), "a"); !errors.Is(err, c.err) {
				t.Errorf("delete: %v; want %v", err, c.err)
			}
			if keys, err := keysOf(t, below); !slices.Equal(keys, c.left) || err != nil {
				t.Errorf("left: %q, %v; want %q", keys, err, c.left)
			}
			if err := s.Delete(t.Context(), "a"); err != nil {
				t.Errorf("the next delete: %v", err)
			}
			if keys, err := keysOf(t, below); !slices.Equal(keys, []string{"b"}) || err != nil {
				t.Errorf("left in the end: %q, %v; want b", keys, err)
			}
		})
	}
}

// What fails late anyway says why it has failed.
func TestFailLateKeepsErrorsFromBelow(t *testing.T) {
	s := storagetest.NewFaulty(openDir(t))
	put(t, s, "key", "content")
	s.On(storagetest.Any, 0, storagetest.FailLate(errDisk))
	if err := s.Put(t.Context(), "key", strings.NewReader("other")); !errors.Is(err, storage.ErrExist) {
		t.Errorf("put: %v; want %v", err, storage.ErrExist)
	}
	if err := s.Delete(t.Context(), ".key"); !errors.Is(err, storage.ErrInvalidKey) {
		t.Errorf("delete: %v; want %v", err, storage.ErrInvalidKey)
	}
	if _, err := s.Open(t.Context(), "none"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("open: %v; want %v", err, storage.ErrNotExist)
	}
}

func TestOverwriteReplacesWhatIsThere(t *testing.T) {
	s := storagetest.NewFaulty(openDir(t))
	s.On(storagetest.Put, 2, storagetest.Overwrite())
	s.On(storagetest.Put, 3, storagetest.Overwrite())
	put(t, s, "key", "first")
	put(t, s, "key", "second")
	if is := contentOf(t, s, "key"); is != "second" {
		t.Errorf("the object holds %q, want the second", is)
	}
	if err := s.Put(t.Context(), "key", iotest.ErrReader(errDisk)); !errors.Is(err, errDisk) {
		t.Errorf("put from a reader that fails: %v; want %v", err, errDisk)
	}
	if is := contentOf(t, s, "key"); is != "second" {
		t.Errorf("then it holds %q, want the second still", is)
	}
	if err := s.Put(t.Context(), "key", strings.NewReader("fourth")); !errors.Is(err, storage.ErrExist) {
		t.Errorf("a put without the fault: %v; want %v", err, storage.ErrExist)
	}
}

// A store that hangs is waited for until the caller has enough, not longer.
func TestHangUntilTheContextEnds(t *testing.T) {
	below := openDir(t)
	put(t, below, "key", "content")
	s := storagetest.NewFaulty(below)
	s.On(storagetest.Any, 0, storagetest.Hang())
	for op, call := range map[storagetest.Op]func(ctx context.Context) error{
		storagetest.Put:    func(ctx context.Context) error { return s.Put(ctx, "new", strings.NewReader("content")) },
		storagetest.Delete: func(ctx context.Context) error { return s.Delete(ctx, "key") },
		storagetest.Open: func(ctx context.Context) error {
			_, err := s.Open(ctx, "key")
			return err
		},
		storagetest.List: func(ctx context.Context) (last error) {
			for _, err := range s.List(ctx, "") {
				last = err
			}
			return last
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- call(ctx) }()
		select {
		case err := <-ended:
			t.Errorf("%s has ended with %v before its context", op, err)
		default:
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; want %v", op, err, context.Canceled)
		}
	}
	if keys, err := keysOf(t, below); !slices.Equal(keys, []string{"key"}) || err != nil {
		t.Errorf("below there is %q, %v; want key alone", keys, err)
	}
}
