package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

// memory is a store whose objects a test can look at, damage and move.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
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
			if strings.HasPrefix(key, prefix) && !yield(storage.Object{Key: key, Size: int64(len(m.objects[key]))}, nil) {
				return
			}
		}
	}
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

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	if f.list != nil {
		return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, f.list) }
	}
	return f.Store.List(ctx, prefix)
}

func isManifest(key string) bool { return path.Base(key) == "manifest.json" }

// breaksAfter yields n bytes of r and then err.
func breaksAfter(r io.Reader, n int64, err error) io.Reader {
	return io.MultiReader(io.LimitReader(r, n), failingReader{err})
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
