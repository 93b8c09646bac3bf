package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// A store can fail at any point of a save. Nothing is listed then, and FILE,
// which is proven as well, is kept all the same.
func TestABrokenStoreLeavesNothingListed(t *testing.T) {
	tests := []struct {
		name  string
		fault func(storage.Store) *faulty
		kind  error // nil: only an error
		text  string
		keeps int // objects in the store, none of which is listed
	}{
		{"refuses the data at once", func(storage.Store) *faulty {
			return &faulty{put: func(context.Context, string, io.Reader) error { return errDown }}
		}, errDown, "store is down", 0},
		{"breaks down in the middle of the data", func(inner storage.Store) *faulty {
			return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
				return inner.Put(ctx, key, breaksAfter(r, 100, errDown))
			}}
		}, errDown, "store is down", 0},
		{"has an object of that name", func(inner storage.Store) *faulty {
			return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
				must(inner.Put(ctx, key, strings.NewReader("of somebody else")))
				return inner.Put(ctx, key, r)
			}}
		}, storage.ErrExist, "put prod/c1-", 1},
		{"breaks down before the manifest", func(inner storage.Store) *faulty {
			return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
				if isManifest(key) {
					return errDown
				}
				return inner.Put(ctx, key, r)
			}}
		}, errDown, "commit backup 20261120T235211Z-r8-", 1},
		{"breaks down in the middle of the manifest", func(inner storage.Store) *faulty {
			return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
				if isManifest(key) {
					r = breaksAfter(r, 100, errDown)
				}
				return inner.Put(ctx, key, r)
			}}
		}, errDown, "commit backup 20261120T235211Z-r8-", 1},
		{"keeps other bytes than it got", func(inner storage.Store) *faulty {
			return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
				data := must1(io.ReadAll(r))
				return inner.Put(ctx, key, bytes.NewReader(flipped(data, len(data)/2)))
			}}
		}, fail.ErrVerification, "read back: backup 20261120T235211Z-r8-", 1},
		{"keeps less than it got", func(inner storage.Store) *faulty {
			return &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
				defer func() { must1(io.Copy(io.Discard, r)) }()
				return inner.Put(ctx, key, io.LimitReader(r, 100))
			}}
		}, fail.ErrVerification, "stored bytes are 100 with SHA-256 ", 1},
		{"keeps nothing and says that it did", func(storage.Store) *faulty {
			return &faulty{put: func(_ context.Context, _ string, r io.Reader) error {
				must1(io.Copy(io.Discard, r))
				return nil
			}}
		}, fail.ErrVerification, "has a manifest but no data", 0},
		{"returns other bytes than it keeps", func(inner storage.Store) *faulty {
			return &faulty{open: func(ctx context.Context, key string) (io.ReadCloser, error) {
				data := must1(io.ReadAll(must1(inner.Open(ctx, key))))
				return io.NopCloser(bytes.NewReader(flipped(data, len(data)-1))), nil
			}}
		}, fail.ErrVerification, "read back: backup ", 1},
		{"breaks down while it is read back", func(inner storage.Store) *faulty {
			return &faulty{open: func(ctx context.Context, key string) (io.ReadCloser, error) {
				return io.NopCloser(breaksAfter(must1(inner.Open(ctx, key)), 100, errDown)), nil
			}}
		}, errDown, "read back: fetch backup ", 1},
	}
	for _, test := range tests {
		for _, destination := range []string{"store", "file and store"} {
			t.Run(test.name+" for "+destination, func(t *testing.T) {
				e := newKubernetes(t)
				s := newSaving(t, newSource(t, e), destination)
				s.through(test.fault(s.catalog.Store))
				saved, err := s.save()
				if err == nil || !strings.Contains(err.Error(), test.text) {
					t.Errorf("error %v does not say %q", err, test.text)
				}
				if test.kind != nil && !errors.Is(err, test.kind) {
					t.Errorf("%v is no %v", err, test.kind)
				}
				if kind := kindOf(err); kind != nil && !errors.Is(test.kind, kind) {
					t.Errorf("%v is taken for %v", err, kind)
				}
				if destination == "store" {
					if saved != nil {
						t.Errorf("saved %+v", saved)
					}
					s.wantUntouched()
				} else {
					wantFileAlone(s, saved, e)
				}
				s.wantNothingListed()
				if files := filesIn(s.storage); len(files) != test.keeps {
					t.Errorf("the store keeps %q", files)
				}
			})
		}
	}
}

