// Package dbfile reads etcd database files: snapshots as a member streams
// them, with or without the digest trailer, and copies of member/snap/db.
//
// The format is bbolt's (a copy-on-write B+tree of pages), holding etcd's
// buckets. The package is a reader of its own because the bytes cannot be
// trusted: it believes no length, offset or page number before it has checked
// it, never panics, never maps the file, never writes, and holds no more than
// one page run a tree level in memory. Whatever is wrong comes back as a
// [*CorruptError] that names the page where the structure tells it.
//
// [File.Digest] compares the bytes with the trailer, [File.Inspect] checks
// structure and records in one pass and returns everything etcdutl's status
// knows and more, [File.HashKV] computes what Maintenance.HashKV of a live
// member returns, and [File.ForEach] iterates over a bucket.
package dbfile

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

const (
	// DigestSize is the length in bytes of the SHA-256 trailer that a member
	// appends to a snapshot stream.
	DigestSize = sha256.Size

	// digestModulus tells a trailer from a page: a db is a whole number of
	// pages and every page size is a multiple of it, so a remainder of
	// DigestSize can only be a trailer. etcdutl uses the same rule.
	digestModulus = 512

	minPageSize = 1024
	maxPageSize = 16 << 20

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // bytes of the meta structure, checksum included

	noFreelist = ^pageID(0)
)

// ErrCorrupt is what every [*CorruptError] unwraps to.
var ErrCorrupt = errors.New("corrupt db file")

// ErrNoDigest says that a file carries no digest trailer, so its bytes cannot
// be proven: it is a copy of a data directory's db, or the trailer was lost.
var ErrNoDigest = errors.New("no digest trailer")

// CorruptError says what is wrong in a db file.
type CorruptError struct {
	Page   int64  // page where the damage shows; -1 where no page can be named
	Bucket string // top-level bucket being read; empty outside of one
	Record bool   // the structure holds, but an entry is not what etcd writes
	What   string
}

func (e *CorruptError) Error() string {
	s := e.What
	if e.Bucket != "" {
		s = fmt.Sprintf("bucket %q: %s", e.Bucket, s)
	}
	if e.Page >= 0 {
		s = fmt.Sprintf("page %d: %s", e.Page, s)
	}
	return s
}

func (e *CorruptError) Unwrap() error { return ErrCorrupt }

func corrupt(page pageID, format string, args ...any) error {
	return &CorruptError{Page: int64(page), What: fmt.Sprintf(format, args...)}
}

func corruptRecord(format string, args ...any) error {
	return &CorruptError{Page: -1, Record: true, What: fmt.Sprintf(format, args...)}
}

func corruptFile(format string, args ...any) error {
	return &CorruptError{Page: -1, What: fmt.Sprintf(format, args...)}
}

// File is an opened db file. It is safe for concurrent use if its reader is.
type File struct {
	r         io.ReaderAt
	dbSize    int64 // without the trailer
	hasDigest bool
	meta      meta
	metaErr   [2]error // why a meta page is not valid
	metas     [2]meta
}

// meta is bbolt's meta page (internal/common/meta.go of bbolt).
type meta struct {
	pageSize uint32
	root     pageID
	freelist pageID
	pages    pageID // high-water mark: the number of pages in use or free
	txid     uint64
}

// Open reads the meta pages of the db in the first size bytes of r.
// A file with no valid meta page is corrupt.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r, dbSize: size}
	if size%digestModulus == DigestSize {
		f.hasDigest = true
		f.dbSize -= DigestSize
	}
	if f.dbSize < 2*minPageSize {
		return nil, corruptFile("%d bytes are too few for an etcd db", size)
	}
	if err := f.readMetas(); err != nil {
		return nil, err
	}
	if err := f.checkExtent(); err != nil {
		return nil, err
	}
	return f, nil
}

// readMetas fills both meta pages and picks the newest valid one.
func (f *File) readMetas() error {
	f.metas[0], f.metaErr[0] = f.readMeta(0, 0)
	if f.metaErr[0] == nil {
		f.metas[1], f.metaErr[1] = f.readMeta(1, int64(f.metas[0].pageSize))
	} else {
		f.searchSecondMeta()
	}
	for i, err := range f.metaErr {
		var broken *CorruptError
		if err != nil && !errors.As(err, &broken) {
			return err
		}
		if err == nil && (f.meta.pageSize == 0 || f.metas[i].txid > f.meta.txid) {
			f.meta = f.metas[i]
		}
	}
	if f.meta.pageSize == 0 {
		return fmt.Errorf("no valid meta page, not an etcd db: %w", f.metaErr[0])
	}
	return nil
}

// searchSecondMeta looks for the second meta page behind a first page of every
// legal size, since a broken first meta does not tell its own.
func (f *File) searchSecondMeta() {
	for size := int64(minPageSize); size <= maxPageSize && size < f.dbSize; size *= 2 {
		m, err := f.readMeta(1, size)
		f.metas[1], f.metaErr[1] = m, err
		if err == nil && int64(m.pageSize) == size {
			return
		}
	}
	if f.metaErr[1] == nil {
		f.metaErr[1] = corrupt(1, "meta page is not where its page size says")
	}
}

