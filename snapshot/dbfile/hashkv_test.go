package dbfile_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// tally counts what kinds of answers were compared, so that a test can tell
// whether it has seen the ones that matter.
type tally struct {
	equal, uncompacted, later, cached, older, compacted int
}

// agreesWithLive asks a live member for HashKV at each revision and compares
// its answer with the one computed from the snapshot for the same pair.
func (n *tally) agreesWithLive(t *testing.T, live *member, snap []byte, revisions []int64) {
	t.Helper()
	f := open(t, snap)
	r := inspect(t, snap)
	for _, rev := range revisions {
		want, _, err := live.kv.HashStorage().HashByRev(rev)
		if errors.Is(err, mvcc.ErrCompacted) {
			n.compacted++
			continue
		}
		must(err)
		got, err := f.HashKV(t.Context(), rev, want.CompactRevision)
		if max(want.CompactRevision, 0) < r.CompactRevision || rev > max(r.Revision, 1) {
			n.older++
			if !errors.Is(err, dbfile.ErrNotComparable) {
				t.Errorf("HashKV(%d, %d) of a snapshot from %d to %d: %08x, %v",
					rev, want.CompactRevision, r.CompactRevision, r.Revision, got, err)
			}
			continue
		}
		if err != nil || got != want.Hash {
			t.Errorf("HashKV(%d, %d) of a snapshot from %d to %d is %08x, %v; the member says %08x",
				rev, want.CompactRevision, r.CompactRevision, r.Revision, got, err, want.Hash)
		}
		n.equal++
		if want.CompactRevision < 0 {
			n.uncompacted++
		}
		if want.CompactRevision > r.CompactRevision {
			n.later++
		}
		if slices.Contains(live.kv.HashStorage().Hashes(), want) {
			n.cached++
		}
	}
}

func upTo(rev int64) []int64 {
	var all []int64
	for r := int64(1); r <= rev; r++ {
		all = append(all, r)
	}
	return all
}

// A snapshot is compared with the member that it came from: at once, and after
// the member has gone on writing and compacting, and has been restarted.
func TestHashKVAgreesWithLiveMember(t *testing.T) {
	var n tally
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := newMember(t)
			h := newHistory(m, seeded(seed))
			m.put("/registry/services/default/kubernetes", []byte("{}")) // never deleted
			h.live(h.rng.IntN(120))
			snap, taken := m.snapshot(), m.revision()
			n.agreesWithLive(t, m, snap, upTo(taken))

			m.put(h.key(0), []byte("written after the snapshot"))
			m.compact(taken - h.rng.Int64N(taken)/2)
			n.agreesWithLive(t, m, snap, upTo(taken+1))

			h.live(60)
			n.agreesWithLive(t, m, snap, upTo(taken))

			m.stop()
			n.agreesWithLive(t, openMember(t, m.path), snap, upTo(taken))
		})
	}
	if n.equal < 3000 || n.uncompacted < 300 || n.later < 500 || n.cached < 20 || n.older < 100 || n.compacted < 1000 {
		t.Errorf("too few answers of some kind: %+v", n)
	}
}

// The member that finished a compaction agrees with the snapshot of one that
// did not get so far.
func TestHashKVOfUnfinishedCompaction(t *testing.T) {
	var n tally
	for seed := range uint64(12) {
		for _, share := range []float64{0, 0.3, 0.7, 1} {
			t.Run(fmt.Sprint("seed ", seed, " share ", share), func(t *testing.T) {
				m := newMember(t)
				h := newHistory(m, seeded(seed))
				m.put("/registry/services/default/kubernetes", []byte("{}")) // never deleted
				h.live(100)
				rev := h.compactable(t)
				snap, finished := interruptCompaction(t, m.snapshot(), rev, share)
				n.agreesWithLive(t, finished, snap, upTo(m.revision()))
				n.agreesWithLive(t, openMember(t, writeFile(t, unsealed(snap))), snap, upTo(m.revision()))
			})
		}
	}
	if n.equal < 1000 || n.compacted < 1000 || n.older < 20 {
		t.Errorf("too few answers of some kind: %+v", n)
	}
}

