package dbfile

import (
	"encoding/binary"
)

// pageID numbers the pages of a file from 0, in units of the page size.
type pageID uint64

// Page layout as in internal/common/page.go of bbolt, little-endian.
const (
	pageHeaderSize = 16 // id u64, flags u16, count u16, overflow u32
	elementSize    = 16 // leaf: flags, pos, ksize, vsize u32; branch: pos, ksize u32, child u64
	bucketSize     = 16 // root u64, sequence u64; an inline page follows if root is 0

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	elementIsBucket = 0x01

	// maxRun bounds a page with its overflow pages. bbolt puts at most three
	// oversized values in one page and etcd supports requests of 10 MiB; a run
	// of 256 MiB leaves eight times that and is still affordable.
	maxRun = 256 << 20
)

type header struct {
	id       pageID
	flags    uint16
	count    uint16
	overflow uint32
}

func parseHeader(b []byte) header {
	le := binary.LittleEndian
	return header{
		id:       pageID(le.Uint64(b)),
		flags:    le.Uint16(b[8:]),
		count:    le.Uint16(b[10:]),
		overflow: le.Uint32(b[12:]),
	}
}

// page is a branch or leaf page whose element table has been checked: every
// element lies inside data, so that its accessors cannot go out of bounds.
type page struct {
	header
	data []byte // the whole run, header included
}

type element struct {
	key      []byte
	value    []byte // leaf only
	child    pageID // branch only
	isBucket bool   // leaf only
}

// parsePage checks header and element table of the run in data. where names
// the page in errors; an inline page is reported under the page it lies in.
func parsePage(where pageID, data []byte) (page, error) {
	if len(data) < pageHeaderSize {
		return page{}, corrupt(where, "page of %d bytes has no room for a header", len(data))
	}
	p := page{header: parseHeader(data), data: data}
	if p.flags != flagBranch && p.flags != flagLeaf {
		return page{}, corrupt(where, "type %#x is neither branch nor leaf", p.flags)
	}
	// bbolt writes keys and values back to back in the order of the table.
	// Requiring that shows a changed position that would still be in bounds.
	next := pageHeaderSize + elementSize*int(p.count)
	if next > len(data) {
		return page{}, corrupt(where, "%d elements do not fit", p.count)
	}
	le := binary.LittleEndian
	for i := range int(p.count) {
		at := pageHeaderSize + elementSize*i
		var pos, size uint64
		if p.flags == flagLeaf {
			if flags := le.Uint32(data[at:]); flags > elementIsBucket {
				return page{}, corrupt(where, "element %d has unknown flags %#x", i, flags)
			}
			pos = uint64(le.Uint32(data[at+4:]))
			size = uint64(le.Uint32(data[at+8:])) + uint64(le.Uint32(data[at+12:]))
		} else {
			pos = uint64(le.Uint32(data[at:]))
			size = uint64(le.Uint32(data[at+4:]))
		}
		start := uint64(at) + pos
		if start != uint64(next) {
			return page{}, corrupt(where, "element %d starts at byte %d instead of %d", i, start, next)
		}
		if start+size > uint64(len(data)) {
			return page{}, corrupt(where, "element %d ends at byte %d of %d", i, start+size, len(data))
		}
		next = int(start + size)
	}
	return p, nil
}

func (p page) isLeaf() bool { return p.flags == flagLeaf }

// element returns element i, which must be less than p.count. The slices point
// into the page and are valid until its buffer is used again.
func (p page) element(i int) element {
	le := binary.LittleEndian
	at := pageHeaderSize + elementSize*i
	e := p.data[at : at+elementSize]
	if p.isLeaf() {
		start := at + int(le.Uint32(e[4:]))
		k, v := int(le.Uint32(e[8:])), int(le.Uint32(e[12:]))
		return element{
			key:      p.data[start : start+k : start+k],
			value:    p.data[start+k : start+k+v : start+k+v],
			isBucket: le.Uint32(e)&elementIsBucket != 0,
		}
	}
	start, k := at+int(le.Uint32(e)), int(le.Uint32(e[4:]))
	return element{
		key:   p.data[start : start+k : start+k],
		child: pageID(le.Uint64(e[8:])),
	}
}

// bitmap marks pages; its size is bounded by the number of pages in the file.
type bitmap []uint64

func newBitmap(pages pageID) bitmap { return make(bitmap, (pages+63)/64) }

func (b bitmap) has(id pageID) bool { return b[id/64]&(1<<(id%64)) != 0 }

func (b bitmap) set(id pageID) { b[id/64] |= 1 << (id % 64) }
