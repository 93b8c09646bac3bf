package snapshot_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/snapshot"
)

// Whoever may not act any more is asked when all that takes time is done, and makes no
// backup: neither by a save nor by a copy.
func TestNoManifestWithoutLeave(t *testing.T) {
	errPassive := errors.New("another one may be active")
	v := newVault(t, true)
	to := newMemory()
	c := v.catalog(v.store)
	c.MayAct = func() error {
		if keys := strings.Join(to.keys(), " "); !strings.Contains(keys, "db.") {
			t.Errorf("asked when there was only %q", keys)
		}
		return errPassive
	}
	if _, err := c.Copy(t.Context(), v.backups[0], to); !errors.Is(err, errPassive) {
		t.Errorf("copy: %v", err)
	}
	if keys := strings.Join(to.keys(), " "); strings.Contains(keys, "manifest.json") {
		t.Errorf("there is %q", keys)
	}
	c.MayAct = func() error { return nil }
	if _, err := c.Copy(t.Context(), v.backups[0], to); err != nil {
		t.Errorf("with leave: %v", err)
	}
}

// So does a save.
func TestASaveWithoutLeave(t *testing.T) {
	s := newSaving(t, newSource(t, newKubernetes(t)), "store")
	passive := errors.New("another one may be active")
	s.catalog.MayAct = func() error { return passive }
	if err := s.mustFail("another one may be active"); !errors.Is(err, passive) {
		t.Errorf("error %v", err)
	}
	s.wantNothingListed()
	s.wantNoTraces()
}

// Whether a backup is of the life that the cluster is in costs one read, however many
// there are.
func TestSameLifeReadsTheNewestOnly(t *testing.T) {
	store := january()
	var opened []string
	var several sync.Mutex
	c := &snapshot.Catalog{Store: &faulty{Store: store, open: func(ctx context.Context, key string) (io.ReadCloser, error) {
		several.Lock()
		opened = append(opened, key)
		several.Unlock()
		return store.Open(ctx, key)
	}}, Cluster: "prod"}
	backups, _ := list(t, c)
	newest := backups[len(backups)-1]
	for text, want := range map[string]bool{"later": true, "gone back": false} {
		opened = nil
		s := &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: clusterID}, RaftTerm: newest.RaftTerm, RaftIndex: newest.RaftIndex}
		if !want {
			s.RaftIndex--
		}
		if same, err := c.SameLife(t.Context(), backups[0], s); err != nil || same != want || len(opened) != 1 {
			t.Errorf("%s: %v, %v, opened %q", text, same, err, opened)
		}
	}
}

// A report behind one of a clock that was ahead says itself when it was written.
func TestWhenABackupWasExamined(t *testing.T) {
	store := january()
	c := &snapshot.Catalog{Store: store, Cluster: "prod", Now: func() time.Time { return start }}
	examined := func() time.Time {
		backups, _ := list(t, c)
		at, err := c.Examined(t.Context(), backups[0], snapshot.ReportVerification)
		must(err)
		return at
	}
	add := func(at time.Time) {
		backups, _ := list(t, c)
		r := proven
		r.Time = at
		must(c.AddReport(t.Context(), backups[0], r))
	}
	if at := examined(); !at.IsZero() {
		t.Errorf("never: %v", at)
	}
	add(start.Add(-time.Hour))
	if at := examined(); !at.Equal(start.Add(-time.Hour)) {
		t.Errorf("an hour ago: %v", at)
	}
	add(start.AddDate(1, 0, 0))
	if at := examined(); !at.IsZero() {
		t.Errorf("in a year: %v", at)
	}
	add(start.Add(-time.Minute))
	if at := examined(); !at.Equal(start.Add(-time.Minute)) {
		t.Errorf("after that: %v", at)
	}
}
