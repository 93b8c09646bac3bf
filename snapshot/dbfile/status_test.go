package dbfile_test

import (
	"fmt"
	"os"
	"testing"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// agreesWithEtcdutl inspects a db and compares every value that etcdutl's
// status knows. It returns the report.
func agreesWithEtcdutl(t *testing.T, db []byte) *dbfile.Report {
	t.Helper()
	want, err := snapshot.NewV3(nop).Status(writeFile(t, db))
	if err != nil {
		t.Fatalf("etcdutl: %v", err)
	}
	r := inspect(t, db)
	got := snapshot.Status{
		Hash:      r.Hash,
		Revision:  r.Revision,
		TotalKey:  int(r.TotalKeys),
		TotalSize: r.TotalSize,
		Version:   r.StorageVersion,
	}
	if got != want {
		t.Errorf("got %+v, etcdutl says %+v", got, want)
	}
	return r
}

func TestStatusOfRandomHistories(t *testing.T) {
	var compacted, shrunk, empty int
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := seeded(seed)
			m := newMember(t)
			h := newHistory(m, rng)
			if rng.IntN(2) == 0 {
				m.furnish()
			}
			h.live(rng.IntN(300))
			if rng.IntN(10) == 0 {
				m.deleteAll()
			}
			snap := m.snapshot()
			f := open(t, snap)
			if err := f.CheckSnapshotForm(); err != nil {
				t.Error(err)
			}
			if err := f.Digest(t.Context()); err != nil {
				t.Error(err)
			}
			r := agreesWithEtcdutl(t, snap)
			if r.Revision != m.revision() && r.Revision != 0 { // 0: compacted to nothing
				t.Errorf("revision %d, the member says %d", r.Revision, m.revision())
			}
			if r.CompactRevision > 0 {
				compacted++
			}
			if r.FreePages > 0 {
				shrunk++
			}
			if r.TotalKeys == 0 {
				empty++
			}
		})
	}
	if compacted < 50 || shrunk < 50 || empty < 5 {
		t.Errorf("only %d histories were compacted, %d had free pages, %d ended empty", compacted, shrunk, empty)
	}
}

func TestStatusOfNewCluster(t *testing.T) {
	m := newMember(t)
	r := agreesWithEtcdutl(t, m.snapshot())
	if r.Records != 0 || r.Revision != 0 || r.TotalKeys != 0 {
		t.Errorf("new cluster has %d records, revision %d, %d keys", r.Records, r.Revision, r.TotalKeys)
	}
}

// A live db, unlike a snapshot, can have a stored freelist, two metas with
// different trees, and room behind its last page.
func TestStatusOfDataDirectory(t *testing.T) {
	m := newMember(t)
	newHistory(m, seeded(1)).live(500)
	rev := m.revision()
	if r := agreesWithEtcdutl(t, m.stop()); r.Revision != rev {
		t.Errorf("revision %d, the member said %d", r.Revision, rev)
	}
}

func TestStatusOfLargeValues(t *testing.T) {
	m := newMember(t)
	rng := seeded(2)
	h := newHistory(m, rng)
	h.maxValue = 20_000 // several pages
	h.live(60)
	for i := range 3 {
		m.put(h.key(i), kubeValue(rng, 1<<20+rng.IntN(1<<19)))
	}
	agreesWithEtcdutl(t, m.snapshot())
	m.compact(m.revision())
	before := agreesWithEtcdutl(t, m.snapshot())
	must(m.be.Defrag())
	after := agreesWithEtcdutl(t, m.snapshot())
	if after.TotalSize >= before.TotalSize || after.FreePages >= before.FreePages {
		t.Errorf("defragmentation left %d bytes and %d free pages of %d and %d",
			after.TotalSize, after.FreePages, before.TotalSize, before.FreePages)
	}
	if after.HashKV != before.HashKV || after.Hash != before.Hash {
		t.Error("defragmentation changed a hash")
	}
	if after.SizeInUse != after.TotalSize-after.FreePages*after.PageSize {
		t.Errorf("%d bytes in use of %d with %d free pages", after.SizeInUse, after.TotalSize, after.FreePages)
	}
}

func TestStatusOfManyRevisions(t *testing.T) {
	m := newMember(t)
	h := newHistory(m, seeded(3))
	h.maxValue = 30
	for range 20_000 {
		m.put(h.key(h.rng.IntN(h.keys)), kubeValue(h.rng, h.rng.IntN(30)))
	}
	r := agreesWithEtcdutl(t, m.snapshot())
	if r.Records != 20_000 || r.Revision != 20_001 {
		t.Errorf("%d records up to revision %d", r.Records, r.Revision)
	}
}

// Keys are counted without a set of keys where that is possible; a compaction
// that was cut short is where it is not.
func TestStatusOfUnfinishedCompaction(t *testing.T) {
	for seed := range uint64(12) {
		for _, share := range []float64{0, 0.3, 0.7, 1} {
			t.Run(fmt.Sprint("seed ", seed, " share ", share), func(t *testing.T) {
				m := newMember(t)
				h := newHistory(m, seeded(seed))
				h.live(150)
				rev := h.compactable(t)
				snap, finished := interruptCompaction(t, m.snapshot(), rev, share)
				r := agreesWithEtcdutl(t, snap)
				if r.CompactRevision != rev || r.FinishedCompact >= rev {
					t.Errorf("compaction at %d scheduled, %d finished; was interrupted at %d",
						r.CompactRevision, r.FinishedCompact, rev)
				}
				done := agreesWithEtcdutl(t, finished.snapshot())
				if done.FinishedCompact != rev || done.TotalKeys != r.TotalKeys {
					t.Errorf("finished at %d with %d keys, unfinished %d", done.FinishedCompact, done.TotalKeys, r.TotalKeys)
				}
			})
		}
	}
}

func TestStatusAfterRevisionBump(t *testing.T) {
	m := newMember(t)
	m.furnish()
	newHistory(m, seeded(4)).live(200)
	snap := m.snapshot()
	before := inspect(t, snap)

	path := restoreWithBump(t, snap, 1_000_000_000)
	restored := agreesWithEtcdutl(t, must1(os.ReadFile(path)))
	if restored.Revision != before.Revision+1_000_000_000 || restored.CompactRevision != restored.Revision {
		t.Errorf("revision %d, compacted at %d; was at %d", restored.Revision, restored.CompactRevision, before.Revision)
	}
	if restored.TotalKeys != before.TotalKeys+1 {
		t.Errorf("%d keys, want %d and the marker", restored.TotalKeys, before.TotalKeys)
	}

	// The first start finishes the compaction; the marker stays.
	served := openMember(t, path)
	served.settle()
	r := agreesWithEtcdutl(t, served.snapshot())
	if r.FinishedCompact != restored.Revision || r.TotalKeys != restored.TotalKeys {
		t.Errorf("finished at %d with %d keys, want %d and %d", r.FinishedCompact, r.TotalKeys, restored.Revision, restored.TotalKeys)
	}
	served.put("/registry/pods/default/new", []byte("x"))
	again := agreesWithEtcdutl(t, must1(os.ReadFile(restoreWithBump(t, served.snapshot(), 500))))
	if again.Revision != restored.Revision+1+500 || again.TotalKeys != restored.TotalKeys+1 {
		t.Errorf("second bump: revision %d with %d keys", again.Revision, again.TotalKeys)
	}
}
