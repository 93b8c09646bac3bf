package storagetest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/etcdha/etcdha/storage"
)

var putChecks = []check{
	{"an object comes back as it was put", comesBack},
	{"an empty object is an object", emptyObject},
	{"an object of several parts comes back whole", severalParts},
	{"a reader may be mistaken about its size", mistakenSize},
	{"an element may have 255 characters", longElement},
	{"a key may have 700 bytes", longKey},
	{"an object is never overwritten", neverOverwritten},
	{"of many puts of one key exactly one wins", oneWinner},
	{"many keys can be put at once", manyKeys},
	{"an object is not there before its Put has returned", notThereBefore},
}

func comesBack(t testing.TB, s storage.Store) {
	put(t, s, aKey, content(1, 100_000))
	holds(t, s, aKey, content(1, 100_000))
	holds(t, s, aKey, content(1, 100_000)) // reading takes nothing away

	const beside = "default/cdf818194e3a8c32-0f1e2d3c/snapshots/20261120T235211Z-r42-ab12/manifest.json"
	put(t, s, beside, iotest.OneByteReader(strings.NewReader("{}")))
	holds(t, s, beside, strings.NewReader("{}"))
	put(t, s, "top_level-1.json", iotest.DataErrReader(strings.NewReader("the last bytes come with io.EOF")))
	holds(t, s, "top_level-1.json", strings.NewReader("the last bytes come with io.EOF"))
}

func emptyObject(t testing.TB, s storage.Store) {
	put(t, s, aKey, strings.NewReader(""))
	holds(t, s, aKey, strings.NewReader(""))
}

func severalParts(t testing.TB, s storage.Store) {
	const size = 20 << 20
	put(t, s, aKey, content(1, size))
	holds(t, s, aKey, content(1, size))
}

// sized says how much it yields, and may be mistaken.
type sized struct {
	io.Reader
	max int64
}

func (s sized) MaxSize() int64 { return s.max }

func mistakenSize(t testing.TB, s storage.Store) {
	const size = 2*part + 1
	for i, said := range []int64{0, 1, size - 1, size, size + 1, 64 << 30} {
		key := fmt.Sprintf("sized/%d", i)
		put(t, s, key, sized{content(byte(i), size), said})
		holds(t, s, key, content(byte(i), size))
	}
}

func longElement(t testing.TB, s storage.Store) {
	key := strings.Repeat("k", 255) + "/" + strings.Repeat("l", 255)
	put(t, s, key, content(1, 10))
	holds(t, s, key, content(1, 10))
}

func longKey(t testing.TB, s storage.Store) {
	key := strings.Repeat("k", 255) + "/" + strings.Repeat("l", 255) + "/" + strings.Repeat("m", 188)
	put(t, s, key, content(1, 10))
	holds(t, s, key, content(1, 10))
	remove(t, s, key)
	empty(t, s, key)
}

func neverOverwritten(t testing.TB, s storage.Store) {
	put(t, s, aKey, content(1, 1000))
	for _, second := range []io.Reader{content(2, 500), content(1, 1000), strings.NewReader("")} {
		if err := s.Put(t.Context(), aKey, second); !errors.Is(err, storage.ErrExist) {
			t.Errorf("second put: %v; want %v", err, storage.ErrExist)
		}
		holds(t, s, aKey, content(1, 1000))
	}
}

// racers put one key at the same time.
const racers = 16

func oneWinner(t testing.TB, s storage.Store) {
	const size = 256 << 10
	errs := make([]error, racers)
	inParallel(racers, func(i int) {
		errs[i] = s.Put(t.Context(), aKey, content(byte(i), size))
	})
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("puts %d and %d have both won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, storage.ErrExist):
			t.Errorf("put %d: %v; want %v", i, err, storage.ErrExist)
		}
	}
	if winner < 0 {
		t.Fatal("no put has won")
	}
	holds(t, s, aKey, content(byte(winner), size))
}

func manyKeys(t testing.TB, s storage.Store) {
	const keys = 16
	key := func(i int) string { return fmt.Sprintf("new/directory/%d/%d/object", i%4, i) }
	errs := make([]error, keys)
	inParallel(keys, func(i int) {
		errs[i] = s.Put(t.Context(), key(i), content(byte(i), 1000))
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("put %s: %v", key(i), err)
			continue
		}
		holds(t, s, key(i), content(byte(i), 1000))
	}
}

// inParallel calls f with 0 to n-1, all at the same time.
func inParallel(n int, f func(i int)) {
	start := make(chan struct{})
	var racing sync.WaitGroup
	for i := range n {
		racing.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	racing.Wait()
}

func notThereBefore(t testing.TB, s storage.Store) {
	watched := &watch{t: t, s: s, r: content(1, 2*part)}
	put(t, s, aKey, watched)
	if !watched.ended {
		t.Error("Put has returned before its reader ended")
	}
	holds(t, s, aKey, content(1, 2*part))
}

// watch looks at the store whenever it is read, last when it yields io.EOF.
type watch struct {
	t     testing.TB
	s     storage.Store
	r     io.Reader
	n     int64
	shown int64 // n at the last look
	ended bool
}

func (w *watch) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.ended = err == io.EOF
	w.n += int64(n)
	if w.ended || w.n-w.shown >= part/4 {
		w.shown = w.n
		w.look()
	}
	return n, err
}

// look may be called from a goroutine of the adapter, so that it must not be fatal.
func (w *watch) look() {
	for o, err := range w.s.List(w.t.Context(), "") {
		if err != nil {
			w.t.Errorf("list after %d bytes: %v", w.n, err)
		} else {
			w.t.Errorf("after %d bytes %s is listed with %d", w.n, o.Key, o.Size)
		}
	}
	absent(w.t, w.s, aKey)
}
