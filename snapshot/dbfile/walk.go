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

// freePages checks a stored freelist against the pages that a complete walk
// has reached, and returns the number of free pages. Without a stored
// freelist, as in every snapshot, what is not reached is free by definition.
func (w *walk) freePages() (int64, error) {
	f := w.file
	freed := newBitmap(f.meta.pages)
	if f.meta.freelist != noFreelist {
		if err := w.readFreelist(freed); err != nil {
			return 0, err
		}
	}
	var free int64
	for id := pageID(2); id < f.meta.pages; id++ {
		switch {
		case w.reached.has(id) && freed.has(id):
			return 0, corrupt(id, "in use and on the freelist")
		case !w.reached.has(id):
			if f.meta.freelist != noFreelist && !freed.has(id) {
				return 0, corrupt(id, "neither in use nor on the freelist")
			}
			free++
		}
	}
	return free, nil
}

func (w *walk) readFreelist(freed bitmap) error {
	at := w.file.meta.freelist
	var buf []byte
	data, err := w.file.readRun(at, &buf)
	if err != nil {
		return err
	}
	h := parseHeader(data)
	if h.flags != flagFreelist {
		return corrupt(at, "type %#x is no freelist", h.flags)
	}
	if err := w.reach(at, h.overflow); err != nil {
		return err
	}
	le := binary.LittleEndian
	ids, count := data[pageHeaderSize:], uint64(h.count)
	if h.count == 0xFFFF { // too many for the header: the first entry is the number
		count, ids = le.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return corrupt(at, "freelist of %d pages does not fit", count)
	}
	for i := range count {
		id := pageID(le.Uint64(ids[i*8:]))
		if id < 2 || id >= w.file.meta.pages {
			return corrupt(at, "freelist names page %d", id)
		}
		if freed.has(id) {
			return corrupt(id, "twice on the freelist")
		}
		freed.set(id)
	}
	return nil
}

// ErrNoBucket is returned by [File.ForEach] for a bucket that is not there.
var ErrNoBucket = errors.New("no such bucket")

// ForEach calls fn for every pair of a top-level bucket in key order, starting
// at the first key not below from. The slices are valid only during the call.
// An error from fn ends the iteration and is returned as it is.
func (f *File) ForEach(ctx context.Context, bucket string, from []byte, fn func(key, value []byte) error) error {
	w := f.newWalk(ctx, visitor{})
	where, header, err := w.find(bucket)
	if err != nil {
		return err
	}
	return inBucket([]byte(bucket), w.bucket(where, header, from, 0, fn))
}

// find returns a copy of the header of a top-level bucket, with the inline
// page if it has one, and the page where it lies.
func (w *walk) find(bucket string) (where pageID, header []byte, err error) {
	err = w.tree(w.file.meta.root, bounds{}, nil, 0, func(id pageID, e element, _ int) error {
		if string(e.key) == bucket && e.isBucket {
			where, header = id, bytes.Clone(e.value)
		}
		return nil
	})
	if err == nil && header == nil {
		err = ErrNoBucket
	}
	return where, header, err
}

// lastKey returns the highest key of a top-level bucket and the page where it
// lies, nil if the bucket is empty or not there, reading one page a level.
func (f *File) lastKey(ctx context.Context, bucket string) (pageID, []byte, error) {
	w := f.newWalk(ctx, visitor{})
	where, header, err := w.find(bucket)
	if errors.Is(err, ErrNoBucket) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	where, key, err := w.rightmost(where, header)
	return where, bytes.Clone(key), inBucket([]byte(bucket), atPage(where, err))
}

func (w *walk) rightmost(where pageID, header []byte) (pageID, []byte, error) {
	if len(header) < bucketSize {
		return where, nil, corrupt(where, "bucket header of %d bytes", len(header))
	}
	var p page
	var err error
	if root := pageID(binary.LittleEndian.Uint64(header)); root != 0 {
		p, err = w.read(root, 0)
		for depth := 1; err == nil; depth++ {
			where = root
			if p.isLeaf() || p.count == 0 {
				break
			}
			root = p.element(int(p.count) - 1).child
			p, err = w.read(root, depth)
		}
	} else {
		p, err = parsePage(where, header[bucketSize:])
	}
	if err != nil || !p.isLeaf() || p.count == 0 {
		return where, nil, err
	}
	return where, p.element(int(p.count) - 1).key, nil
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