func TestHashKVAfterRevisionBump(t *testing.T) {
	for seed := range uint64(5) {
		m := newMember(t)
		newHistory(m, seeded(seed)).live(100)
		path := restoreWithBump(t, m.snapshot(), 1000)
		restored := must1(os.ReadFile(path))
		bumped := inspect(t, restored).Revision

		served := openMember(t, path)
		served.settle()
		served.put("/registry/pods/default/new", []byte("x"))
		var n tally
		n.agreesWithLive(t, served, restored, []int64{bumped})
		snap := served.snapshot()
		n.agreesWithLive(t, served, snap, []int64{bumped, bumped + 1})
		if n.equal != 3 {
			t.Errorf("seed %d: %+v", seed, n)
		}
	}
}

// Where no key is live, members contradict each other about one and the same
// pair of revisions. Whatever is computed nevertheless must be right.
func TestHashKVWithNothingAlive(t *testing.T) {
	var equal, refused int
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := newMember(t)
			newHistory(m, seeded(seed)).live(40)
			m.deleteAll()
			gone, snap := m.revision(), m.snapshot()
			r := inspect(t, snap)
			compare := func(live *member) mvcc.KeyValueHash {
				want, _, err := live.kv.HashStorage().HashByRev(gone)
				must(err)
				got, err := open(t, snap).HashKV(t.Context(), gone, want.CompactRevision)
				switch {
				case errors.Is(err, dbfile.ErrNotComparable) && want.CompactRevision > 0:
					refused++
				case err != nil || got != want.Hash:
					t.Errorf("HashKV(%d, %d) is %08x, %v; the member says %08x", gone, want.CompactRevision, got, err, want.Hash)
				default:
					equal++
				}
				return want
			}
			if want := compare(m); r.HashKV != want.Hash {
				t.Errorf("Inspect says %08x, the member %08x", r.HashKV, want.Hash)
			}
			m.put("/registry/pods/default/new", nil)
			m.compact(gone - 1)
			before := compare(m)
			m.compact(gone)
			after := compare(m)
			if before.CompactRevision != after.CompactRevision || before.Hash == after.Hash {
				t.Errorf("members no longer contradict each other: %+v, then %+v", before, after)
			}
			m.stop()
			compare(openMember(t, m.path))
		})
	}
	if equal < 5 || refused < 100 {
		t.Errorf("%d equal, %d refused", equal, refused)
	}
}

// etcd before 3.5.16 removes a tombstone at the compacted revision too. The
// newest record is then older than the revision of the cluster.
func TestHashKVWhereNewestRevisionIsCompacted(t *testing.T) {
	m := newMember(t)
	m.put("/registry/pods/default/a", []byte("x"))
	m.put("/registry/pods/default/b", []byte("x"))
	m.delete("/registry/pods/default/b")
	m.compact(4)
	snap := alter(t, m.snapshot(), func(tx backend.UnsafeReadWriter) {
		tombstone := mvcc.RevToBytes(mvcc.Revision{Main: 4}, mvcc.NewRevBytes())
		tx.UnsafeDelete(schema.Key, append(tombstone, 't'))
	})
	if r := agreesWithEtcdutl(t, snap); r.Revision != 2 || r.CompactRevision != 4 {
		t.Fatalf("revision %d, compacted at %d", r.Revision, r.CompactRevision)
	}
	live := openMember(t, writeFile(t, unsealed(snap)))
	want, now, err := live.kv.HashStorage().HashByRev(0)
	must(err)
	got, err := open(t, snap).HashKV(t.Context(), now, want.CompactRevision)
	if err != nil || got != want.Hash || now != 4 {
		t.Errorf("HashKV(%d, %d) is %08x, %v; the member says %08x", now, want.CompactRevision, got, err, want.Hash)
	}
}
