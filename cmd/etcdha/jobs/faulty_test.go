package jobs

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// faulty is a store of which a test replaces parts.
type faulty struct {
	storage.Store
	open func(ctx context.Context, key string) error
	list func(ctx context.Context) error
	put  func(ctx context.Context, key string) error
}

func (f *faulty) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if f.open != nil {
		if err := f.open(ctx, key); err != nil {
			return nil, err
		}
	}
	return f.Store.Open(ctx, key)
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	if f.list != nil {
		if err := f.list(ctx); err != nil {
			return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, err) }
		}
	}
	return f.Store.List(ctx, prefix)
}

func (f *faulty) Put(ctx context.Context, key string, r io.Reader) error {
	if f.put != nil {
		if err := f.put(ctx, key); err != nil {
			return err
		}
	}
	return f.Store.Put(ctx, key, r)
}

// through lets a store go through faults from now on.
func (w *world) through(store string, f *faulty) {
	dir := w.dirs[store]
	w.stores.openStore = func(ctx context.Context, c config.Store, now func() time.Time, random io.Reader) (storage.Store, error) {
		s, err := OpenStore(ctx, c, now, random)
		if err == nil && c.URL == dir {
			own := *f
			own.Store = s
			s = &own
		}
		return s, err
	}
}

// newStoresWorld makes a world of directories alone.
func newStoresWorld(t testing.TB, stores ...string) *world {
	w := &world{TB: t, stores: NewStores(), dirs: map[string]string{}, spool: t.TempDir()}
	w.config.Name = "production"
	for _, name := range stores {
		w.dirs[name] = t.TempDir()
		w.config.Stores = append(w.config.Stores, config.Store{Name: name, URL: w.dirs[name]})
	}
	return w
}

// hung is what no context ends, as on a mount whose server is gone.
func hung(until <-chan struct{}) *faulty {
	wait := func() error { <-until; return errors.New("too late") }
	return &faulty{
		open: func(context.Context, string) error { return wait() },
		list: func(context.Context) error { return wait() },
		put:  func(context.Context, string) error { return wait() },
	}
}

// A store that hangs keeps no record from the other one, and takes none away.
func TestAStoreThatHangsTakesNoOtherWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStoresWorld(t, "hung", "sound")
		end := make(chan struct{})
		defer close(end)
		w.through("hung", hung(end))
		worker := w.worker()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w.must(worker.Add(ctx, recordOf(config.Verify, aSlot)))
		w.ahead = time.Until(aSlot.Add(time.Hour))
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if r, err := worker.Last(ctx, config.Verify); err != nil || !r.Slot.Equal(aSlot) {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := worker.LastEmergency(ctx, 1); err != nil || ctx.Err() != nil {
			t.Errorf("last emergency: %v", err)
		}
		did := ""
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := worker.eachVault(ctx, func(_ context.Context, v *vault) (string, error) {
			if v.name == "hung" {
				<-end
			}
			did += v.name
			return "", nil
		})
		if did != "sound" || err == nil || !strings.Contains(err.Error(), "store hung: not done in its share of the time") || ctx.Err() != nil {
			t.Errorf("did %q: %v", did, err)
		}
	})
}

// A directory that hangs when it is opened keeps nobody from another one, and is not
// opened a second time meanwhile.
func TestADirectoryThatHangsWhenItIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStoresWorld(t, "hung", "sound")
		end := make(chan struct{})
		var tries atomic.Int32
		w.stores.openStore = func(ctx context.Context, c config.Store, now func() time.Time, random io.Reader) (storage.Store, error) {
			if c.URL == w.dirs["hung"] {
				tries.Add(1)
				<-end
			}
			return OpenStore(ctx, c, now, random)
		}
		for range 3 {
			open, lost := w.worker().vaults(t.Context())
			if len(open) != 1 || open[0].name != "sound" || len(lost) != 1 || !errors.Is(lost[0], storage.ErrUnavailable) {
				t.Errorf("%d open, lost %v", len(open), lost)
			}
		}
		if n := tries.Load(); n != 1 {
			t.Errorf("opened %d times", n)
		}
		close(end)
		synctest.Wait()
		if open, lost := w.worker().vaults(t.Context()); len(open) != 2 {
			t.Errorf("when it answers again: %v", lost)
		}
	})
}

