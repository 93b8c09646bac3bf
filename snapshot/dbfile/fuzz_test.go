package dbfile_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	bolt "go.etcd.io/bbolt"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// repage copies a db into the smallest pages that there are, so that a fuzzer
// has few bytes to change for much structure.
func repage(t testing.TB, snap []byte, noFreelist bool) []byte {
	from := must1(bolt.Open(writeFile(t, unsealed(snap)), 0o600, &bolt.Options{ReadOnly: true}))
	defer from.Close()
	path := filepath.Join(t.TempDir(), "db")
	to := must1(bolt.Open(path, 0o600, &bolt.Options{PageSize: 1024, NoFreelistSync: noFreelist, NoSync: true}))
	defer to.Close()
	must(bolt.Compact(to, from, 1<<20))
	var b bytes.Buffer
	must(to.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(&b)
		return err
	}))
	return b.Bytes()
}

// tinySnapshots returns real dbs of a few kilobytes.
func tinySnapshots(t testing.TB) [][]byte {
	var snaps [][]byte
	for seed := range uint64(3) {
		m := newMember(t)
		h := newHistory(m, seeded(seed))
		h.keys, h.maxValue = 6, 80
		h.grant()
		for range 20 {
			h.write(1)
		}
		m.delete(h.key(1))
		if seed > 0 {
			m.furnish()
			m.compact(m.revision() / 2)
		}
		snap := m.snapshot()
		snaps = append(snaps, repage(t, snap, true), seal(repage(t, snap, false)))
		if seed == 2 {
			interrupted, _ := interruptCompaction(t, snap, m.revision()-2, 0.5)
			snaps = append(snaps, repage(t, interrupted, true))
		}
	}
	return snaps
}

// repairMetas makes the checksums of the meta pages right, which a fuzzer has
// no way to do, so that it gets behind them.
func repairMetas(db []byte) {
	if len(db) < 2048 {
		return
	}
	fixMeta(db)
	size := uint64(image{db}.pageSize())
	if size >= 1024 && size+80 <= uint64(len(db)) {
		fixMeta(db[size:])
	}
}

func FuzzFile(f *testing.F) {
	for i, db := range tinySnapshots(f) {
		f.Add(db)
		for _, kind := range damageKinds {
			damaged := bytes.Clone(db)
			if kind.apply(image{damaged}, seeded(uint64(i))) {
				f.Add(damaged)
			}
		}
	}
	f.Add(craft(inlineBuckets(30)))
	f.Add(craft(branchTo("a", 3), leafOf(1, "key", bucketAt(2))))
	f.Fuzz(func(t *testing.T, db []byte) {
		db = bytes.Clone(db)
		repairMetas(db)
		examine(t, db)
	})
}

// meter counts the bytes that are read.
type meter struct {
	r    io.ReaderAt
	read int64
}

func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	m.read += int64(len(p))
	return m.r.ReadAt(p, off)
}

// bounded checks that an operation reads no more than some walks need, each of
// which reads a page once, and that an error is a known one.
func (m *meter) bounded(t *testing.T, what string, db []byte, err error) {
	t.Helper()
	if limit := 12*int64(len(db)) + 4096; m.read > limit {
		t.Errorf("%s read %d bytes of a file of %d", what, m.read, len(db))
	}
	m.read = 0
	if err != nil && !named(err) && !errors.Is(err, dbfile.ErrNotComparable) && !errors.Is(err, dbfile.ErrNoBucket) {
		t.Errorf("%s: %v (%T)", what, err, err)
	}
}

// examine does with a file whatever can be done. Nothing panics, everything
// ends, and what passes is consistent with itself.
func examine(t *testing.T, db []byte) {
	m := &meter{r: bytes.NewReader(db)}
	f, err := dbfile.Open(m, int64(len(db)))
	m.bounded(t, "Open", db, err)
	if err != nil {
		return
	}
	m.bounded(t, "CheckSnapshotForm", db, f.CheckSnapshotForm())
	m.bounded(t, "Digest", db, f.Digest(t.Context()))
	r, broken := f.Inspect(t.Context())
	m.bounded(t, "Inspect", db, broken)
	var records, leases int64
	err = f.ForEachRecord(t.Context(), 0, func(r dbfile.Record) error { records++; return nil })
	m.bounded(t, "ForEachRecord", db, err)
	err = f.ForEachLease(t.Context(), func(l dbfile.Lease) error { leases++; return nil })
	m.bounded(t, "ForEachLease", db, err)
	if broken != nil {
		_, err := f.HashKV(t.Context(), 30, 10)
		m.bounded(t, "HashKV", db, err)
		return
	}
	hash, err := f.HashKV(t.Context(), r.Revision, r.CompactRevision)
	m.bounded(t, "HashKV", db, err)
	if err == nil && hash != r.HashKV {
		t.Errorf("HashKV is %08x, Inspect says %08x", hash, r.HashKV)
	}
	if records != r.Records || leases != int64(r.Leases) {
		t.Errorf("%d records and %d leases, Inspect says %d and %d", records, leases, r.Records, r.Leases)
	}
	if r.TotalKeys < 0 || r.TotalKeys > r.Records || r.FreePages < 0 || r.SizeInUse < 3*r.PageSize || r.TotalSize > int64(len(db)) {
		t.Errorf("impossible numbers in %+v", r)
	}
}

func FuzzParseRecord(f *testing.F) {
	put := &mvccpb.KeyValue{Key: []byte("k"), Value: []byte("value"), CreateRevision: 3, ModRevision: 5, Version: 2, Lease: 9}
	f.Add(revisionKey(5, 0, false), must1(proto.Marshal(put)))
	f.Add(revisionKey(5, 1, true), must1(proto.Marshal(&mvccpb.KeyValue{Key: []byte("k")})))
	f.Add(revisionKey(7, 0, false), []byte{})
	f.Add([]byte("7"), []byte("\x0a\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := dbfile.ParseRecord(key, value)
		if err != nil {
			if !named(err) {
				t.Errorf("%v (%T)", err, err)
			}
			return
		}
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			t.Fatalf("etcd cannot read what was accepted: %v", err)
		}
		if !sameFields(r, &kv) {
			t.Errorf("got %+v, etcd reads %+v", r, &kv)
		}
		if !bytes.Equal(key, revisionKey(r.Main, r.Sub, r.Tombstone)) {
			t.Errorf("key %x was read as %d.%d, tombstone %v", key, r.Main, r.Sub, r.Tombstone)
		}
		again, err := dbfile.ParseRecord(key, must1(proto.Marshal(&kv)))
		if err != nil || !sameFields(again, &kv) {
			t.Errorf("written again: %+v, %v", again, err)
		}
	})
}