func (f *File) readMeta(page pageID, off int64) (meta, error) {
	var b [pageHeaderSize + metaSize]byte
	if err := f.readAt(b[:], off); err != nil {
		return meta{}, err
	}
	h := parseHeader(b[:])
	le := binary.LittleEndian
	c := b[pageHeaderSize:]
	m := meta{
		pageSize: le.Uint32(c[8:]),
		root:     pageID(le.Uint64(c[16:])),
		freelist: pageID(le.Uint64(c[32:])),
		pages:    pageID(le.Uint64(c[40:])),
		txid:     le.Uint64(c[48:]),
	}
	sum := fnv.New64a()
	_, _ = sum.Write(c[:56]) // a hash never fails
	switch {
	case le.Uint32(c[0:]) != metaMagic:
		return m, corrupt(page, "meta page: wrong magic number %08x", le.Uint32(c[0:]))
	case le.Uint32(c[4:]) != metaVersion:
		return m, corrupt(page, "meta page: unknown version %d", le.Uint32(c[4:]))
	case le.Uint64(c[56:]) != sum.Sum64():
		return m, corrupt(page, "meta page: wrong checksum")
	case h.id != page || h.flags != flagMeta:
		return m, corrupt(page, "meta page: header says page %d, type %#x", h.id, h.flags)
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return m, corrupt(page, "meta page: impossible page size %d", m.pageSize)
	}
	return m, nil
}

// checkExtent ties the page numbers to the bytes that are there, so that no
// later allocation can exceed the file.
func (f *File) checkExtent() error {
	m := f.meta
	have := pageID(f.dbSize / int64(m.pageSize))
	switch {
	case m.pages < 3:
		return corruptFile("meta page: impossible number of pages %d", m.pages)
	case m.pages > have:
		return corrupt(have, "file ends here, meta page says that it has %d pages", m.pages)
	case m.root < 2 || m.root >= m.pages:
		return corruptFile("meta page: root page %d of %d", m.root, m.pages)
	case m.freelist != noFreelist && (m.freelist < 2 || m.freelist >= m.pages):
		return corruptFile("meta page: freelist page %d of %d", m.freelist, m.pages)
	}
	return nil
}

// Size is the length in bytes of the db itself, without a digest trailer.
func (f *File) Size() int64 { return f.dbSize }

// HasDigest tells whether the file ends in a digest trailer.
func (f *File) HasDigest() bool { return f.hasDigest }

// Trailer returns the digest trailer, or [ErrNoDigest].
func (f *File) Trailer() (digest [DigestSize]byte, err error) {
	if !f.hasDigest {
		return digest, ErrNoDigest
	}
	return digest, f.readAt(digest[:], f.dbSize)
}

// Digest reads the whole file and compares its SHA-256 with the trailer.
// A file without one is [ErrNoDigest]; a difference is a [*CorruptError].
func (f *File) Digest(ctx context.Context) error {
	want, err := f.Trailer()
	if err != nil {
		return err
	}
	h := sha256.New()
	buf := make([]byte, min(1<<20, f.dbSize))
	for off := int64(0); off < f.dbSize; off += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := buf[:min(int64(len(buf)), f.dbSize-off)]
		if err := f.readAt(chunk, off); err != nil {
			return err
		}
		_, _ = h.Write(chunk) // a hash never fails
	}
	if got := h.Sum(nil); [DigestSize]byte(got) != want {
		return corruptFile("SHA-256 is %x, the digest trailer says %x", got, want)
	}
	return nil
}

// CheckSnapshotForm verifies what holds for a snapshot stream but not for a
// live db: both meta pages are valid and one transaction apart with the same
// content, and the file ends with its last page.
// Readers fall back to the older meta page in silence; a snapshot that needs
// this was damaged.
func (f *File) CheckSnapshotForm() error {
	for _, err := range f.metaErr {
		if err != nil {
			return err
		}
	}
	a, b := f.metas[0], f.metas[1]
	if a.txid != b.txid+1 {
		return corrupt(1, "meta page: transaction %d beside %d is no snapshot's", b.txid, a.txid)
	}
	b.txid = a.txid
	if a != b {
		return corrupt(1, "meta page differs from meta page 0")
	}
	if want := int64(a.pages) * int64(a.pageSize); f.dbSize != want {
		return corruptFile("%d bytes of pages, meta page says %d", f.dbSize, want)
	}
	return nil
}

func (f *File) readAt(b []byte, off int64) error {
	n, err := f.r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == io.EOF || err == nil {
		return corruptFile("file ends at byte %d, expected %d", off+int64(n), off+int64(len(b)))
	}
	return fmt.Errorf("read db file: %w", err)
}
