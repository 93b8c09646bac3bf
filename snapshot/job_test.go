package snapshot_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

type ran struct {
	Format int    `json:"format"`
	Word   string `json:"word"`
}

// The record of a slot is written once, found by its slot, and known to be whole; it is
// nobody's backup.
func TestTheRecordsOfAJob(t *testing.T) {
	store, c, _ := reported(t)
	at := func(hours int) snapshot.JobRecord {
		return snapshot.JobRecord{Job: "verify", Slot: start.UTC().Add(time.Duration(hours) * time.Hour)}
	}
	for _, hours := range []int{1, 0, 2} {
		must(c.AddJobRecord(t.Context(), at(hours), ran{1, "passed"}))
	}
	must(c.AddJobRecord(t.Context(), snapshot.JobRecord{Job: "verify-sample", Slot: start}, ran{1, "another job"}))
	must(c.AddJobRecord(t.Context(), at(1), ran{1, "passed"})) // as after an answer that was lost
	if err := c.AddJobRecord(t.Context(), at(1), ran{1, "failed"}); !errors.Is(err, storage.ErrExist) {
		t.Errorf("another one for the slot: %v", err)
	}
	if all, err := c.JobRecords(t.Context(), "verify"); err != nil || !reflect.DeepEqual(all, []snapshot.JobRecord{at(0), at(1), at(2)}) {
		t.Errorf("records %v, %v", all, err)
	}
	var got ran
	if err := c.ReadJobRecord(t.Context(), at(1), &got); err != nil || got.Word != "passed" {
		t.Errorf("%+v, %v", got, err)
	}
	if backups, problems := list(t, c); len(backups) != 1 || len(problems) != 0 {
		t.Errorf("%d backups, %v", len(backups), problems)
	}

	const key = "prod/jobs/verify/20261121T005211Z.json"
	data := string(content(t, store, key))
	store.objects[key] = []byte(strings.Replace(data, "passed", "passes", 1))
	if err := c.ReadJobRecord(t.Context(), at(1), &got); !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), key) {
		t.Errorf("damaged: %v", err)
	}
	must(c.RemoveJobRecord(t.Context(), at(1)))
	if all, err := c.JobRecords(t.Context(), "verify"); err != nil || !reflect.DeepEqual(all, []snapshot.JobRecord{at(0), at(2)}) {
		t.Errorf("records %v, %v", all, err)
	}
}
