package dbfile_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// craft returns a db that bbolt would never write: valid meta pages, and the
// given pages from page 2 on, which is the root. Nothing is a freelist.
func craft(pages ...[]byte) []byte {
	const size = 4096
	db := make([]byte, 2*size)
	for _, p := range pages {
		id := len(db) / size
		put64(p, id)
		db = append(db, p...)
		db = append(db, make([]byte, -len(p)&(size-1))...)
		put32(db[id*size+12:], len(db)/size-id-1)
	}
	for i, meta := range [][]byte{db, db[size:]} {
		put64(meta, i)
		put16(meta[8:], 4)
		put32(meta[16:], 0xED0CDAED)
		put32(meta[20:], 2)
		put32(meta[24:], size)
		put64(meta[32:], 2)
		put64(meta[48:], -1)
		put64(meta[56:], len(db)/size)
		put64(meta[64:], 2-i)
		fixMeta(meta)
	}
	return db
}

// leafOf returns a leaf page with one element.
func leafOf(flags int, key string, value []byte) []byte {
	p := make([]byte, 32, 33+len(value))
	put16(p[8:], leafPage)
	put16(p[10:], 1)
	put32(p[16:], flags)
	put32(p[20:], 16)
	put32(p[24:], len(key))
	put32(p[28:], len(value))
	return append(append(p, key...), value...)
}

// branchTo returns a branch page with one child.
func branchTo(key string, child int) []byte {
	p := make([]byte, 32)
	put16(p[8:], branchPage)
	put16(p[10:], 1)
	put32(p[16:], 16)
	put32(p[20:], len(key))
	put64(p[24:], child)
	return append(p, key...)
}

// bucketAt returns a bucket header; root 0 needs an inline page behind it.
func bucketAt(root int) []byte {
	b := make([]byte, 16)
	put64(b, root)
	return b
}

// inlineBuckets returns the root page of a db with n buckets, each inside the
// one before, in time and space proportional to n.
func inlineBuckets(n int) []byte {
	const level = 16 + 16 + 16 + 1 // bucket header, page header, element, key
	innermost := leafOf(0, "k", nil)
	outermost := leafOf(1, "b", make([]byte, (n-1)*level+16+len(innermost)))
	p := outermost[33:]
	for left := n - 1; left > 0; left-- {
		copy(p[16:], leafOf(1, "b", nil))
		put32(p[16+28:], (left-1)*level+16+len(innermost))
		p = p[level:]
	}
	copy(p[16:], innermost)
	return outermost
}

func TestNestingIsBounded(t *testing.T) {
	for _, levels := range []int{1, 30} { // the structure holds
		_, err := open(t, craft(inlineBuckets(levels))).Inspect(t.Context())
		isAt(t, err, 2, `no bucket "key", not an etcd db`)
	}
	for _, levels := range []int{50, 1000, 300_000} {
		_, err := open(t, craft(inlineBuckets(levels))).Inspect(t.Context())
		isAt(t, err, 2, "buckets nested deeper than 40 levels")
	}

	var branches, buckets [][]byte
	for id := 3; id < 60; id++ {
		branches = append(branches, branchTo("a", id))
		buckets = append(buckets, leafOf(1, "a", bucketAt(id)))
	}
	leaf := leafOf(0, "a", nil)
	_, err := open(t, craft(append(branches, leaf)...)).Inspect(t.Context())
	isAt(t, err, 42, "tree deeper than 40 levels")
	_, err = open(t, craft(append(buckets, leaf)...)).Inspect(t.Context())
	isAt(t, err, 42, "tree deeper than 40 levels")
}

// What a file says about lengths costs nothing before it has been checked.
func TestHostileLengthsCostNothing(t *testing.T) {
	freelist := func(count int) []byte {
		p := make([]byte, 32)
		put16(p[8:], freelistPage)
		put16(p[10:], 0xFFFF)
		put64(p[16:], count)
		return p
	}
	changed := func(db []byte, change func(db []byte)) []byte {
		change(db)
		image{db}.fixMetas()
		return db
	}
	for _, c := range []struct {
		name string
		db   []byte
		page int
		want string
	}{
		{"overflow", changed(craft(leafOf(1, "a", bucketAt(2))), func(db []byte) { put32(db[2*4096+12:], -1) }), 2, "4294967295 overflow pages reach behind"},
		{"elements", changed(craft(leafOf(0, "a", nil)), func(db []byte) { put16(db[2*4096+10:], -1) }), 2, "65535 elements do not fit"},
		{"value of one byte too many", changed(craft(leafOf(0, "a", nil)), func(db []byte) { put32(db[2*4096+28:], 4096-33+1) }), 2, "element 0 ends at byte 4097 of 4096"},
		{"value", changed(craft(leafOf(0, "a", nil)), func(db []byte) { put32(db[2*4096+28:], -1) }), 2, "ends at byte"},
		{"bucket in no bytes", craft(leafOf(1, "key", nil)), 2, "bucket header of 0 bytes"},
		{"bucket in few bytes", craft(leafOf(1, "key", make([]byte, 15))), 2, "bucket header of 15 bytes"},
		{"inline page in no bytes", craft(leafOf(1, "key", make([]byte, 16))), 2, "page of 0 bytes has no room for a header"},
		{"pair outside of buckets", craft(leafOf(0, "key", nil)), 2, `key "key" outside of any bucket`},
		{"bucket that is the root", craft(leafOf(1, "key", bucketAt(2))), 2, "referenced more than once"},
		{"freelist", changed(craft(make([]byte, 4096), freelist(-1)), func(db []byte) {
			put16(db[2*4096+8:], leafPage)
			put64(db[48:], 3)
			put64(db[4096+48:], 3)
		}), 3, "freelist of 18446744073709551615 pages does not fit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := open(t, c.db).Inspect(context.Background())
			runtime.ReadMemStats(&after)
			isAt(t, err, c.page, c.want)
			if cost := after.TotalAlloc - before.TotalAlloc; cost > 1<<20 {
				t.Errorf("%d bytes were allocated for a file of %d", cost, len(c.db))
			}
		})
	}
}

// sparse is a large file of zeros behind its first bytes.
type sparse struct{ head []byte }

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	return len(p), nil
}

var _ io.ReaderAt = sparse{}

func TestPageRunIsBounded(t *testing.T) {
	const size = 1 << 30
	head := craft(leafOf(1, "key", bucketAt(3)), leafOf(0, "a", nil))
	put64(head[56:], size/4096)
	fixMeta(head)
	for _, c := range []struct {
		overflow int
		want     string
	}{
		{1000, "revision key of 1 bytes"}, // is read
		{65536, "268439552 bytes in one page run are more than etcd can write"},
		{1 << 18, "262144 overflow pages reach behind the end of the file"},
	} {
		put32(head[3*4096+12:], c.overflow)
		f, err := dbfile.Open(sparse{head}, size)
		must(err)
		_, err = f.Inspect(t.Context())
		isAt(t, err, 3, c.want)
	}
}

func TestHostileNamesAreAbbreviated(t *testing.T) {
	name := string(bytes.Repeat([]byte("\x1b[31m"), 10_000))
	_, err := open(t, craft(leafOf(1, name, nil))).Inspect(t.Context())
	if msg := fmt.Sprint(err); len(msg) > 500 || bytes.ContainsRune([]byte(msg), '\x1b') {
		t.Errorf("%d characters: %.100q", len(msg), msg)
	}
}
