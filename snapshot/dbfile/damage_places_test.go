package dbfile_test

import (
	"errors"
	"testing"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// places of smallSnapshot that the table below damages.
type places struct {
	image
	root   imagePage // of the file: a leaf with the buckets
	branch imagePage // of the key bucket
	leaf   imagePage // the second of the key bucket
	last   imagePage // the last of the key bucket
}

func placesIn(db []byte) places {
	m := image{db}
	branch := m.bucketRoot("key")
	return places{
		image:  m,
		root:   m.page(m.root()),
		branch: branch,
		leaf:   m.page(int(le.Uint64(branch.child(1)))),
		last:   m.page(int(le.Uint64(branch.child(branch.count() - 1)))),
	}
}

func put16(b []byte, v int) { le.PutUint16(b, uint16(v)) }
func put32(b []byte, v int) { le.PutUint32(b, uint32(v)) }
func put64(b []byte, v int) { le.PutUint64(b, uint64(v)) }

// Each place of the structure, damaged alone, is reported by Inspect in words
// that name it, at its page. The digest plays no part.
func TestDamageIsNamedAndLocated(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(places) (page int)
		want   string
	}{
		{"name of the key bucket", func(m places) int {
			_, i := m.bucket("key")
			m.root.key(i)[2] = 'z'
			return m.root.id
		}, `no bucket "key"`},
		{"page number", func(m places) int { put64(m.leaf.b, 999); return m.leaf.id }, "header says that it is page 999"},
		{"page type", func(m places) int { put16(m.leaf.b[8:], 3); return m.leaf.id }, "type 0x3 is neither branch nor leaf"},
		{"leaf as branch", func(m places) int { put16(m.leaf.b[8:], branchPage); return m.leaf.id }, "element 0 starts at byte"},
		{"meta page in the tree", func(m places) int { put16(m.leaf.b[8:], 4); return m.leaf.id }, "type 0x4 is neither branch nor leaf"},
		{"one element less", func(m places) int { put16(m.leaf.b[10:], m.leaf.count()-1); return m.leaf.id }, "element 0 starts at byte"},
		{"too many elements", func(m places) int { put16(m.leaf.b[10:], 256); return m.leaf.id }, "256 elements do not fit"},
		{"no children", func(m places) int { put16(m.branch.b[10:], 0); return m.branch.id }, "branch page without children"},
		{"no elements", func(m places) int { put16(m.leaf.b[10:], 0); return m.leaf.id }, "empty leaf page below a branch page"},
		{"overflow behind the end", func(m places) int { put32(m.leaf.b[12:], 1000); return m.leaf.id }, "1000 overflow pages reach behind the end of the file"},

		{"position", func(m places) int { m.leaf.element(2)[4]++; return m.leaf.id }, "element 2 starts at byte"},
		{"position in a branch", func(m places) int { m.branch.element(1)[0]--; return m.branch.id }, "element 1 starts at byte"},
		{"key size", func(m places) int { m.leaf.element(0)[8]++; return m.leaf.id }, "element 1 starts at byte"},
		{"value size", func(m places) int { m.leaf.element(0)[12]--; return m.leaf.id }, "element 1 starts at byte"},
		{"last value size", func(m places) int { put32(m.leaf.element(m.leaf.count() - 1)[12:], 1<<30); return m.leaf.id }, "ends at byte"},
		{"key and value sizes that overflow", func(m places) int {
			last := m.leaf.element(m.leaf.count() - 1)
			put32(last[8:], 1<<32-1)
			put32(last[12:], 1<<32-1)
			return m.leaf.id
		}, "ends at byte"},
		{"flags", func(m places) int { m.leaf.element(1)[0] = 2; return m.leaf.id }, "element 1 has unknown flags 0x2"},

		{"keys out of order", func(m places) int { copy(m.leaf.key(1), m.leaf.key(0)); return m.leaf.id }, "key 1 is not above the one before it"},
		{"branch keys out of order", func(m places) int { copy(m.branch.key(1), m.branch.key(2)); return m.branch.id }, "key 2 is not above the one before it"},
		{"key below its parent's", func(m places) int { clear(m.leaf.key(0)[:8]); return m.leaf.id }, "first key is below its parent's"},
		{"key of a later page", func(m places) int { m.leaf.key(m.leaf.count() - 1)[0] = 1; return m.leaf.id }, "belongs on a later page"},

		{"child twice", func(m places) int { copy(m.branch.child(0), m.branch.child(1)[:8]); return m.leaf.id }, "belongs on a later page"},
		{"child that is an ancestor", func(m places) int { put64(m.branch.child(1), m.branch.id); return m.branch.id }, "referenced more than once"},
		{"child that is the root", func(m places) int { put64(m.branch.child(1), m.root.id); return m.root.id }, "referenced more than once"},
		{"child behind the end", func(m places) int { put64(m.branch.child(1), m.pages()); return m.branch.id }, "the file has pages 2 to"},
		{"child that is a meta page", func(m places) int { put64(m.branch.child(1), 1); return m.branch.id }, "reference to page 1"},
		{"last child behind the end", func(m places) int {
			put64(m.branch.child(m.branch.count()-1), -1)
			return m.branch.id
		}, "reference to page 18446744073709551615"},

		{"bucket flag lost", func(m places) int { m.root.element(0)[0] = 0; return m.root.id }, "outside of any bucket"},
		{"record as bucket", func(m places) int { m.leaf.element(1)[0] = 1; return m.leaf.id }, "reference to page"},
		{"bucket root behind the end", func(m places) int {
			_, i := m.bucket("key")
			put64(m.root.value(i), m.pages())
			return m.root.id
		}, "reference to page"},
		{"inline bucket that is a branch", func(m places) int {
			_, i := m.bucket("meta")
			put16(m.root.value(i)[16+8:], branchPage)
			return m.root.id
		}, "element 0 starts at byte"},
		{"inline bucket with overflow", func(m places) int {
			_, i := m.bucket("meta")
			put32(m.root.value(i)[16+12:], 1)
			return m.root.id
		}, "inline bucket is no single leaf page"},
		{"inline bucket with too much", func(m places) int {
			_, i := m.bucket("meta")
			put16(m.root.value(i)[16+10:], 200)
			return m.root.id
		}, "200 elements do not fit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := unsealed(smallSnapshot(t))
			page := c.damage(placesIn(db))
			err := judge(t, db).inspect
			isAt(t, err, page, c.want)
			if isRecord(err) {
				t.Errorf("%v is said to be in a record", err)
			}
			if v := judge(t, seal(db)); v.digest != nil || v.form != nil || v.inspect == nil {
				t.Errorf("sealed after the damage: %+v", v)
			}
		})
	}
}

