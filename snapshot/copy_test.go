package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// copying is a backup in one store, with all that can lie beside it, and an
// empty other one.
type copying struct {
	*vault
	from, to *memory
	backup   *snapshot.Backup
}

func newCopying(t testing.TB) *copying {
	v := newVault(t, true)
	c := &copying{vault: v, from: inMemory(t, v.store), to: newMemory(), backup: v.backups[0]}
	maps.DeleteFunc(c.from.objects, func(key string, _ []byte) bool { return strings.Contains(key, v.backups[1].ID) })
	return c
}

func (c *copying) key(name string) string { return keyOf(c.backup.Manifest, name) }

// copy needs no key to read what it copies.
func (c *copying) copy(t testing.TB, to storage.Store) (snapshot.Copied, error) {
	source := &snapshot.Catalog{Store: c.from, Cluster: "prod"}
	backups, _ := list(t, source)
	return source.Copy(t.Context(), backups[0], to)
}

// wantSame asserts that the target is the source, byte for byte.
func (c *copying) wantSame(t testing.TB, what string) {
	t.Helper()
	if !reflect.DeepEqual(c.to.objects, c.from.objects) {
		t.Errorf("%s: the target holds %q, the source %q", what, c.to.keys(), c.from.keys())
	}
}

func (c *copying) wantNothingListed(t testing.TB, what string) {
	t.Helper()
	if backups, problems := list(t, c.catalog(c.to)); len(backups)+len(problems) != 0 {
		t.Errorf("%s: listed are %q, problems %v", what, ids(backups), problems)
	}
}

func TestACopyIsTheSameByteForByte(t *testing.T) {
	c := newCopying(t)
	if copied, err := c.copy(t, c.to); err != nil || copied != (snapshot.Copied{Data: true, Added: 3}) {
		t.Errorf("%+v, error %v", copied, err)
	}
	c.wantSame(t, "copied")
	if copied, err := c.copy(t, c.to); err != nil || copied != (snapshot.Copied{}) {
		t.Errorf("again: %+v, error %v", copied, err)
	}
	wantWholeVault(t, c.vault, c.to, c.backup.ID)
	// And on to a third store, from the copy.
	third := newMemory()
	backups, _ := list(t, c.catalog(c.to))
	if _, err := c.catalog(c.to).Copy(t.Context(), backups[0], third); err != nil || !reflect.DeepEqual(third.objects, c.from.objects) {
		t.Errorf("the copy of a copy holds %q, error %v", third.keys(), err)
	}
}

func TestACopyTellsItsProgress(t *testing.T) {
	c := newCopying(t)
	var done int64
	source := c.catalog(c.from)
	source.Progress = func(d, total int64) {
		if d < done || total != c.backup.Stored.Size {
			t.Errorf("progress %d of %d after %d", d, total, done)
		}
		done = d
	}
	must1(source.Copy(t.Context(), c.backup, c.to))
	if done != c.backup.Stored.Size {
		t.Errorf("the last progress was %d of %d", done, c.backup.Stored.Size)
	}
}

// A copy that stopped anywhere goes on there, and is listed only in the end.
func TestACopyGoesOnWhereItStopped(t *testing.T) {
	c := newCopying(t)
	for n := range len(c.from.objects) {
		c.to = newMemory()
		var put []string
		stopped := &faulty{Store: c.to, put: func(ctx context.Context, key string, r io.Reader) error {
			if len(put) == n {
				return errDown
			}
			put = append(put, key)
			return c.to.Put(ctx, key, r)
		}}
		what := fmt.Sprintf("stopped after %q", put)
		if _, err := c.copy(t, stopped); !errors.Is(err, errDown) || !strings.HasPrefix(err.Error(), "copy backup "+c.backup.ID+" to memory:: ") {
			t.Errorf("%s: error %v", what, err)
		}
		c.wantNothingListed(t, what)
		if n > 0 && put[0] != c.key("db.zst.age") {
			t.Errorf("%s is put before the data", put[0])
		}
		dataPuts := 0
		counted := &faulty{Store: c.to, put: func(ctx context.Context, key string, r io.Reader) error {
			err := c.to.Put(ctx, key, r)
			if err == nil && key == c.key("db.zst.age") {
				dataPuts++
			}
			return err
		}}
		if copied, err := c.copy(t, counted); err != nil || !copied.Data || n > 0 && dataPuts != 0 {
			t.Errorf("%s: %+v with %d puts of the data, error %v", what, copied, dataPuts, err)
		}
		c.wantSame(t, what)
	}
}

