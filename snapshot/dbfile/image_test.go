package dbfile_test

import (
	"encoding/binary"
	"hash/fnv"
)

var le = binary.LittleEndian

// Page types of bbolt.
const (
	branchPage   = 1
	leafPage     = 2
	freelistPage = 16
)

// image reads and changes the bytes of a db file that is sound to begin with.
// It knows bbolt's format independently of the package under test.
type image struct{ b []byte }

func (m image) pageSize() int { return int(le.Uint32(m.b[16+8:])) }

// meta returns the meta page in force.
func (m image) meta() []byte {
	a, b := m.b[16:80], m.b[m.pageSize()+16:m.pageSize()+80]
	if le.Uint64(b[48:]) > le.Uint64(a[48:]) {
		return b
	}
	return a
}

func (m image) root() int     { return int(le.Uint64(m.meta()[16:])) }
func (m image) pages() int    { return int(le.Uint64(m.meta()[40:])) }
func (m image) freelist() int { return int(int64(le.Uint64(m.meta()[32:]))) } // -1 is none

// fixMetas makes the checksums of both meta pages right again.
func (m image) fixMetas() {
	fixMeta(m.b)
	fixMeta(m.b[m.pageSize():])
}

func fixMeta(page []byte) {
	sum := fnv.New64a()
	sum.Write(page[16:72])
	le.PutUint64(page[72:], sum.Sum64())
}

// page returns page id with its overflow pages.
func (m image) page(id int) imagePage {
	at := id * m.pageSize()
	run := 1 + int(le.Uint32(m.b[at+12:]))
	return imagePage{id, m.b[at : at+run*m.pageSize()]}
}

type imagePage struct {
	id int
	b  []byte
}

func (p imagePage) kind() int  { return int(le.Uint16(p.b[8:])) }
func (p imagePage) count() int { return int(le.Uint16(p.b[10:])) }

// element returns entry i of the table.
func (p imagePage) element(i int) []byte { return p.b[16+16*i : 32+16*i] }

func (p imagePage) isBucket(i int) bool { return le.Uint32(p.element(i)) == 1 }

// at returns where the key of element i starts in the page.
func (p imagePage) at(i int) int {
	if p.kind() == branchPage {
		return 16 + 16*i + int(le.Uint32(p.element(i)))
	}
	return 16 + 16*i + int(le.Uint32(p.element(i)[4:]))
}

func (p imagePage) key(i int) []byte {
	size := p.element(i)[8:]
	if p.kind() == branchPage {
		size = p.element(i)[4:]
	}
	return p.b[p.at(i):][:le.Uint32(size)]
}

// value returns the value of element i of a leaf page.
func (p imagePage) value(i int) []byte {
	return p.b[p.at(i)+len(p.key(i)):][:le.Uint32(p.element(i)[12:])]
}

// child returns the page number in element i of a branch page.
func (p imagePage) child(i int) []byte { return p.element(i)[8:] }

// walk calls visit for every page that is in use, parents first.
func (m image) walk(visit func(imagePage)) { m.subtree(m.root(), visit) }

func (m image) subtree(id int, visit func(imagePage)) {
	p := m.page(id)
	visit(p)
	for i := range p.count() {
		if p.kind() == branchPage {
			m.subtree(int(le.Uint64(p.child(i))), visit)
		} else if p.isBucket(i) && le.Uint64(p.value(i)) != 0 {
			m.subtree(int(le.Uint64(p.value(i))), visit)
		}
	}
}

// find returns the pages in use for which wanted is true.
func (m image) find(wanted func(imagePage) bool) []imagePage {
	var found []imagePage
	m.walk(func(p imagePage) {
		if wanted(p) {
			found = append(found, p)
		}
	})
	return found
}

// bucket returns the page and the element where a top-level bucket lies.
func (m image) bucket(name string) (imagePage, int) {
	root := m.page(m.root())
	for i := range root.count() {
		if string(root.key(i)) == name {
			return root, i
		}
	}
	panic("no bucket " + name)
}

// bucketRoot returns the root page of a top-level bucket that has one.
func (m image) bucketRoot(name string) imagePage {
	p, i := m.bucket(name)
	return m.page(int(le.Uint64(p.value(i))))
}
