package dbfile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// A keySet answers as a plain map does that remembers whole keys.
func TestKeySetAgainstMap(t *testing.T) {
	type state struct {
		main      int64
		tombstone bool
	}
	rng := rand.New(rand.NewPCG(1, 2))
	set, oracle := newKeySet(), make(map[string]state)
	key := func() string { return fmt.Sprintf("/registry/pods/namespace-%d/pod", rng.IntN(250_000)) }
	for main := int64(1); main <= 400_000; main++ {
		r := Record{Main: main, Key: []byte(key()), Tombstone: rng.IntN(3) == 0}
		set.put(r)
		oracle[string(r.Key)] = state{main, r.Tombstone}
	}
	if len(oracle) < 190_000 {
		t.Fatalf("only %d keys", len(oracle))
	}
	live := int64(0)
	for k, want := range oracle {
		main, tombstone, ok := set.newest([]byte(k))
		if !ok || main != want.main || tombstone != want.tombstone {
			t.Fatalf("%s: %d, tombstone %v, %v; want %+v", k, main, tombstone, ok, want)
		}
		if !want.tombstone {
			live++
		}
	}
	if got := set.live(); got != live {
		t.Errorf("%d live keys, want %d", got, live)
	}
	for range 100_000 {
		k := key() + "-never-seen"
		if main, _, ok := set.newest([]byte(k)); ok || main != 0 {
			t.Fatalf("%s was never put, found at %d", k, main)
		}
	}
}

func TestKeySetStaysSmall(t *testing.T) {
	// 256 shards are never smaller than this, whatever the number of keys.
	const fixed = 256 * firstSlots * unsafe.Sizeof(slot{})
	set := newKeySet()
	for n := 1; n <= 200_000; n++ {
		set.put(Record{Main: int64(n), Key: fmt.Append(nil, "key", n)})
		if n&(n-1) != 0 && n%9973 != 0 {
			continue
		}
		slots, used := 0, 0
		for _, s := range set.shards {
			slots += len(s.slots)
			used += s.used
		}
		if used != n {
			t.Errorf("%d keys take %d slots", n, used)
		}
		if size := uintptr(slots) * unsafe.Sizeof(slot{}); size > fixed+24*uintptr(n) {
			t.Errorf("%d keys take %d bytes, %d each", n, size, size/uintptr(n))
		}
	}
}

func TestKeySetHoldsAnyRevision(t *testing.T) {
	set := newKeySet()
	if _, _, ok := set.newest([]byte("a")); ok || set.live() != 0 {
		t.Error("an empty set knows a key")
	}
	for _, main := range []int64{0, 1, 1 << 61, 1 << 62, math.MaxInt64} {
		for _, tombstone := range []bool{true, false} {
			set.put(Record{Main: main, Key: []byte("a"), Tombstone: tombstone})
			got, dead, ok := set.newest([]byte("a"))
			if got != main || dead != tombstone || !ok {
				t.Errorf("put %d, tombstone %v; got %d, %v, %v", main, tombstone, got, dead, ok)
			}
			if alive := set.live() == 1; alive == tombstone {
				t.Errorf("at %d, tombstone %v: %d live keys", main, tombstone, set.live())
			}
		}
	}
}
