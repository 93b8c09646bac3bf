package snapshot_test

import (
	"errors"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage/storagetest"
)

// An index says what is there and whether it has changed, without reading anything.
func TestAnIndexReadsNothing(t *testing.T) {
	store, c, b := reported(t)
	faulty := storagetest.NewFaulty(store)
	c.Store = faulty
	index := func() snapshot.Listing {
		t.Helper()
		all, err := c.Index(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return all[0]
	}
	before := index()
	if n := faulty.Count(storagetest.Any); n != 1 {
		t.Errorf("%d operations", n)
	}
	began, ok := before.Began()
	if before.ID != b.ID || before.Lineage != b.Cluster.Lineage || before.Records != 0 || !ok || !began.Equal(b.Started) {
		t.Errorf("%+v, begun %v", before, began)
	}
	must(c.Conclude(t.Context(), b, snapshot.Report{Kind: snapshot.ReportVerification, Time: start, Checks: passed}))
	after := index()
	if after.Records != 1 || after.Newest == before.Newest || !after.ReportedAt(snapshot.ReportVerification).Equal(start) || !after.ReportedAt(snapshot.ReportRehearsal).IsZero() {
		t.Errorf("%+v", after)
	}
	read, err := c.Read(t.Context(), after)
	if err != nil || read.ID != b.ID || !read.ReportedAt(snapshot.ReportRehearsal, snapshot.ReportVerification).Equal(start) {
		t.Errorf("%+v, %v", read, err)
	}
	if gone, err := c.Gone(t.Context(), b); gone || err != nil {
		t.Errorf("gone: %t, %v", gone, err)
	}
	must(store.Delete(t.Context(), "prod/"+b.Cluster.Lineage+"/snapshots/"+b.ID+"/manifest.json"))
	if gone, err := c.Gone(t.Context(), b); !gone || err != nil {
		t.Errorf("gone: %t, %v", gone, err)
	}
}

// What failed is said, also where it cannot be recorded; what passed counts only when it is.
func TestConclude(t *testing.T) {
	store, c, b := reported(t)
	faulty := storagetest.NewFaulty(store)
	c.Store = faulty
	faulty.On(storagetest.Put, 0, storagetest.Fail(errors.New("the store is full")))
	if err := c.Conclude(t.Context(), b, snapshot.Report{Kind: snapshot.ReportVerification, Time: start, Checks: failed}); !errors.Is(err, fail.ErrVerification) {
		t.Errorf("failed: %v", err)
	}
	if err := c.Conclude(t.Context(), b, snapshot.Report{Kind: snapshot.ReportVerification, Time: start, Checks: passed}); err == nil || errors.Is(err, fail.ErrVerification) {
		t.Errorf("passed: %v", err)
	}
}
