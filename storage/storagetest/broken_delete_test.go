package storagetest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/etcdha/etcdha/storage"
)

func deletesNothing(context.Context, *memory, string) error { return nil }

func deletesPrefix(_ context.Context, m *memory, prefix string) error {
	for _, o := range m.sorted() {
		if strings.HasPrefix(o.Key, prefix) {
			m.drop(o.Key)
		}
	}
	return nil
}

func deletesAnything(_ context.Context, m *memory, key string) error {
	m.drop(key)
	return nil
}

func deletesFound(ctx context.Context, m *memory, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; !ok {
		return storage.ErrNotExist
	}
	delete(m.objects, key)
	return ctx.Err()
}

// deletesList leaves a mark that hidesDeleted knows.
func deletesList(_ context.Context, m *memory, key string) error {
	m.keep(key, []byte("deleted"))
	return nil
}

func hidesDeleted(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
	for o, err := range m.List(ctx, prefix) {
		if o.Size != int64(len("deleted")) && !yield(o, err) {
			return
		}
	}
}

// listsByOffset asks for the next object by how many there have been.
func listsByOffset(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
	for i := 0; ; i++ {
		objects := slices.DeleteFunc(m.sorted(), func(o storage.Object) bool { return !strings.HasPrefix(o.Key, prefix) })
		if i >= len(objects) || !yield(objects[i], nil) {
			return
		}
	}
}

func leavesObjects(m *memory) []storage.Leftover {
	if len(m.sorted()) == 0 {
		return nil
	}
	return []storage.Leftover{{Name: "temp"}}
}

const failedMark = "failed"

func leavesWhenItFails(ctx context.Context, m *memory, key string, r io.Reader) error {
	err := m.Put(ctx, key, r)
	if errors.Is(err, errReader) {
		m.keep(failedMark, nil)
	}
	return err
}

func leavesFailed(m *memory) []storage.Leftover {
	if _, ok := m.objects[failedMark]; !ok {
		return nil
	}
	return []storage.Leftover{{Name: "temp"}}
}
