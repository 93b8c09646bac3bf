package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// breakages are ways in which one store fails by itself, and how that is told.
var breakages = []struct {
	name  string
	fault func(*memory) *faulty
	kind  error
}{
	{"cannot be listed", func(*memory) *faulty { return &faulty{list: errDown} }, errDown},
	{"refuses the data", func(*memory) *faulty {
		return &faulty{put: func(context.Context, string, io.Reader) error { return errDown }}
	}, errDown},
	{"breaks down midway", func(m *memory) *faulty {
		return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
			return m.Put(ctx, key, breaksAfter(r, 100, errDown))
		}}
	}, errDown},
	{"cannot be read back", func(m *memory) *faulty { return brokenAt(m, "db.zst", errDown) }, errDown},
	{"refuses the manifest", func(m *memory) *faulty {
		return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
			if isManifest(key) {
				return errDown
			}
			return m.Put(ctx, key, r)
		}}
	}, errDown},
	{"keeps nothing", func(m *memory) *faulty { return liar(m, nil) }, fail.ErrVerification},
	{"keeps other bytes", func(m *memory) *faulty {
		return liar(m, func(data []byte) []byte { return flipped(data, 50) })
	}, fail.ErrVerification},
	{"keeps half", func(m *memory) *faulty {
		return liar(m, func(data []byte) []byte { return data[:len(data)/2] })
	}, fail.ErrVerification},
	{"keeps no manifest", func(m *memory) *faulty { return changing(m, isManifest, nil) }, storage.ErrNotExist},
	{"is done before it has begun", func(*memory) *faulty {
		return &faulty{put: func(context.Context, string, io.Reader) error { return nil }}
	}, nil},
	{"is done after a hundred bytes", func(m *memory) *faulty {
		return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
			return m.Put(ctx, key, io.LimitReader(r, 10))
		}}
	}, nil},
}

func TestAStoreThatFailsHarmsNoOther(t *testing.T) {
	for _, b := range breakages {
		t.Run(b.name, func(t *testing.T) {
			withAndWithoutFile(t, func(t *testing.T, stores int, destination string) {
				for broken := range stores {
					s := newSeveral(t, stores, destination)
					s.through(broken, b.fault(s.stores[broken]))
					saved, err := s.save()
					s.wantKept(saved, broken)
					s.wantBlamed(err, broken)
					if !errors.Is(err, saved.Stores[broken].Err) || b.kind != nil && !errors.Is(err, b.kind) {
						t.Errorf("error %v is no %v", err, b.kind)
					}
				}
			})
		})
	}
}

// wantBlamed asserts that an error names the stores that failed, and no other.
func (s *several) wantBlamed(err error, broken ...int) {
	s.Helper()
	blamed := make(map[int]bool)
	for _, i := range broken {
		blamed[i] = true
	}
	for i := range s.stores {
		if err == nil || strings.Contains(err.Error(), fmt.Sprintf("store memory:%d: ", i)) != blamed[i] {
			s.Errorf("error %v; want %v blamed", err, broken)
		}
	}
}

// A store that hangs is given up with the caller. What the others have by then
// they keep.
func TestAStoreThatHangsHarmsNoOther(t *testing.T) {
	withAndWithoutFile(t, func(t *testing.T, stores int, destination string) {
		s := newSeveral(t, stores, destination)
		var committed sync.WaitGroup
		committed.Add(stores - 1)
		for i, store := range s.stores[1:] {
			s.through(i+1, &faulty{open: func(ctx context.Context, key string) (io.ReadCloser, error) {
				if isManifest(key) {
					defer committed.Done() // it is read back, and that is all
				}
				return store.Open(ctx, key)
			}})
		}
		s.through(0, hangs(make(chan struct{})))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			committed.Wait()
			cancel()
		}()
		saved, err := snapshot.Save(ctx, s.options)
		s.wantKept(saved, 0)
		s.wantBlamed(err, 0)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// Nobody is left to want the stream: the member is let go.
func TestStoresThatAllFailEndTheStream(t *testing.T) {
	withAndWithoutFile(t, func(t *testing.T, stores int, destination string) {
		s := newSeveral(t, stores, destination)
		begun, gone := make(chan struct{}), make(chan struct{})
		stream := s.etcd.stream()
		s.member.snapshot = then(stream[:9000], func(out snapshotStream) error {
			defer close(gone)
			close(begun)
			if s.options.File != "" {
				return sends(stream[9000:])(out)
			}
			return silence(out)
		})
		all := []int{0}
		s.through(0, &faulty{list: errDown})
		for i := 1; i < stores; i++ {
			all = append(all, i)
			s.through(i, &faulty{put: func(context.Context, string, io.Reader) error {
				<-begun
				return errDown
			}})
		}
		saved, err := s.save()
		<-gone
		s.wantBlamed(err, all...)
		if !errors.Is(err, errDown) || errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if s.options.File == "" {
			if saved != nil {
				t.Errorf("saved %+v", saved)
			}
			s.wantUntouched()
			return
		}
		if saved == nil || !saved.File || !bytes.Equal(must1(os.ReadFile(s.file())), stream) {
			t.Errorf("FILE was not kept: %+v", saved)
		}
		s.wantNoTraces()
	})
}
