package snapshot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// memory is a store whose objects a test can look at, damage and move.
type memory struct {
	mu       sync.Mutex
	objects  map[string][]byte
	modified map[string]time.Time // what it says; else the zero time
}

func newMemory() *memory { return &memory{objects: make(map[string][]byte)} }

func (m *memory) String() string { return "memory:" }

func (m *memory) Put(_ context.Context, key string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return storage.ErrExist
	}
	m.objects[key] = data
	return nil
}

func (m *memory) Open(_ context.Context, key string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[key]
	if !ok {
		return nil, storage.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m *memory) List(_ context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		for _, key := range m.keys() {
			if strings.HasPrefix(key, prefix) && !yield(m.object(key), nil) {
				return
			}
		}
	}
}

func (m *memory) object(key string) storage.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return storage.Object{Key: key, Size: int64(len(m.objects[key])), Modified: m.modified[key]}
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

func (m *memory) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

// key returns the only key with the given last element.
func (m *memory) key(t testing.TB, name string) string {
	t.Helper()
	var found []string
	for _, key := range m.keys() {
		if path.Base(key) == name {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		t.Fatalf("one object %s expected, found %q", name, found)
	}
	return found[0]
}

// errDown is what a store says that has broken down.
var errDown = errors.New("store is down")

// faulty is a store of which a test replaces parts.
type faulty struct {
	storage.Store
	put  func(ctx context.Context, key string, r io.Reader) error
	open func(ctx context.Context, key string) (io.ReadCloser, error)
	del  func(ctx context.Context, key string) error
	list error
}

func (f *faulty) Put(ctx context.Context, key string, r io.Reader) error {
	if f.put != nil {
		return f.put(ctx, key, r)
	}
	return f.Store.Put(ctx, key, r)
}

func (f *faulty) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if f.open != nil {
		return f.open(ctx, key)
	}
	return f.Store.Open(ctx, key)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if f.del != nil {
		return f.del(ctx, key)
	}
	return f.Store.Delete(ctx, key)
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	if f.list != nil {
		return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, f.list) }
	}
	return f.Store.List(ctx, prefix)
}

// record is v as a record: with the sum of all that stands before it.
func record(v any) []byte {
	return sumAdded(strings.TrimSuffix(string(must1(json.MarshalIndent(v, "", "  "))), "\n}"))
}

func sumAdded(body string) []byte {
	return fmt.Appendf(nil, "%s,\n  \"sha256\": \"%x\"\n}\n", body, sha256.Sum256([]byte(body)))
}

func isManifest(key string) bool { return path.Base(key) == "manifest.json" }

// breaksAfter yields n bytes of r and then err.
func breaksAfter(r io.Reader, n int64, err error) io.Reader {
	return io.MultiReader(io.LimitReader(r, n), failingReader{err})
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// changing keeps what change makes of the objects that are meant, and says that
// it has kept them. With nil it keeps nothing of them.
func changing(store storage.Store, meant func(key string) bool, change func([]byte) []byte) *faulty {
	return &faulty{Store: store, put: func(ctx context.Context, key string, r io.Reader) error {
		if !meant(key) {
			return store.Put(ctx, key, r)
		}
		data, err := io.ReadAll(r)
		if err != nil || change == nil {
			return err
		}
		return store.Put(ctx, key, bytes.NewReader(change(data)))
	}}
}

// brokenAt does not open the objects of one name.
func brokenAt(store storage.Store, name string, err error) *faulty {
	return &faulty{Store: store, open: func(ctx context.Context, key string) (io.ReadCloser, error) {
		if path.Base(key) == name {
			return nil, err
		}
		return store.Open(ctx, key)
	}}
}

// newCountdown returns a context that is cancelled once the nth object was
// opened, by what it opens objects of a store with.
func newCountdown(t testing.TB, nth int) (context.Context, func(storage.Store) func(context.Context, string) (io.ReadCloser, error)) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var opened atomic.Int32
	return ctx, func(store storage.Store) func(context.Context, string) (io.ReadCloser, error) {
		return func(ctx context.Context, key string) (io.ReadCloser, error) {
			r, err := store.Open(ctx, key)
			if int(opened.Add(1)) == nth {
				cancel()
			}
			return r, err
		}
	}
}
