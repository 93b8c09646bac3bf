package dbfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
)

// maxDepth bounds nested pages and buckets. bbolt splits pages so that each
// holds two keys or more: 40 levels would need more pages than any disk has.
const maxDepth = 40

// checkEvery is how many pages are read between two looks at the context.
const checkEvery = 1024

// visitor is called for what a walk finds. The slices are valid only during
// the call.
type visitor struct {
	// bucket is called before the pairs of each top-level bucket; false skips it.
	bucket func(name []byte) (bool, error)
	// pair is called in key order. value is nil for a nested bucket.
	pair func(key, value []byte) error
}

// walk reads B+trees with every check that bbolt's Tx.Check makes on them:
// page numbers in range and used once, page types, elements in bounds, keys in
// order within and across pages, inline and nested buckets.
type walk struct {
	ctx     context.Context
	file    *File
	visit   visitor
	reached bitmap
	pages   int // pages read
	buffers [maxDepth][]byte
}

func (f *File) newWalk(ctx context.Context, v visitor) *walk {
	return &walk{ctx: ctx, file: f, visit: v, reached: newBitmap(f.meta.pages)}
}

// bounds limits the keys of a subtree: min is inclusive, max exclusive, nil is
// unbounded.
type bounds struct{ min, max []byte }

// buckets walks all top-level buckets.
func (w *walk) buckets() error {
	return w.tree(w.file.meta.root, bounds{}, nil, 0, func(where pageID, e element, depth int) error {
		if !e.isBucket {
			return corrupt(where, "key %q outside of any bucket", abbreviate(e.key))
		}
		wanted, err := w.visit.bucket(e.key)
		if err != nil || !wanted {
			return err
		}
		return inBucket(e.key, w.bucket(where, e.value, nil, depth, w.visit.pair))
	})
}

// bucket walks the bucket with the given header value, calling pair for its
// pairs from key from on.
func (w *walk) bucket(where pageID, value, from []byte, depth int, pair func(k, v []byte) error) error {
	if len(value) < bucketSize {
		return corrupt(where, "bucket header of %d bytes", len(value))
	}
	leaf := func(where pageID, e element, depth int) error {
		if !e.isBucket {
			if bytes.Compare(e.key, from) < 0 {
				return nil
			}
			return pair(e.key, e.value)
		}
		if err := w.bucket(where, e.value, nil, depth, func(_, _ []byte) error { return nil }); err != nil {
			return err
		}
		return pair(e.key, nil)
	}
	root := pageID(binary.LittleEndian.Uint64(value))
	if root != 0 {
		return atPage(where, w.tree(root, bounds{}, from, depth+1, leaf))
	}
	if depth >= maxDepth { // inline buckets take no page each to nest
		return corrupt(where, "buckets nested deeper than %d levels", maxDepth)
	}
	p, err := parsePage(where, value[bucketSize:])
	if err != nil {
		return err
	}
	if !p.isLeaf() || p.overflow != 0 {
		return corrupt(where, "inline bucket is no single leaf page")
	}
	return w.leaf(where, p, bounds{}, depth+1, leaf)
}

type leafFunc func(where pageID, e element, depth int) error

// tree walks the subtree at id, leaving out pages whose keys all lie before from.
func (w *walk) tree(id pageID, b bounds, from []byte, depth int, leaf leafFunc) error {
	p, err := w.read(id, depth)
	if err != nil {
		return err
	}
	if p.isLeaf() {
		return w.leaf(id, p, b, depth, leaf)
	}
	if p.count == 0 {
		return corrupt(id, "branch page without children")
	}
	var previous []byte
	for i := range int(p.count) { // before any child is blamed for a wrong key here
		key := p.element(i).key
		if err := checkOrder(id, i, key, previous, b); err != nil {
			return err
		}
		previous = key
	}
	for i := range int(p.count) {
		e := p.element(i)
		child := bounds{min: e.key, max: b.max}
		if i+1 < int(p.count) {
			child.max = p.element(i + 1).key
		}
		if from != nil && child.max != nil && bytes.Compare(child.max, from) <= 0 {
			continue
		}
		if err := w.tree(e.child, child, from, depth+1, leaf); err != nil {
			return atPage(id, err)
		}
	}
	return nil
}

