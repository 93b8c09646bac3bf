package dbfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// collect returns the pairs of a bucket from key from on.
func collect(t *testing.T, f *dbfile.File, bucket string, from []byte) []pair {
	t.Helper()
	var pairs []pair
	err := f.ForEach(t.Context(), bucket, from, func(k, v []byte) error {
		pairs = append(pairs, pair{string(k), string(v)})
		return nil
	})
	if err != nil {
		t.Errorf("bucket %s: %v", bucket, err)
	}
	return pairs
}

func equalPairs(t *testing.T, what string, got, want []pair) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d pairs, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: pair %d is %.80q, want %.80q", what, i, got[i], want[i])
			return
		}
	}
}

func TestForEachReadsWhatEtcdReads(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := newMember(t)
			m.furnish()
			h := newHistory(m, seeded(seed))
			h.maxValue = 1 << h.rng.IntN(15)
			h.live(200)
			f := open(t, m.snapshot())
			for _, bucket := range schema.AllBuckets {
				equalPairs(t, bucket.String(), collect(t, f, bucket.String(), nil), pairsOf(m.be, bucket))
			}
		})
	}
}

func TestForEachStartsAnywhere(t *testing.T) {
	m := newMember(t)
	h := newHistory(m, seeded(7))
	h.live(500)
	f := open(t, m.snapshot())
	all := pairsOf(m.be, schema.Key)
	for range 100 {
		from := mvcc.RevToBytes(mvcc.Revision{Main: h.rng.Int64N(h.revision() + 3), Sub: h.rng.Int64N(3)}, mvcc.NewRevBytes())
		want := all
		for len(want) > 0 && want[0].key < string(from) {
			want = want[1:]
		}
		equalPairs(t, fmt.Sprintf("from %x", from), collect(t, f, "key", from), want)
	}
}

func TestForEachRecordIsTheHistory(t *testing.T) {
	m := newMember(t)
	h := newHistory(m, seeded(8))
	h.live(400)
	want := pairsOf(m.be, schema.Key)
	half := h.revision() / 2
	for len(want) > 0 && mvcc.BytesToRev([]byte(want[0].key)).Main < half {
		want = want[1:]
	}
	var tombstones, subs int
	err := open(t, m.snapshot()).ForEachRecord(t.Context(), half, func(r dbfile.Record) error {
		var kv mvccpb.KeyValue
		must(proto.Unmarshal([]byte(want[0].value), &kv))
		rev := mvcc.BytesToRev([]byte(want[0].key))
		if r.Main != rev.Main || r.Sub != rev.Sub || r.Tombstone != mvcc.IsTombstone([]byte(want[0].key)) {
			t.Errorf("record at %d.%d, tombstone %v; want %+v", r.Main, r.Sub, r.Tombstone, rev)
		}
		if !bytes.Equal(r.Key, kv.Key) || !bytes.Equal(r.Value, kv.Value) || r.CreateRevision != kv.CreateRevision ||
			r.ModRevision != kv.ModRevision || r.Version != kv.Version || r.Lease != kv.Lease {
			t.Errorf("record at %d.%d is %+v, want %+v", r.Main, r.Sub, r, &kv)
		}
		if r.Tombstone {
			tombstones++
		}
		if r.Sub > 0 {
			subs++
		}
		want = want[1:]
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("%d records were not visited, %v", len(want), err)
	}
	if tombstones < 20 || subs < 20 {
		t.Errorf("history has only %d tombstones and %d sub revisions", tombstones, subs)
	}
}

func TestForEachEndsEarly(t *testing.T) {
	m := newMember(t)
	newHistory(m, seeded(9)).live(50)
	f := open(t, m.snapshot())
	enough := errors.New("enough")
	n := 0
	err := f.ForEach(t.Context(), "key", nil, func(_, _ []byte) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("after %d pairs: %v", n, err)
	}
	err = f.ForEach(t.Context(), "keys", nil, func(_, _ []byte) error { return nil })
	if !errors.Is(err, dbfile.ErrNoBucket) {
		t.Errorf("missing bucket: %v", err)
	}
}

// The newest record of every key is what a range over all keys returns.
func TestForEachLiveIsTheKeySpace(t *testing.T) {
	for seed := range uint64(10) {
		m := newMember(t)
		h := newHistory(m, seeded(seed))
		h.live(150)
		rev := h.compactable(t)
		interrupted, _ := interruptCompaction(t, m.snapshot(), rev, 0.5)
		for _, snap := range [][]byte{m.snapshot(), interrupted} {
			all := must1(m.kv.Range(t.Context(), []byte{0}, []byte{}, mvcc.RangeOptions{}))
			want := make(map[string]*mvccpb.KeyValue)
			for _, kv := range all.KVs {
				want[string(kv.Key)] = kv
			}
			last := int64(0)
			err := open(t, snap).ForEachLive(t.Context(), func(r dbfile.Record) error {
				kv := want[string(r.Key)]
				if kv == nil || !sameFields(r, kv) || r.Main < last {
					t.Errorf("seed %d: record of %s at %d after %d, want %v", seed, r.Key, r.Main, last, kv)
				}
				delete(want, string(r.Key))
				last = r.Main
				return nil
			})
			if err != nil || len(want) > 0 {
				t.Errorf("seed %d: %d keys were not visited, %v", seed, len(want), err)
			}
		}
	}
}

// The marker of a revision bump is a record with no key, and alive to etcd.
func TestForEachLiveVisitsTheBumpMarker(t *testing.T) {
	m := newMember(t)
	m.put("/registry/pods/default/a", []byte("x"))
	db := must1(os.ReadFile(restoreWithBump(t, m.snapshot(), 1000)))
	var keys []string
	err := open(t, db).ForEachLive(t.Context(), func(r dbfile.Record) error {
		keys = append(keys, fmt.Sprintf("%d %s", r.Main, r.Key))
		return nil
	})
	if err != nil || !slices.Equal(keys, []string{"2 /registry/pods/default/a", "1002 "}) {
		t.Errorf("%q, %v", keys, err)
	}
}
