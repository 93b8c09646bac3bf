package jobs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// Every store gets the same backup, sealed as the configuration says; a slot that has
// one gets no other one.
func TestSnapshotOfASlot(t *testing.T) {
	w := newWorld(t, 3, "s3", "local")
	key, err := age.GenerateX25519Identity()
	w.must(err)
	identity := filepath.Join(t.TempDir(), "identity")
	w.must(os.WriteFile(identity, []byte(key.String()+"\n"), 0o600))
	w.config.Encryption = config.Encryption{Recipients: []string{key.Recipient().String()}, IdentityFiles: []string{identity}}

	slot := w.slot()
	summary := w.mustDo(config.Snapshot, slot)
	if !regexp.MustCompile(`^\d{8}T\d{6}Z-r\d+-[0-9a-f]{4}, \d+ KiB, in s3 and local, verified, live match$`).MatchString(summary) {
		t.Errorf("summary %q", summary)
	}
	id, _, _ := strings.Cut(summary, ",")
	for _, store := range []string{"s3", "local"} {
		b := w.backups(store)[0]
		if b.ID != id || b.Kind != snapshot.KindOrdinary || b.Encryption == nil || b.Cluster.Name != "production" || b.Etcdha != "test" {
			t.Errorf("in %s: %+v", store, b.Manifest)
		}
	}
	if again := w.mustDo(config.Snapshot, slot); again != summary {
		t.Errorf("again %q", again)
	}
	next := w.mustDo(config.Snapshot, w.slot())
	if ids := w.ids("local"); len(ids) != 2 || ids[0] != id || !strings.HasPrefix(next, ids[1]) {
		t.Errorf("ids %q after %q", ids, next)
	}
}

// A store that has failed gets the very backup that the other one has, once it is back.
func TestAStoreThatFailedGetsTheSameBackup(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	first := w.save(1)
	away := w.dirs["local"] + "-away"
	w.must(os.Rename(w.dirs["local"], away))
	w.must(os.WriteFile(w.dirs["local"], nil, 0o600)) // nothing can be made there

	slot := w.slot()
	summary, err := w.do(config.Snapshot, slot)
	id := w.ids0("s3")
	if err == nil || kindOf(err) != "store" || !errors.Is(err, storage.ErrUnavailable) ||
		!strings.Contains(err.Error(), "s3 has the backup "+id) || !strings.Contains(err.Error(), "store local: open store") {
		t.Fatalf("error %v of kind %q", err, kindOf(err))
	}
	if !strings.Contains(summary, id+", ") || !strings.Contains(summary, "in s3,") {
		t.Errorf("summary %q", summary)
	}

	w.must(os.Remove(w.dirs["local"]))
	w.must(os.Rename(away, w.dirs["local"]))
	if summary = w.mustDo(config.Snapshot, slot); !strings.HasPrefix(summary, id+", ") || !strings.Contains(summary, "in s3 and local") {
		t.Errorf("summary %q", summary)
	}
	if want := []string{first[0], id}; !reflect.DeepEqual(w.ids("s3"), want) || !reflect.DeepEqual(w.ids("local"), want) {
		t.Errorf("in s3 %q, in local %q, want %q", w.ids("s3"), w.ids("local"), want)
	}
}

// ids0 is the newest id in a store; the others may be away.
func (w *world) ids0(store string) string {
	w.Helper()
	ids := w.ids(store)
	return ids[len(ids)-1]
}

// What an interrupted save has left in a store lies where the copy would. Then the store
// gets a backup of its own, in the same life of the cluster.
func TestALeftoverIsInTheWayOfACopy(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	w.config.Stores = w.config.Stores[:1]
	slot := w.slot()
	w.mustDo(config.Snapshot, slot)
	b := w.backups("s3")[0]
	w.config.Stores = append(w.config.Stores, config.Store{Name: "local", URL: w.dirs["local"]})
	dir := filepath.Join(w.dirs["local"], "production", b.Cluster.Lineage, "snapshots", b.ID)
	w.must(os.MkdirAll(dir, 0o700))
	w.must(os.WriteFile(filepath.Join(dir, "db.zst"), []byte("other bytes"), 0o600))

	summary := w.mustDo(config.Snapshot, slot)
	own := w.backups("local")[0]
	if own.ID == b.ID || own.Cluster.Lineage != b.Cluster.Lineage || !strings.HasPrefix(summary, b.ID+" and "+own.ID+", ") {
		t.Errorf("%s of %s beside %s of %s: %q", own.ID, own.Cluster.Lineage, b.ID, b.Cluster.Lineage, summary)
	}
}

// A snapshot that is broken off, wherever it is, leaves nothing that is listed and not
// whole, and keeps the next try from nothing.
func TestABrokenOffSnapshotLeavesNothingHalfDone(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	began := time.Now()
	w.save(1)
	whole := time.Since(began)
	slot := w.slot()
	brokenOff := 0
	const points = 12
	for i := range points {
		ctx, cancel := context.WithTimeout(t.Context(), whole*time.Duration(i)/points)
		_, err := w.worker().Do(ctx, cronjobs.Run{Job: config.Snapshot, Slot: slot, Attempt: i + 1})
		if err != nil {
			brokenOff++
		}
		cancel()
		for _, store := range []string{"s3", "local"} {
			v := w.vault(store)
			for _, b := range w.backups(store) {
				w.must(v.CheckStored(t.Context(), b))
			}
		}
	}
	if brokenOff == 0 {
		t.Error("none was broken off")
	}
	w.mustDo(config.Snapshot, slot)
	for _, store := range []string{"s3", "local"} {
		if n := len(w.ids(store)); n != 2 {
			t.Errorf("%d backups in %s", n, store)
		}
	}
	if left, err := os.ReadDir(w.spool); err != nil || len(left) > 0 {
		t.Errorf("spool: %v %v", left, err)
	}
}