func TestACopyThatIsCancelledLeavesNothingListed(t *testing.T) {
	c := newCopying(t)
	for nth := 1; ; nth++ {
		c.to = newMemory()
		ctx, opened := newCountdown(t, nth)
		source := c.catalog(&faulty{Store: c.from, open: opened(c.from)})
		_, err := source.Copy(ctx, c.backup, obedient{c.to})
		if err == nil {
			if nth < 6 {
				t.Errorf("only %d objects were opened", nth-1)
			}
			return
		}
		if !errors.Is(err, context.Canceled) || kindOf(err) != nil {
			t.Errorf("cancelled at %d: error %v", nth, err)
		}
		c.wantNothingListed(t, fmt.Sprintf("cancelled at %d", nth))
		if _, err := c.copy(t, c.to); err != nil {
			t.Errorf("gone on: %v", err)
		}
		c.wantSame(t, "gone on")
	}
}

// obedient does nothing once its context is done.
type obedient struct{ *memory }

func (o obedient) Put(ctx context.Context, key string, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.memory.Put(ctx, key, r)
}

func TestAnotherBackupWithTheSameIDIsNotTouched(t *testing.T) {
	c := newCopying(t)
	other := *c.backup.Manifest
	other.DB = sumOf([]byte("other content"))
	c.to.commit(&other)
	before := c.to.clone().objects
	if copied, err := c.copy(t, c.to); !errors.Is(err, fail.ErrVerification) || copied != (snapshot.Copied{}) || !strings.Contains(err.Error(), "another backup with the same id is there") {
		t.Errorf("%+v, error %v", copied, err)
	}
	if !reflect.DeepEqual(c.to.objects, before) {
		t.Errorf("the target holds %q", c.to.keys())
	}
}

// A save to two stores can have sealed the same snapshot in two ways. It is
// there; only what was learnt about it since is added.
func TestTheSameSnapshotSealedInAnotherWayIsThere(t *testing.T) {
	c := newCopying(t)
	other := *c.backup.Manifest
	other.Encryption, other.Stored = nil, snapshot.StoredObject{Name: "db.zst", Sum: sumOf([]byte("sealed in another way"))}
	c.to.commit(&other)
	c.to.objects[c.key("db.zst")] = []byte("sealed in another way")
	if copied, err := c.copy(t, c.to); err != nil || copied != (snapshot.Copied{Added: 3}) {
		t.Errorf("%+v, error %v", copied, err)
	}
	if backups, _ := list(t, &snapshot.Catalog{Store: c.to, Cluster: "prod"}); len(backups) != 1 || backups[0].Stored.Name != "db.zst" || !backups[0].Held() {
		t.Errorf("%d backups", len(backups))
	}
	if c.to.objects[c.key("db.zst.age")] != nil || c.to.objects[c.key("manifest.sig")] != nil {
		t.Errorf("the target holds %q", c.to.keys())
	}
}

// What is learnt and decided about a backup later follows it.
func TestHoldsAndReportsTravelLater(t *testing.T) {
	c := newCopying(t)
	must1(c.copy(t, c.to))
	source := c.catalog(c.from)
	step := func(held bool, added int, change func(*snapshot.Backup)) {
		t.Helper()
		backups, _ := list(t, source)
		change(backups[0])
		if copied, err := c.copy(t, c.to); err != nil || copied != (snapshot.Copied{Added: added}) {
			t.Errorf("%+v, error %v", copied, err)
		}
		if there, _ := list(t, c.catalog(c.to)); there[0].Held() != held {
			t.Errorf("held in the target: %t", there[0].Held())
		}
		c.wantSame(t, "gone on")
	}
	step(false, 1, func(b *snapshot.Backup) { must(source.Release(t.Context(), b, snapshot.Hold{Time: later(1)})) })
	step(true, 2, func(b *snapshot.Backup) {
		must(source.Hold(t.Context(), b, snapshot.Hold{Time: later(2)}, bytes.NewReader([]byte{3, 4})))
		must(source.AddReport(t.Context(), b, proven))
	})
	step(true, 0, func(*snapshot.Backup) {})
}
