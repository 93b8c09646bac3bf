package dbfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// smallSnapshot is a snapshot of some twenty pages that has everything: a key
// bucket of several pages with a branch page and overflow pages, inline
// buckets, leases, tombstones, free pages.
func smallSnapshot(t testing.TB) []byte {
	m := newMember(t)
	m.furnish()
	h := newHistory(m, seeded(11))
	h.keys, h.maxValue = 30, 250
	for range 5 {
		h.grant()
	}
	for range 45 {
		h.write(1 + h.rng.IntN(2))
	}
	m.put(h.key(3), kubeValue(h.rng, 5000))
	m.compact(m.revision() / 3)
	must(m.be.Defrag())
	m.delete(h.key(7))
	m.delete(h.key(8))
	return m.snapshot()
}

// verdicts are the results of the checks that a snapshot has to pass.
type verdicts struct{ open, form, digest, inspect error }

func (v verdicts) all() []error { return []error{v.open, v.form, v.digest, v.inspect} }

func judge(t testing.TB, snap []byte) verdicts {
	f, err := dbfile.Open(bytes.NewReader(snap), int64(len(snap)))
	if err != nil {
		return verdicts{open: err}
	}
	_, err = f.Inspect(t.Context())
	return verdicts{form: f.CheckSnapshotForm(), digest: f.Digest(t.Context()), inspect: err}
}

// named tells whether a verdict says what is wrong: a CorruptError with words
// or, for the digest alone, that there is none.
func named(err error) bool {
	var broken *dbfile.CorruptError
	if errors.As(err, &broken) {
		return broken.What != "" && errors.Is(err, dbfile.ErrCorrupt)
	}
	return errors.Is(err, dbfile.ErrNoDigest)
}

// refused checks that damage was reported, by name, and returns whether
// structure showed it, with the page.
func refused(t *testing.T, v verdicts, format string, args ...any) (located bool) {
	t.Helper()
	what := func() string { return fmt.Sprintf(format, args...) }
	failed := false
	for _, err := range v.all() {
		if err != nil && !named(err) {
			t.Errorf("%s: %v (%T) names nothing", what(), err, err)
		}
		failed = failed || err != nil
	}
	if !failed {
		t.Errorf("%s: passed every check", what())
	}
	var broken *dbfile.CorruptError
	if errors.As(v.inspect, &broken) && broken.Page < 0 {
		t.Errorf("%s: %v names no page", what(), v.inspect)
	}
	return v.inspect != nil
}

// isAt checks that damage is described in these words and located.
func isAt(t *testing.T, err error, page int, words string) {
	t.Helper()
	var broken *dbfile.CorruptError
	if !errors.As(err, &broken) || broken.Page != int64(page) || !strings.Contains(broken.What, words) {
		t.Errorf("got %v, want page %d: %s", err, page, words)
	}
}

func TestSmallSnapshotIsSound(t *testing.T) {
	snap := smallSnapshot(t)
	if v := judge(t, snap); v != (verdicts{}) {
		t.Fatalf("%+v", v)
	}
	m := image{unsealed(snap)}
	leaves := m.find(func(p imagePage) bool { return p.kind() == leafPage })
	runs := m.find(func(p imagePage) bool { return len(p.b) > m.pageSize() })
	r := inspect(t, snap)
	if m.bucketRoot("key").kind() != branchPage || len(leaves) < 5 || len(runs) == 0 || r.FreePages == 0 || r.Leases != 5 {
		t.Errorf("%d leaf pages, %d with overflow, %d free pages, %d leases; key bucket of type %d",
			len(leaves), len(runs), r.FreePages, r.Leases, m.bucketRoot("key").kind())
	}
}

// Every byte of both meta pages, of the branch page and of a leaf page of the
// key bucket is changed, and a sample of all others, trailer included.
func TestEveryFlippedByteIsReported(t *testing.T) {
	snap := smallSnapshot(t)
	m := image{unsealed(snap)}
	branch := m.bucketRoot("key")
	leaf := m.page(int(le.Uint64(branch.child(1))))
	size := m.pageSize()
	var places []int
	for _, id := range []int{0, 1, branch.id, leaf.id} {
		for i := range size {
			places = append(places, id*size+i)
		}
	}
	rng := seeded(12)
	for range 2000 {
		places = append(places, rng.IntN(len(snap)))
	}
	for i := range dbfile.DigestSize {
		places = append(places, len(snap)-1-i)
	}
	located := 0
	for _, at := range places {
		change := byte(1) << rng.IntN(8)
		snap[at] ^= change
		if refused(t, judge(t, snap), "byte %d of page %d xor %#x", at%size, at/size, change) {
			located++
		}
		snap[at] ^= change
	}
	if v := judge(t, snap); v != (verdicts{}) {
		t.Fatalf("after all changes were undone: %+v", v)
	}
	if located < 500 { // most places are values and unused room
		t.Errorf("structure located only %d of %d", located, len(places))
	}
}