// wantFileAlone asserts that FILE was kept and the store has no backup.
func wantFileAlone(s *saving, saved *snapshot.Saved, e *etcd) {
	s.Helper()
	if saved == nil || !saved.File || saved.Stores[0].Backup != nil || saved.Stores[0].Err == nil {
		s.Fatalf("saved %+v", saved)
	}
	if got := must1(os.ReadFile(s.file())); !bytes.Equal(got, e.stream()) {
		s.Errorf("FILE holds %d bytes, the member sent %d", len(got), len(e.stream()))
	}
	s.wantNoTraces()
}

// The store's refusal ends the stream: a member is not made to send what
// nobody keeps.
func TestABrokenStoreEndsTheStream(t *testing.T) {
	e := newKubernetes(t)
	begun, gone := make(chan struct{}), make(chan struct{})
	member := newSource(t, e)
	member.snapshot = then(e.stream()[:9000], func(s snapshotStream) error {
		defer close(gone)
		close(begun)
		return silence(s)
	})
	s := newSaving(t, member, "store")
	s.through(&faulty{put: func(context.Context, string, io.Reader) error {
		<-begun
		return errDown
	}})
	if err := s.mustFail("store is down"); !errors.Is(err, errDown) {
		t.Errorf("error %v", err)
	}
	<-gone
	s.wantUntouched()
	s.wantEmptyStore()
}

// hangs is a store that takes nothing and returns nothing until it is told to.
func hangs(hanging chan<- struct{}) *faulty {
	return &faulty{put: func(ctx context.Context, _ string, _ io.Reader) error {
		close(hanging)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
}

func TestAStoreThatHangsIsGivenUpWithTheCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hanging := make(chan struct{})
	s := newSaving(t, newSource(t, newKubernetes(t)), "file and store")
	s.through(hangs(hanging))
	go func() {
		<-hanging
		cancel()
	}()
	saved, err := snapshot.Save(ctx, s.options)
	if !errors.Is(err, context.Canceled) || saved != nil {
		t.Errorf("saved %v, error %v", saved, err)
	}
	s.wantUntouched()
	s.wantEmptyStore()
}

func TestAStoreThatHangsDoesNotHideABadStream(t *testing.T) {
	e := newKubernetes(t)
	member := newSource(t, e)
	member.snapshot = sends(flipped(e.stream(), 5000))
	s := newSaving(t, member, "file and store")
	s.through(hangs(make(chan struct{})))
	err := s.mustFail("SHA-256 of the stream is ")
	if !errors.Is(err, fail.ErrVerification) {
		t.Errorf("error %v", err)
	}
	s.wantUntouched()
	s.wantEmptyStore()
}

// The member's stream never waits for the store: all of it is spooled while the
// store has not yet read a byte.
func TestASlowStoreDoesNotHoldBackTheStream(t *testing.T) {
	e := newKubernetes(t)
	sent := make(chan struct{})
	member := newSource(t, e)
	member.snapshot = then(e.stream(), func(snapshotStream) error {
		close(sent)
		return nil
	})
	s := newSaving(t, member, "store")
	inner := s.catalog.Store
	s.through(&faulty{put: func(ctx context.Context, key string, r io.Reader) error {
		<-sent
		return inner.Put(ctx, key, r)
	}})
	s.mustSave()
	if backups, _ := list(t, s.catalog); len(backups) != 1 {
		t.Errorf("%d backups", len(backups))
	}
}

// A backup that is there is never touched by the ones after it, good or bad.
func TestOlderBackupsStayAsTheyWere(t *testing.T) {
	e := newKubernetes(t)
	member := newSource(t, e)
	s := newSaving(t, member, "store")
	first := s.mustSave().Stores[0].Backup
	before := map[string][]byte{"db.zst": s.objectOf(first, "db.zst"), "manifest.json": s.objectOf(first, "manifest.json")}

	second := s.mustSave().Stores[0].Backup
	member.snapshot = sends(undigested(e.stream()))
	if err := s.mustFail("cut off"); !errors.Is(err, fail.ErrVerification) {
		t.Errorf("error %v", err)
	}

	for name, want := range before {
		if !bytes.Equal(s.objectOf(first, name), want) {
			t.Errorf("%s of the first backup has changed", name)
		}
	}
	backups, _ := list(t, s.catalog)
	if len(backups) != 2 || backups[0].ID != first.ID || backups[1].ID != second.ID {
		t.Errorf("backups %v", backups)
	}
	if got, want := len(filesIn(filepath.Join(s.storage, "prod", first.Cluster.Lineage))), 4; got != want {
		t.Errorf("the life of the cluster holds %d objects, want %d", got, want)
	}
}
