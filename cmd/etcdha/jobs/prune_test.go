package jobs

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/retention"
)

// errPassive is what an instance hears that may not be the active one any more.
var errPassive = errors.New("another instance may be active")

// A prune removes what no rule keeps, in every store, and old records, and ends at once
// when this instance may not act any more.
func TestPruneAsksBeforeEachRemoval(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	ids := w.save(4)
	asked := 0
	run := cronjobs.Run{Job: config.Prune, Slot: w.slot(), Attempt: 1, MayAct: func() error {
		if asked++; asked > 2 { // once for the run, once for one removal
			return errPassive
		}
		return nil
	}}
	_, err := w.worker().Do(t.Context(), run)
	if !errors.Is(err, errPassive) || errors.Is(err, fail.ErrUsage) {
		t.Fatalf("error %v", err)
	}
	left := len(w.ids("s3")) + len(w.ids("local"))
	if left != 7 {
		t.Errorf("%d backups are left", left)
	}
	summary := w.mustDo(config.Prune, w.slot())
	if summary != "s3: 1 backup removed, 2 left; local: 2 backups removed, 2 left" {
		t.Errorf("summary %q", summary)
	}
	for _, store := range []string{"s3", "local"} {
		for _, id := range ids[:2] {
			if want := `msg="a backup was removed" cluster=production store=` + store + ` id=` + id + ` reason="`; strings.Count(w.log.String(), want) != 1 {
				t.Errorf("the log does not say once %q:\n%s", want, &w.log)
			}
		}
		if got := w.ids(store); !reflect.DeepEqual(got, ids[2:]) {
			t.Errorf("in %s %q, want %q", store, got, ids[2:])
		}
	}
}

// Of each job the newest 100 records stay, and what a killed process has left goes.
func TestPruneOfRecordsAndLeftovers(t *testing.T) {
	w := newWorld(t, 1, "local")
	w.save(1)
	first := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range 103 {
		r := status.Record{Cluster: "production", Job: config.VerifySample, Slot: first.Add(time.Duration(i) * time.Hour), Passed: true}
		w.must(w.worker().Add(t.Context(), r))
	}
	lineage := w.backups("local")[0].Cluster.Lineage
	old := filepath.Join(w.dirs["local"], "production", lineage, "snapshots", "20261101T000000Z-r9-0000")
	w.must(os.MkdirAll(old, 0o700))
	for _, name := range []string{filepath.Join(old, "db.zst"), filepath.Join(w.dirs["local"], "production", "jobs", "verify-sample", ".AAAAAAAAAAAAAAAAAAAAAAAAA2.tmp")} {
		w.must(os.WriteFile(name, []byte("half"), 0o600))
		w.must(os.Chtimes(name, time.Now().Add(-48*time.Hour), time.Now().Add(-48*time.Hour)))
	}
	summary := w.mustDo(config.Prune, w.slot())
	if !strings.HasPrefix(summary, "local: 0 backups removed, 1 left, 2 leftovers removed, 3 old records removed") {
		t.Errorf("summary %q", summary)
	}
	records, err := w.vault("local").JobRecords(t.Context(), "verify-sample")
	if err != nil || len(records) != 100 || !records[0].Slot.Equal(first.Add(3*time.Hour)) {
		t.Errorf("%d records from %v on, %v", len(records), records[0].Slot, err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
}

// Without a rule, nothing may be taken for what to remove.
func TestPruneWithoutARule(t *testing.T) {
	w := newWorld(t, 1, "local")
	w.save(2)
	w.config.Keep = retention.Policy{Location: time.UTC}
	if _, err := w.do(config.Prune, w.slot()); !errors.Is(err, fail.ErrUsage) {
		t.Errorf("error %v", err)
	}
	// Nor where nobody can say which life of the cluster goes on.
	w.config.Keep.Last = 1
	all := w.backups("local")
	manifest := w.file("local", all[1].ID, "manifest.json")
	other := strings.Replace(manifest, all[0].Cluster.Lineage, "abc-00000000", 1)
	w.must(os.MkdirAll(filepath.Dir(other), 0o700))
	w.must(os.Rename(manifest, other))
	if _, err := w.do(config.Prune, w.slot()); err == nil || !strings.Contains(fail.Hint(err), "NAME/LINEAGE") {
		t.Errorf("error %v, hint %q", err, fail.Hint(err))
	}
	for _, b := range all {
		w.file("local", b.ID, "db.zst") // which is still there
	}
}