// Bytes that say how the tree hangs together are all checked by structure
// alone, without the help of the digest.
func TestStructuralBytesAreCheckedByStructure(t *testing.T) {
	db := unsealed(smallSnapshot(t))
	m := image{db}
	rng := seeded(13)
	check := func(what string, p imagePage, b []byte) {
		for i := range b {
			change := byte(1) << rng.IntN(8)
			b[i] ^= change
			f, err := dbfile.Open(bytes.NewReader(db), int64(len(db)))
			if err == nil {
				_, err = f.Inspect(t.Context())
			}
			b[i] ^= change
			var broken *dbfile.CorruptError
			if !errors.As(err, &broken) || broken.Page < 0 {
				t.Errorf("page %d, byte %d of %s xor %#x: %v", p.id, i, what, change, err)
			}
		}
	}
	m.walk(func(p imagePage) {
		check("header", p, p.b[:12]) // a longer overflow into free pages contradicts nothing
		last := p.count() - 1
		for i := range last { // the end of the last element has nothing behind it to disagree with
			check(fmt.Sprint("element ", i), p, p.element(i))
		}
		check("position of the last element", p, p.element(last)[:4])
	})
}

func TestEveryTruncationIsReported(t *testing.T) {
	snap := smallSnapshot(t)
	size := image{snap}.pageSize()
	var lengths []int
	for page := 0; page < len(snap); page += size {
		for _, n := range []int{0, 1, 15, 16, 80, 511, 512, 512 + dbfile.DigestSize, dbfile.DigestSize, size - 1} {
			if page+n < len(snap)-dbfile.DigestSize {
				lengths = append(lengths, page+n)
			}
		}
	}
	rng := seeded(14)
	for range 1000 {
		lengths = append(lengths, rng.IntN(len(snap)-dbfile.DigestSize))
	}
	for n := 1; n <= dbfile.DigestSize; n++ {
		lengths = append(lengths, len(snap)-n)
	}
	for _, n := range lengths {
		refused(t, judge(t, snap[:n]), "cut to %d of %d bytes", n, len(snap))
		if n%size == 0 && n < len(snap)-dbfile.DigestSize {
			// Sealed again, so that the digest is right: the meta page tells.
			if v := judge(t, seal(snap[:n])); v.open == nil || !named(v.open) {
				t.Errorf("cut to %d pages and sealed: %+v", n/size, v)
			}
		}
	}
	for _, extra := range []int{1, 31, 33, size} {
		refused(t, judge(t, append(bytes.Clone(snap), make([]byte, extra)...)), "%d bytes too many", extra)
	}
	v := judge(t, seal(append(unsealed(snap), make([]byte, size)...)))
	isAt(t, v.form, -1, "bytes of pages, meta page says")
}

func TestStrippedTrailer(t *testing.T) {
	snap := smallSnapshot(t)
	db := unsealed(snap)
	v := judge(t, db)
	if v.open != nil || v.form != nil || v.inspect != nil || !errors.Is(v.digest, dbfile.ErrNoDigest) {
		t.Errorf("%+v", v)
	}
	f := open(t, db)
	if _, err := f.Trailer(); f.HasDigest() || !errors.Is(err, dbfile.ErrNoDigest) {
		t.Errorf("trailer: %v", err)
	}
	whole := open(t, snap)
	if got, err := whole.Trailer(); err != nil || !bytes.Equal(got[:], snap[len(db):]) || whole.Size() != int64(len(db)) {
		t.Errorf("trailer %x, %v, of %d bytes", got, err, whole.Size())
	}
}

// A zeroed page is what an unwritten block looks like after a crash.
func TestZeroedPages(t *testing.T) {
	snap := smallSnapshot(t)
	size := image{snap}.pageSize()
	inUse := make(map[int]bool)
	image{snap}.walk(func(p imagePage) { inUse[p.id] = true })
	for id := range len(snap) / size {
		damaged := bytes.Clone(snap)
		clear(damaged[id*size : (id+1)*size])
		v := judge(t, damaged)
		refused(t, v, "page %d zeroed", id)
		if inUse[id] {
			isAt(t, v.inspect, id, "header says that it is page 0")
		}
	}
}