// Where the tree holds but an entry is not what etcd writes, the error says so.
func TestDamagedRecordsAreNamedAndLocated(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(places) (page int)
		want   string
	}{
		{"separator in a revision key", func(m places) int { m.leaf.key(m.leaf.count() - 1)[8] = '-'; return m.leaf.id }, "is no revision key"},
		{"negative sub revision", func(m places) int { m.leaf.key(m.leaf.count() - 1)[9] = 0x80; return m.leaf.id }, "is no revision key"},
		{"last revision key", func(m places) int { m.last.key(m.last.count() - 1)[8] = '-'; return m.last.id }, "is no revision key"},
		{"protobuf tag", func(m places) int { m.leaf.value(0)[0] = 0x7a; return m.leaf.id }, "is no key-value: "},
		{"wire type", func(m places) int { m.leaf.value(0)[0] = 0x0d; return m.leaf.id }, "is no key-value: protobuf field 1 of type 5"},
		{"length in a record", func(m places) int { m.leaf.value(0)[1] = 0x7f; return m.leaf.id }, "is no key-value: "},
		{"another record's value", func(m places) int {
			a, b := m.leaf.key(0), m.leaf.key(1)
			a[16], b[16] = 1, b[16]+2 // other sub revisions are no contradiction, another main is
			b[7]++
			return m.leaf.id
		}, "carries another modification revision"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := unsealed(smallSnapshot(t))
			page := c.damage(placesIn(db))
			err := judge(t, db).inspect
			isAt(t, err, page, c.want)
			if !isRecord(err) {
				t.Errorf("%v is not said to be in a record", err)
			}
		})
	}
}

func isRecord(err error) bool {
	e, ok := errors.AsType[*dbfile.CorruptError](err)
	return ok && e.Record
}
