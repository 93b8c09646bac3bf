package dbfile_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

func TestOpenRefusesWhatIsNoDb(t *testing.T) {
	text := []byte(strings.Repeat("This is a text, not a database.\n", 500))
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, "0 bytes are too few for an etcd db"},
		{"less than two pages", make([]byte, 2047), "2047 bytes are too few"},
		{"a trailer only", make([]byte, 32), "32 bytes are too few"},
		{"zeros", make([]byte, 64<<10), "no valid meta page, not an etcd db: page 0: meta page: wrong magic number 00000000"},
		{"text", text, "no valid meta page, not an etcd db: page 0: meta page: wrong magic number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := dbfile.Open(bytes.NewReader(c.content), int64(len(c.content)))
			if !errors.Is(err, dbfile.ErrCorrupt) || !strings.Contains(err.Error(), c.want) || f != nil {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestMetaPages(t *testing.T) {
	snap := smallSnapshot(t)
	size := image{snap}.pageSize()
	for _, c := range []struct {
		name   string
		damage func(m0, m1 []byte) // from the page header on
		fix    bool                // the checksums afterwards
		page   int
		want   string
	}{
		{"magic", func(m0, _ []byte) { m0[16]++ }, true, 0, "meta page: wrong magic number"},
		{"version", func(m0, _ []byte) { m0[20]++ }, true, 0, "meta page: unknown version 3"},
		{"checksum", func(m0, _ []byte) { m0[72]++ }, false, 0, "meta page: wrong checksum"},
		{"number", func(m0, _ []byte) { m0[0] = 1 }, false, 0, "meta page: header says page 1, type 0x4"},
		{"type", func(_, m1 []byte) { m1[8] = leafPage }, false, 1, "meta page: header says page 1, type 0x2"},
		{"odd page size", func(m0, _ []byte) { put32(m0[24:], 4097) }, true, 0, "meta page: impossible page size 4097"},
		{"huge page size", func(m0, _ []byte) { put32(m0[24:], 1<<25) }, true, 0, "meta page: impossible page size 33554432"},
		{"second meta", func(_, m1 []byte) { m1[16]++ }, true, 1, "meta page: wrong magic number"},
		{"one transaction", func(m0, m1 []byte) { copy(m1[64:72], m0[64:72]) }, true, 1, "beside"},
		{"another root", func(_, m1 []byte) { m1[32]++ }, true, 1, "meta page differs from meta page 0"},
		{"another freelist", func(_, m1 []byte) { put64(m1[48:], 2) }, true, 1, "meta page differs from meta page 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := unsealed(snap)
			c.damage(db, db[size:])
			if c.fix {
				fixMeta(db)
				fixMeta(db[size:])
			}
			isAt(t, open(t, db).CheckSnapshotForm(), c.page, c.want)
		})
	}
}

// A live db whose newest meta page was torn is read at the transaction before.
func TestOpenFallsBackToTheOtherMeta(t *testing.T) {
	m := newMember(t)
	m.put("/registry/pods/default/a", nil)
	m.kv.Commit()
	m.put("/registry/pods/default/b", nil)
	db := m.stop()
	newest := image{db}.meta()
	before := inspect(t, db)
	newest[40]++
	after := inspect(t, db)
	if before.Revision != 3 || after.Revision != 2 {
		t.Errorf("revision %d before, %d after the newest meta page was torn", before.Revision, after.Revision)
	}
	for _, pageSize := range []int{1024, 4096, 65536} {
		db := buildBolt(t, boltShape{pageSize: pageSize, buckets: 1, keys: 20, value: 20}, 1)
		db[16]++ // the first meta, which alone tells the page size
		if r := inspect(t, db); r.PageSize != int64(pageSize) {
			t.Errorf("page size %d, want %d", r.PageSize, pageSize)
		}
	}
}

// A broken first meta page does not tell where the second one is. What looks
// like it elsewhere is not it.
func TestOpenBelievesNoMisplacedMeta(t *testing.T) {
	db := unsealed(smallSnapshot(t))
	copy(db[1024:], db[4096:4176])
	db[16]++
	if r := inspect(t, db); r.PageSize != 4096 {
		t.Errorf("page size %d", r.PageSize)
	}
	clear(db[4096:4176])
	_, err := dbfile.Open(bytes.NewReader(db), int64(len(db)))
	if !errors.Is(err, dbfile.ErrCorrupt) || !strings.Contains(err.Error(), "no valid meta page") {
		t.Errorf("got %v", err)
	}
}

func TestOpenChecksExtent(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(m image)
		want   string
	}{
		{"more pages than bytes", func(m image) { put64(m.meta()[40:], m.pages()+1) }, "file ends here, meta page says that it has"},
		{"pages without end", func(m image) { put64(m.meta()[40:], -1) }, "file ends here, meta page says that it has 18446744073709551615 pages"},
		{"no pages", func(m image) { put64(m.meta()[40:], 2) }, "impossible number of pages 2"},
		{"root is a meta page", func(m image) { put64(m.meta()[16:], 1) }, "root page 1 of"},
		{"root behind the end", func(m image) { put64(m.meta()[16:], m.pages()) }, "root page"},
		{"freelist is a meta page", func(m image) { put64(m.meta()[32:], 0) }, "freelist page 0 of"},
		{"freelist behind the end", func(m image) { put64(m.meta()[32:], -2) }, "freelist page 18446744073709551614"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := unsealed(smallSnapshot(t))
			c.damage(image{db})
			image{db}.fixMetas()
			_, err := dbfile.Open(bytes.NewReader(db), int64(len(db)))
			if !errors.Is(err, dbfile.ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// brokenReader fails once with an error of the medium, at the nth read.
type brokenReader struct {
	r    io.ReaderAt
	fine int
}

var errMedium = errors.New("input/output error")

func (b *brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if b.fine--; b.fine == -1 {
		return 0, errMedium
	}
	return b.r.ReadAt(p, off)
}

// A disk that cannot be read is not a damaged file.
func TestReadErrorsAreNotDamage(t *testing.T) {
	snap := smallSnapshot(t)
	read := func(r io.ReaderAt) error {
		f, err := dbfile.Open(r, int64(len(snap)))
		if err != nil {
			return err
		}
		report, err := f.Inspect(t.Context())
		if err != nil {
			return err
		}
		if _, err := f.HashKV(t.Context(), report.Revision, report.CompactRevision); err != nil {
			return err
		}
		return f.Digest(t.Context())
	}
	reads := 0
	for ; ; reads++ {
		broken := &brokenReader{r: bytes.NewReader(snap), fine: reads}
		err := read(broken)
		if broken.fine >= 0 {
			break // this read was never made
		}
		if !errors.Is(err, errMedium) || errors.Is(err, dbfile.ErrCorrupt) {
			t.Errorf("read %d fails: %v", reads, err)
		}
	}
	if reads < 50 {
		t.Errorf("only %d reads", reads)
	}
}

// A file that is shorter than it was said to be ends somewhere.
func TestFileShorterThanAnnounced(t *testing.T) {
	snap := smallSnapshot(t)
	for n := 0; n < len(snap); n += 1111 {
		f, err := dbfile.Open(bytes.NewReader(snap[:n]), int64(len(snap)))
		if err == nil {
			err = f.Digest(t.Context())
		}
		if !errors.Is(err, dbfile.ErrCorrupt) || !strings.Contains(err.Error(), "file ends at byte") {
			t.Errorf("%d bytes: %v", n, err)
		}
		if f == nil {
			continue
		}
		if _, err := f.Inspect(t.Context()); !named(err) || !strings.Contains(err.Error(), "page ") {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
