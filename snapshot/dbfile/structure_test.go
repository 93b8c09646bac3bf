package dbfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

func TestSoundBoltFilesPass(t *testing.T) {
	checker := newBoltChecker(t)
	for _, shape := range boltShapes {
		t.Run(shape.name, func(t *testing.T) {
			db := buildBolt(t, shape, 1)
			path := writeFile(t, db)
			if verdict := checker.check(path); verdict != "ok" {
				t.Fatalf("bbolt says %s", verdict)
			}
			r := inspect(t, db)
			sameNumbers(t, r, path)
			sameBuckets(t, open(t, db), path)
		})
	}
}

// sameNumbers compares sizes and free pages with bbolt's.
func sameNumbers(t *testing.T, r *dbfile.Report, path string) {
	db := must1(bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true}))
	defer db.Close()
	tx := must1(db.Begin(false))
	defer func() { must(tx.Rollback()) }()
	if r.TotalSize != tx.Size() || r.PageSize != int64(db.Info().PageSize) {
		t.Errorf("%d bytes in pages of %d, want %d in pages of %d", r.TotalSize, r.PageSize, tx.Size(), db.Info().PageSize)
	}
	var free int64
	for id := range int(tx.Size()) / db.Info().PageSize {
		if page := must1(tx.Page(id)); page != nil && page.Type == "free" {
			free++
		}
	}
	if r.FreePages != free {
		t.Errorf("%d free pages, want %d", r.FreePages, free)
	}
}

// sameBuckets compares the content of every top-level bucket.
func sameBuckets(t *testing.T, f *dbfile.File, path string) {
	db := must1(bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true}))
	defer db.Close()
	must(db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			c := b.Cursor()
			wantKey, wantValue := c.First()
			err := f.ForEach(t.Context(), string(name), nil, func(k, v []byte) error {
				if !bytes.Equal(k, wantKey) || !bytes.Equal(v, wantValue) || (v == nil) != (wantValue == nil) {
					return fmt.Errorf("pair %.40q = %.40q, want %.40q = %.40q", k, v, wantKey, wantValue)
				}
				wantKey, wantValue = c.Next()
				return nil
			})
			if err != nil || wantKey != nil {
				t.Errorf("bucket %s: %v; next key of bbolt is %q", name, err, wantKey)
			}
			return nil
		})
	}))
}

// A snapshot stores no freelist, other db files do.
func TestFreelistDamageIsNamed(t *testing.T) {
	sound := buildBolt(t, boltShape{pageSize: 4096, buckets: 1, keys: 500, value: 100, deletes: 60}, 3)
	m := image{sound}
	_, free := m.free()
	first, last := int(le.Uint64(free[0])), int(le.Uint64(free[len(free)-1]))
	for _, c := range []struct {
		name   string
		damage func(m image, list imagePage)
		page   int
		want   string
	}{
		{"type", func(_ image, list imagePage) { put16(list.b[8:], leafPage) }, m.freelist(), "type 0x2 is no freelist"},
		{"count", func(_ image, list imagePage) { put16(list.b[10:], 600) }, m.freelist(), "freelist of 600 pages does not fit"},
		{"meta page", func(m image, _ imagePage) { m.addFree(1) }, m.freelist(), "freelist names page 1"},
		{"behind the end", func(m image, _ imagePage) { m.addFree(m.pages()) }, m.freelist(), "freelist names page"},
		{"twice", func(m image, _ imagePage) { m.addFree(first) }, first, "twice on the freelist"},
		{"in use", func(m image, _ imagePage) { m.addFree(m.root()) }, m.root(), "in use and on the freelist"},
		{"freelist itself", func(m image, _ imagePage) { m.addFree(m.freelist()) }, m.freelist(), "in use and on the freelist"},
		{"forgotten", func(_ image, list imagePage) { put16(list.b[10:], list.count()-1) }, last, "neither in use nor on the freelist"},
		{"page of the tree", func(m image, _ imagePage) { put64(m.meta()[32:], m.root()); m.fixMetas() }, m.root(), "is no freelist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := bytes.Clone(sound)
			c.damage(image{db}, image{db}.page(m.freelist()))
			_, err := open(t, db).Inspect(t.Context())
			isAt(t, err, c.page, c.want)
		})
	}
}

// A freelist of 65,535 pages or more has its length in the first entry.
func TestLongFreelist(t *testing.T) {
	db := buildBolt(t, boltShape{pageSize: 4096, buckets: 1, keys: 500, value: 100, deletes: 60}, 3)
	want := inspect(t, db).FreePages
	list, free := image{db}.free()
	for i := len(free) - 1; i >= 0; i-- {
		copy(list.b[24+8*i:], list.b[16+8*i:24+8*i])
	}
	put16(list.b[10:], 0xFFFF)
	put64(list.b[16:], len(free))
	if verdict := newBoltChecker(t).check(writeFile(t, db)); verdict != "ok" {
		t.Fatalf("bbolt says %s", verdict)
	}
	if got := inspect(t, db).FreePages; got != want || want == 0 {
		t.Errorf("%d free pages, want %d", got, want)
	}
	put64(list.b[16:], 511)
	_, err := open(t, db).Inspect(t.Context())
	isAt(t, err, list.id, "freelist of 511 pages does not fit")
}

// Whatever bbolt complains about, or dies of, must be an error here.
func TestDamageThatBoltSeesIsSeen(t *testing.T) {
	checker := newBoltChecker(t)
	var seen, bySelf [len(damageKinds)]int
	for _, shape := range boltShapes {
		db := buildBolt(t, shape, 2)
		for k, kind := range damageKinds {
			for seed := range uint64(4) {
				damaged := bytes.Clone(db)
				if !kind.apply(image{damaged}, seeded(seed)) {
					continue // the shape has no such thing
				}
				path := writeFile(t, damaged)
				verdict := checker.check(path)
				err := structureError(t, damaged)
				if verdict != "ok" && err == nil {
					t.Errorf("%s, %s, seed %d: passed, but bbolt says %s", shape.name, kind.name, seed, verdict)
				}
				var broken *dbfile.CorruptError
				if err != nil && !errors.As(err, &broken) {
					t.Errorf("%s, %s, seed %d: %v is no CorruptError", shape.name, kind.name, seed, err)
				}
				if verdict != "ok" {
					seen[k]++
				}
				if err != nil {
					bySelf[k]++
				}
			}
		}
	}
	for k, kind := range damageKinds {
		t.Logf("%-32s bbolt %3d, dbfile %3d", kind.name, seen[k], bySelf[k])
		if seen[k] < kind.least {
			t.Errorf("%s: bbolt complained %d times, want %d or more", kind.name, seen[k], kind.least)
		}
	}
}

func structureError(t *testing.T, db []byte) error {
	f, err := dbfile.Open(bytes.NewReader(db), int64(len(db)))
	if err != nil {
		return err
	}
	_, err = f.Inspect(t.Context())
	return err
}
