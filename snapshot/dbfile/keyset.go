package dbfile

import (
	"hash/maphash"
	"math/bits"
)

// keySet remembers, for each of many keys, the newest record seen: revision and
// whether it is a tombstone. It stores a 64-bit digest instead of the key, 16
// bytes a slot. Tables grow by a quarter and one shard at a time, so that a key
// costs 24 bytes at most. Two of 10 million keys share a digest once in 400,000
// runs; the seed differs each time, so such a run does not repeat itself.
type keySet struct {
	seed   maphash.Seed
	shards [256]shard
}

type shard struct {
	slots []slot
	used  int
}

type slot struct {
	digest uint64 // 0 is empty
	newest uint64 // main revision << 1 | tombstone; a main revision has 63 bits
}

// Probing gets long above five sixths full.
const (
	fullNumerator   = 5
	fullDenominator = 6
	firstSlots      = 16
)

func newKeySet() *keySet { return &keySet{seed: maphash.MakeSeed()} }

// put records r as the newest record of its key.
func (s *keySet) put(r Record) {
	h := s.hash(r.Key)
	shard := &s.shards[h>>56]
	if (shard.used+1)*fullDenominator > len(shard.slots)*fullNumerator {
		shard.grow()
	}
	slot := shard.find(h)
	if slot.digest == 0 {
		shard.used++
	}
	slot.digest = h
	slot.newest = uint64(r.Main) << 1
	if r.Tombstone {
		slot.newest |= 1
	}
}

// newest returns the revision of the newest record of key and whether it is a
// tombstone; ok is false if there is none.
func (s *keySet) newest(key []byte) (main int64, tombstone, ok bool) {
	h := s.hash(key)
	shard := &s.shards[h>>56]
	if len(shard.slots) == 0 {
		return 0, false, false
	}
	slot := shard.find(h)
	return int64(slot.newest >> 1), slot.newest&1 != 0, slot.digest != 0
}

// live counts the keys whose newest record is not a tombstone.
func (s *keySet) live() int64 {
	var n int64
	for _, shard := range s.shards {
		for _, slot := range shard.slots {
			if slot.digest != 0 && slot.newest&1 == 0 {
				n++
			}
		}
	}
	return n
}

func (s *keySet) hash(key []byte) uint64 {
	return max(1, maphash.Bytes(s.seed, key))
}

// find returns the slot of digest h, or the empty one where it belongs.
func (s *shard) find(h uint64) *slot {
	// The top byte chose the shard; the rest, scaled, chooses the slot.
	i, _ := bits.Mul64(h<<8, uint64(len(s.slots)))
	for s.slots[i].digest != 0 && s.slots[i].digest != h {
		if i++; i == uint64(len(s.slots)) {
			i = 0
		}
	}
	return &s.slots[i]
}

func (s *shard) grow() {
	old := s.slots
	s.slots = make([]slot, max(firstSlots, len(old)+len(old)/4))
	for _, o := range old {
		if o.digest != 0 {
			*s.find(o.digest) = o
		}
	}
}