// Nothing is made where a disk is not mounted, and an empty directory in place of one
// with backups is no empty store.
func TestAStoreThatIsNotMounted(t *testing.T) {
	w := newWorld(t, 1, "local")
	w.save(1)
	worker := w.worker()
	if s := worker.Observe(t.Context()).Stores[0]; s.Err != "" || len(s.Backups) != 1 {
		t.Fatalf("%+v", s)
	}
	dir := w.dirs["local"]
	w.must(os.Rename(dir, dir+"-away"))
	s := worker.Observe(t.Context()).Stores[0]
	if !strings.Contains(s.Err, "no such file") || !strings.Contains(s.Hint, "mkdir -p") {
		t.Errorf("missing: %q, hint %q", s.Err, s.Hint)
	}
	if _, err := w.do(config.Snapshot, w.slot()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("snapshot: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	w.must(os.Mkdir(dir, 0o700))
	s = worker.Observe(t.Context()).Stores[0]
	if !strings.Contains(s.Err, "it is empty, and had 1 backups") || !strings.Contains(s.Hint, "mounted") || len(s.Backups) != 1 {
		t.Errorf("empty: %+v", s)
	}
	w.must(os.Remove(dir))
	w.must(os.Rename(dir+"-away", dir))
	if s = worker.Observe(t.Context()).Stores[0]; s.Err != "" {
		t.Errorf("back: %+v", s)
	}
}

// What a look has read before its time was over is not read again.
func TestALongFirstLookComesToItsEnd(t *testing.T) {
	w := newWorld(t, 1, "local")
	ids := w.save(3)
	var slow atomic.Pointer[string] // the backup that does not answer
	w.through("local", &faulty{open: func(ctx context.Context, key string) error {
		if id := slow.Load(); id != nil && strings.Contains(key, *id) {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}})
	slow.Store(&ids[2])
	worker := w.worker()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan status.Store)
	go func() { s, _, _ := worker.look(ctx, worker.shelves[0]); done <- s }()
	w.until("two are being read or were", func() bool { return len(w.stores.reads) == 1 })
	cancel()
	if s := <-done; s.Err == "" || !s.Read.IsZero() {
		t.Errorf("a look that was broken off: %+v", s)
	}
	slow.Store(&ids[0])
	w.until("the two are known", func() bool { _, all := worker.shelves[0].view.last(); return len(all) == 2 })
	s, all, err := worker.look(t.Context(), worker.shelves[0]) // which would hang if it read the first one again
	if err != nil || len(all) != 3 || s.Read.IsZero() {
		t.Errorf("%d known: %+v, %v", len(all), s, err)
	}
}

// A report that cannot be read for a moment takes no proof away.
func TestAProofStaysWhileAReportCannotBeRead(t *testing.T) {
	w := newWorld(t, 1, "local")
	w.save(1)
	w.mustDo(config.Verify, w.slot())
	var down atomic.Bool
	w.through("local", &faulty{open: func(_ context.Context, key string) error {
		if down.Load() && strings.Contains(key, "/reports/") {
			return storage.ErrUnavailable
		}
		return nil
	}})
	worker := w.worker()
	before := worker.Observe(t.Context()).Stores[0].Backups[0]
	w.mustDo(config.VerifySample, w.slot()) // one more report, so that it is read again
	down.Store(true)
	s, all, _ := worker.look(t.Context(), worker.shelves[0])
	if b := all[0]; b.Rung != status.Verified || !b.Verified.Equal(before.Verified) || s.Err == "" {
		t.Errorf("%+v of %+v", b.Backup, s)
	}
}

// A manifest that cannot be read for a moment may be the backup of the slot: no second one
// is made.
func TestABackupThatCannotBeReadForAMoment(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	slot := w.slot()
	w.mustDo(config.Snapshot, slot)
	var down atomic.Bool
	down.Store(true)
	w.through("local", &faulty{open: func(_ context.Context, key string) error {
		if down.Load() && strings.HasSuffix(key, "manifest.json") {
			return storage.ErrUnavailable
		}
		return nil
	}})
	if _, err := w.do(config.Snapshot, slot); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "store local") {
		t.Errorf("error %v", err)
	}
	down.Store(false)
	w.mustDo(config.Snapshot, slot)
	if a, b := w.ids("s3"), w.ids("local"); len(a) != 1 || len(b) != 1 || a[0] != b[0] {
		t.Errorf("in s3 %q, in local %q", a, b)
	}
}

// An instance that was stopped for a while commits nothing when it goes on.
func TestNoManifestOfAnInstanceThatMayNotAct(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	slot := w.slot()
	passive := func() error { return errPassive }
	if _, err := w.worker().Do(t.Context(), runOf(config.Snapshot, slot, passive)); !errors.Is(err, errPassive) {
		t.Errorf("save: %v", err)
	}
	if n := len(w.ids("s3")) + len(w.ids("local")); n != 0 {
		t.Errorf("%d backups were committed", n)
	}
	both := w.config.Stores
	w.config.Stores = both[:1]
	w.mustDo(config.Snapshot, slot)
	w.config.Stores = both
	if _, err := w.worker().Do(t.Context(), runOf(config.Snapshot, slot, passive)); !errors.Is(err, errPassive) || errors.Is(err, fail.ErrVerification) {
		t.Errorf("copy: %v", err)
	}
	if n := len(w.ids("local")); n != 0 {
		t.Errorf("%d copies were committed", n)
	}
}
