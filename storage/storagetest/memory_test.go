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

	"github.com/etcdha/etcdha/storage"
)

// memory is the simplest store that keeps the contract.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte

	looked sync.WaitGroup // those who race for one key, for a broken store
}

func newMemory() *memory {
	m := &memory{objects: map[string][]byte{}}
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
	m.objects[key] = data
	return nil
}

func (m *memory) Open(_ context.Context, key string) (io.ReadCloser, error) {
	if err := storage.CheckKey(key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", key, storage.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
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

func (m *memory) sorted() []storage.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	var objects []storage.Object
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		objects = append(objects, storage.Object{Key: key, Size: int64(len(m.objects[key]))})
	}
	return objects
}

// keep stores what Put would refuse.
func (m *memory) keep(key string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = data
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