func (w *walk) leaf(where pageID, p page, b bounds, depth int, visit leafFunc) error {
	if p.count == 0 && b.min != nil {
		return corrupt(where, "empty leaf page below a branch page")
	}
	var previous []byte
	for i := range int(p.count) {
		e := p.element(i)
		if err := checkOrder(where, i, e.key, previous, b); err != nil {
			return err
		}
		previous = e.key
		if err := visit(where, e, depth); err != nil {
			return atPage(where, err)
		}
	}
	return nil
}

func checkOrder(where pageID, i int, key, previous []byte, b bounds) error {
	if i > 0 && bytes.Compare(previous, key) >= 0 {
		return corrupt(where, "key %d is not above the one before it", i)
	}
	if i == 0 && b.min != nil && bytes.Compare(key, b.min) < 0 {
		return corrupt(where, "first key is below its parent's")
	}
	if b.max != nil && bytes.Compare(key, b.max) >= 0 {
		return corrupt(where, "key %d belongs on a later page", i)
	}
	return nil
}

// read returns page id with its overflow pages and marks them as reached. The
// page is valid until the next read at the same depth.
func (w *walk) read(id pageID, depth int) (page, error) {
	if depth >= maxDepth {
		return page{}, corrupt(id, "tree deeper than %d levels", maxDepth)
	}
	w.pages++
	if w.pages%checkEvery == 0 {
		if err := w.ctx.Err(); err != nil {
			return page{}, err
		}
	}
	data, err := w.file.readRun(id, &w.buffers[depth])
	if err != nil {
		return page{}, err
	}
	p, err := parsePage(id, data)
	if err != nil {
		return page{}, err
	}
	return p, w.reach(id, p.overflow)
}

func (w *walk) reach(id pageID, overflow uint32) error {
	for i := id; i <= id+pageID(overflow); i++ {
		if w.reached.has(i) {
			return corrupt(i, "referenced more than once")
		}
		w.reached.set(i)
	}
	return nil
}

// readRun reads page id and its overflow pages into *buf, growing it as
// needed, after checking that all of them exist.
func (f *File) readRun(id pageID, buf *[]byte) ([]byte, error) {
	if id < 2 || id >= f.meta.pages {
		return nil, corruptFile("reference to page %d, the file has pages 2 to %d", id, f.meta.pages-1)
	}
	size := int(f.meta.pageSize)
	if len(*buf) < size {
		*buf = make([]byte, size)
	}
	off := int64(id) * int64(size)
	if err := f.readAt((*buf)[:size], off); err != nil {
		return nil, atPage(id, err)
	}
	h := parseHeader(*buf)
	if h.id != id {
		return nil, corrupt(id, "header says that it is page %d", h.id)
	}
	if h.overflow == 0 {
		return (*buf)[:size], nil
	}
	if pageID(h.overflow) >= f.meta.pages-id {
		return nil, corrupt(id, "%d overflow pages reach behind the end of the file", h.overflow)
	}
	run := (int64(h.overflow) + 1) * int64(size)
	if run > maxRun {
		return nil, corrupt(id, "%d bytes in one page run are more than etcd can write", run)
	}
	if int64(len(*buf)) < run {
		grown := make([]byte, run)
		copy(grown, (*buf)[:size])
		*buf = grown
	}
	return (*buf)[:run], atPage(id, f.readAt((*buf)[size:run], off+int64(size)))
}

// inBucket adds the bucket's name to damage found in it.
func inBucket(name []byte, err error) error {
	if e, ok := errors.AsType[*CorruptError](err); ok && e.Bucket == "" {
		e.Bucket = string(abbreviate(name))
	}
	return err
}

// atPage adds the page to damage found in a record, which does not know it.
func atPage(where pageID, err error) error {
	if e, ok := errors.AsType[*CorruptError](err); ok && e.Page < 0 {
		e.Page = int64(where)
	}
	return err
}

// abbreviate keeps hostile names from flooding an error.
func abbreviate(b []byte) []byte {
	return b[:min(len(b), 64)]
}
