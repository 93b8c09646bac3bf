package dbfile_test

import "math/rand/v2"

// damageKinds change a sound db file in ways that keep most of it readable.
// Each is applied with several seeds; least is how often bbolt must complain
// for the comparison to be worth something.
var damageKinds = [...]struct {
	name  string
	apply func(image, *rand.Rand) bool // false: nothing there to damage
	least int
}{
	{"byte of a page header", flipHeader, 30},
	{"byte of an element table", flipTable, 10},
	{"byte of a key", flipKey, 20},
	{"zeroed page", zeroPage, 30},
	{"swapped pages", swapPages, 20},
	{"swapped pages, numbers put right", swapRenumbered, 15},
	{"child referenced twice", duplicateChild, 20},
	{"child out of range", strayChild, 20},
	{"neighbouring keys swapped", swapKeys, 20},
	{"bucket root of another bucket", shareRoot, 15},
	{"freelist names a page twice", duplicateFree, 20},
	{"freelist names a page in use", freeUsed, 20},
	{"freelist forgets a page", forgetFree, 20},
	{"freelist count", flipFreeCount, 20},
}

func anyPage(image, imagePage) bool { return true }

// pick returns a random page in use that wanted accepts.
func (m image) pick(rng *rand.Rand, wanted func(image, imagePage) bool) (imagePage, bool) {
	found := m.find(func(p imagePage) bool { return wanted(m, p) })
	if len(found) == 0 {
		return imagePage{}, false
	}
	return found[rng.IntN(len(found))], true
}

func flip(b []byte, rng *rand.Rand) { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8) }

func flipHeader(m image, rng *rand.Rand) bool {
	p, ok := m.pick(rng, anyPage)
	flip(p.b[:16], rng)
	return ok
}

func withElements(_ image, p imagePage) bool { return p.count() > 0 }

func flipTable(m image, rng *rand.Rand) bool {
	p, ok := m.pick(rng, withElements)
	if ok {
		flip(p.element(rng.IntN(p.count())), rng)
	}
	return ok
}

func flipKey(m image, rng *rand.Rand) bool {
	p, ok := m.pick(rng, withElements)
	if ok {
		flip(p.key(rng.IntN(p.count())), rng)
	}
	return ok
}

func zeroPage(m image, rng *rand.Rand) bool {
	p, ok := m.pick(rng, anyPage)
	clear(p.b[:m.pageSize()])
	return ok
}

// swapPages exchanges two pages as a misdirected write does.
func swapPages(m image, rng *rand.Rand) bool {
	a, _ := m.pick(rng, anyPage)
	b, _ := m.pick(rng, anyPage)
	x, y := a.b[:m.pageSize()], b.b[:m.pageSize()]
	for i := range x {
		x[i], y[i] = y[i], x[i]
	}
	return a.id != b.id
}

func swapRenumbered(m image, rng *rand.Rand) bool {
	single := func(_ image, p imagePage) bool { return len(p.b) == m.pageSize() }
	a, ok := m.pick(rng, single)
	b, _ := m.pick(rng, single)
	if !ok || a.id == b.id {
		return false
	}
	for i := range a.b {
		a.b[i], b.b[i] = b.b[i], a.b[i]
	}
	put64(a.b, a.id)
	put64(b.b, b.id)
	return true
}

func branches(_ image, p imagePage) bool { return p.kind() == branchPage }

func duplicateChild(m image, rng *rand.Rand) bool {
	p, ok := m.pick(rng, branches)
	if !ok {
		return false
	}
	i := rng.IntN(p.count())
	copy(p.child(i), p.child((i + 1) % p.count())[:8])
	return p.count() > 1
}

func strayChild(m image, rng *rand.Rand) bool {
	p, ok := m.pick(rng, branches)
	if ok {
		put64(p.child(rng.IntN(p.count())), m.pages()+rng.IntN(1000))
	}
	return ok
}

func swapKeys(m image, rng *rand.Rand) bool {
	p, ok := m.pick(rng, func(_ image, p imagePage) bool {
		return p.count() > 1 && len(p.key(0)) == len(p.key(1))
	})
	if !ok {
		return false
	}
	a, b := p.key(0), p.key(1)
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
	return true
}

func shareRoot(m image, rng *rand.Rand) bool {
	var roots [][]byte // in bucket headers
	m.walk(func(p imagePage) {
		for i := range p.count() {
			if p.kind() == leafPage && p.isBucket(i) && le.Uint64(p.value(i)) != 0 {
				roots = append(roots, p.value(i)[:8])
			}
		}
	})
	if len(roots) < 2 {
		return false
	}
	i := rng.IntN(len(roots) - 1)
	copy(roots[i], roots[i+1])
	return true
}

// free returns the freelist as entries of 8 bytes, nil if none is stored.
func (m image) free() (list imagePage, entries [][]byte) {
	if m.freelist() < 0 {
		return list, nil
	}
	list = m.page(m.freelist())
	for i := range list.count() {
		entries = append(entries, list.b[16+8*i:24+8*i])
	}
	return list, entries
}

// addFree adds a page to the freelist.
func (m image) addFree(id int) {
	list, free := m.free()
	put16(list.b[10:], len(free)+1)
	put64(list.b[16+8*len(free):], id)
}

func duplicateFree(m image, rng *rand.Rand) bool {
	_, free := m.free()
	if len(free) == 0 {
		return false
	}
	m.addFree(int(le.Uint64(free[rng.IntN(len(free))])))
	return true
}

func freeUsed(m image, rng *rand.Rand) bool {
	if m.freelist() < 0 {
		return false
	}
	p, _ := m.pick(rng, anyPage)
	m.addFree(p.id)
	return true
}

func forgetFree(m image, _ *rand.Rand) bool {
	list, free := m.free()
	if len(free) == 0 {
		return false
	}
	put16(list.b[10:], len(free)-1)
	return true
}

func flipFreeCount(m image, rng *rand.Rand) bool {
	list, free := m.free()
	if free == nil {
		return false
	}
	flip(list.b[10:12], rng)
	return true
}
