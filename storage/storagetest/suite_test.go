package storagetest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) storage.Store { return newMemory() })
}

// Every broken store is caught by the check that is meant for it, for the
// right reason.
func TestBrokenStoresAreCaught(t *testing.T) {
	caught := map[string]bool{}
	for _, b := range brokenStores {
		t.Run(b.name, func(t *testing.T) {
			b.memory = newMemory()
			i := slices.IndexFunc(checks, func(c check) bool { return c.name == b.check })
			if i < 0 {
				t.Fatalf("no check %q", b.check)
			}
			complaints := complaintsOf(t, checks[i], b.broken)
			if !strings.Contains(complaints, b.complaint) {
				t.Errorf("%q complains %q; want %q", b.check, complaints, b.complaint)
			}
		})
		caught[b.check] = true
	}
	for _, c := range checks {
		if !caught[c.name] {
			t.Errorf("no broken store shows that %q can fail", c.name)
		}
	}
}

func complaintsOf(t *testing.T, c check, s storage.Store) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.check(r, s)
	}()
	<-done
	return strings.Join(r.complaints, "\n")
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	mu         sync.Mutex
	complaints []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.Error(fmt.Sprintf(format, args...)) }

func (r *recorder) Error(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, fmt.Sprint(args...))
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

// broken is a memory that does one thing in its own way.
type broken struct {
	*memory
	put  func(ctx context.Context, m *memory, key string, r io.Reader) error
	open func(ctx context.Context, m *memory, key string) (io.ReadCloser, error)
	list func(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool)

	remove func(ctx context.Context, m *memory, key string) error
	lock   string
	left   func(m *memory) []storage.Leftover
	ahead  time.Duration
}

func (b broken) Put(ctx context.Context, key string, r io.Reader) error {
	if b.put == nil {
		return b.memory.Put(ctx, key, r)
	}
	return b.put(ctx, b.memory, key, r)
}

func (b broken) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if b.open == nil {
		return b.memory.Open(ctx, key)
	}
	return b.open(ctx, b.memory, key)
}

func (b broken) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	if b.list == nil {
		return b.memory.List(ctx, prefix)
	}
	return func(yield func(storage.Object, error) bool) { b.list(ctx, b.memory, prefix, yield) }
}

func (b broken) Delete(ctx context.Context, key string) error {
	if b.remove == nil {
		return b.memory.Delete(ctx, key)
	}
	return b.remove(ctx, b.memory, key)
}

func (b broken) Lock(context.Context, string) (string, error) { return b.lock, nil }

func (b broken) Leftovers(context.Context, time.Time) ([]storage.Leftover, error) {
	if b.left == nil {
		return nil, nil
	}
	return b.left(b.memory), nil
}

func (b broken) Now(context.Context) (time.Time, error) { return time.Now().Add(b.ahead), nil }
