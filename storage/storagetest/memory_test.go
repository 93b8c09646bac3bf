package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// memory is the simplest store that keeps the contract. It locks nothing and
// leaves nothing to sweep.
type memory struct {
	mu      sync.Mutex
	objects map[string]stored

	looked sync.WaitGroup // those who race for one key, for a broken store
}

type stored struct {
	data []byte
	at   time.Time
}

func newMemory() *memory {
	m := &memory{objects: map[string]stored{}}
	m.looked.Add(racers)
	return m
}

func (m *memory) String() string { return "memory:" }

func (m *memory) Put(ctx context.Context, key string, r io.Reader) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	data, err := io.ReadAll(untilDone{ctx, r})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return fmt.Errorf("put %s: %w", key, storage.ErrExist)
	}
	m.objects[key] = stored{data, time.Now()}
	return nil
}

func (m *memory) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := storage.CheckKey(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	object, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", key, storage.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(object.data)), nil
}

func (m *memory) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if ctx.Err() != nil {
			yield(storage.Object{}, ctx.Err())
			return
		}
		for _, o := range m.sorted() {
			if strings.HasPrefix(o.Key, prefix) && !yield(o, nil) {
				return
			}
		}
	}
}

func (m *memory) Delete(ctx context.Context, key string) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.drop(key)
	return nil
}

func (m *memory) Lock(context.Context, string) (string, error) { return "", nil }

func (m *memory) Leftovers(context.Context, time.Time) ([]storage.Leftover, error) { return nil, nil }

func (m *memory) sorted() []storage.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	var objects []storage.Object
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		o := m.objects[key]
		objects = append(objects, storage.Object{Key: key, Size: int64(len(o.data)), Modified: o.at})
	}
	return objects
}

// keep stores what Put would refuse.
func (m *memory) keep(key string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = stored{data, time.Now()}
}

func (m *memory) drop(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
