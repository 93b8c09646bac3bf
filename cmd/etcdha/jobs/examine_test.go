package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

// The sample takes the newest, and then those that nobody has looked at for longest, so
// that everything has had its turn after some days.
func TestSamplesTakeTurns(t *testing.T) {
	w := newWorld(t, 1, "local")
	ids := w.save(4)
	looked := func() (at []int) {
		for _, id := range ids {
			at = append(at, len(w.reports("local", id)))
		}
		return at
	}
	summary := w.mustDo(config.VerifySample, w.slot())
	if got := looked(); !reflect.DeepEqual(got, []int{1, 1, 0, 1}) || !strings.HasPrefix(summary, "local: 3 of 4 backups, ") {
		t.Errorf("first sample: %v, %q", got, summary)
	}
	slot := w.slot()
	w.mustDo(config.VerifySample, slot)
	if got := looked(); !reflect.DeepEqual(got, []int{2, 1, 1, 2}) {
		t.Errorf("second sample: %v", got)
	}
	w.mustDo(config.VerifySample, slot) // another try of the same slot has nothing left to do
	if got := looked(); !reflect.DeepEqual(got, []int{2, 1, 1, 2}) {
		t.Errorf("another try: %v", got)
	}
	for _, b := range w.backups("local")[1:3] {
		r, err := w.vault("local").LatestReport(t.Context(), b, snapshot.ReportVerification)
		if err != nil || !r.Passed || len(r.Checks) != 1 || r.Checks[0].Name != snapshot.RungStored || r.Etcdha != "test" {
			t.Errorf("report of %s: %+v, %v", b.ID, r, err)
		}
	}
}

// What is damaged is named, keeps nobody from the others, and is named again by the
// next run.
func TestVerifyGoesOnBehindDamage(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	ids := w.save(3)
	w.flip(w.file("local", ids[0], "db.zst"))
	w.flip(w.file("local", ids[1], "manifest.json"))

	slot := w.slot()
	for range 2 {
		_, err := w.do(config.Verify, slot)
		if !errors.Is(err, fail.ErrVerification) || kindOf(err) == "store" {
			t.Fatalf("error %v", err)
		}
		for _, want := range []string{"store local: backup " + ids[1] + ": manifest: damaged", "backup " + ids[0] + ": stored bytes: "} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error does not say %q: %v", want, err)
			}
		}
		if strings.Contains(err.Error(), ids[2]) || strings.Contains(err.Error(), "s3") {
			t.Errorf("error blames the sound ones: %v", err)
		}
	}
	for store, want := range map[string][]int{"s3": {1, 1, 1}, "local": {2, 0, 1}} { // what is sound was not read again
		var got []int
		for _, id := range ids {
			got = append(got, len(w.reports(store, id)))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("reports in %s: %v, want %v", store, got, want)
		}
	}
	b := w.backups("s3")[2]
	if r, err := w.vault("s3").LatestReport(t.Context(), b, snapshot.ReportVerification); err != nil || !r.Reached(snapshot.RungRecords) {
		t.Errorf("report %+v, %v", r, err)
	}
}

// A verification that is broken off goes on where it stopped.
func TestVerifyGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, 1, "local")
	ids := w.save(3)
	slot := w.slot()
	ctx, cancel := context.WithCancel(t.Context())
	v := w.vault("local")
	worker := w.worker()
	looked := 0
	e := &examination{Worker: worker, vault: v, look: func(b *snapshot.Backup) (snapshot.Checks, error) {
		if looked++; looked == 2 {
			cancel()
			return nil, ctx.Err()
		}
		return worker.climb(ctx, v, b)
	}}
	e.all(ctx, w.backups("local"))
	if e.done != 1 || looked != 2 {
		t.Fatalf("%d done of %d", e.done, looked)
	}
	if summary := w.mustDo(config.Verify, slot); !strings.HasPrefix(summary, "local: 2 of 3 backups, ") {
		t.Errorf("summary %q", summary)
	}
	for _, id := range ids {
		if r := w.reports("local", id); !slices.Equal(r, []string{"verification.json"}) {
			t.Errorf("reports of %s: %q", id, r)
		}
	}
}

// A backup that is pruned while it is looked at is no damage.
func TestPrunedMeanwhile(t *testing.T) {
	w := newWorld(t, 1, "local")
	w.save(3)
	v, worker := w.vault("local"), w.worker()
	e := &examination{Worker: worker, vault: v, look: func(b *snapshot.Backup) (snapshot.Checks, error) {
		if _, err := worker.Do(t.Context(), cronjobs.Run{Job: config.Prune, Slot: w.slot()}); err != nil {
			t.Error(err)
		}
		return v.VerifyStored(t.Context(), b, w.now)
	}}
	e.all(t.Context(), w.backups("local")[:1])
	if err := e.err(); err != nil || e.done != 0 {
		t.Errorf("%d done, %v", e.done, err)
	}
}

// The newest backup of each store is restored for real, and a try that comes later does
// not repeat what is done.
func TestRehearse(t *testing.T) {
	w := newWorld(t, 3, "s3", "local")
	ids := w.save(2)
	slot := w.slot()
	summary := w.mustDo(config.Rehearse, slot)
	for _, want := range []string{"s3: " + ids[1] + " restored and compared in ", "local: " + ids[1] + " restored and compared in "} {
		if !strings.Contains(summary, want) {
			t.Errorf("summary %q does not say %q", summary, want)
		}
	}
	r, err := w.vault("s3").LatestReport(t.Context(), w.backups("s3")[1], snapshot.ReportRehearsal)
	if err != nil || !r.Passed || !r.Reached("boot") || !r.Reached("keys") || !r.Reached(snapshot.RungDigest) {
		t.Errorf("report %+v, %v", r, err)
	}
	if again := w.mustDo(config.Rehearse, slot); again != "s3: "+ids[1]+" was restored by an earlier try; local: "+ids[1]+" was restored by an earlier try" {
		t.Errorf("again %q", again)
	}
	w.flip(w.file("local", ids[1], "db.zst"))
	if _, err := w.do(config.Rehearse, w.slot()); !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), "store local: backup "+ids[1]) {
		t.Errorf("damaged: %v", err)
	}
	if again := w.reports("s3", ids[1]); len(again) != 2 {
		t.Errorf("the other store was left out: %q", again)
	}
}

// Logs of failed rehearsals do not fill the spool directory: those of the next one replace them.
func TestLogsOfTheNewestFailedRehearsalStay(t *testing.T) {
	w := newStoresWorld(t, "s3", "local")
	worker := w.worker()
	for i, store := range []string{"s3", "local", "s3"} {
		log := filepath.Join(w.spool, fmt.Sprintf("etcdha-throwaway-%d-m1.log", i))
		w.must(os.WriteFile(log, []byte(store+strconv.Itoa(i)), 0o600))
		worker.keepLogs(w.vault(store), []string{log})
	}
	left, err := os.ReadDir(w.spool)
	w.must(err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if want := []string{"etcdha-rehearsal-production-local-m1.log", "etcdha-rehearsal-production-s3-m1.log"}; !slices.Equal(names, want) {
		t.Errorf("left %q", names)
	}
	if text, err := os.ReadFile(filepath.Join(w.spool, "etcdha-rehearsal-production-s3-m1.log")); err != nil || string(text) != "s32" {
		t.Errorf("%q, %v", text, err)
	}
}
