package dbfile

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrNotComparable is returned by [File.HashKV] where the file does not hold
// what the hash is made of.
var ErrNotComparable = errors.New("not comparable")

// HashKV computes what Maintenance.HashKV of a live member returns for revision
// when it answers with compactRevision: a CRC-32C over the records of the key
// bucket, leaving out what the compaction removes or will remove
// (server/storage/mvcc/hash.go of etcd).
//
// The file must hold the records: [ErrNotComparable] unless the file's own
// compact revision <= compactRevision <= revision <= the file's revision.
// It is also returned where members contradict each other, see ambiguous.
func (f *File) HashKV(ctx context.Context, revision, compactRevision int64) (uint32, error) {
	c, err := f.Content(ctx)
	if err != nil {
		return 0, err
	}
	last, err := f.lastRevision(ctx)
	if err != nil {
		return 0, err
	}
	last = max(last, 1, c.CompactRevision)    // a cluster begins at 1; the newest record can be compacted away
	compactRevision = max(compactRevision, 0) // a member says -1 before its first compaction
	if compactRevision < c.CompactRevision || revision < compactRevision || last < revision {
		return 0, fmt.Errorf("%w: the snapshot holds revisions %d to %d, the hash is over %d to %d",
			ErrNotComparable, c.CompactRevision, last, compactRevision, revision)
	}
	h, err := f.newKVHash(ctx, c, revision, compactRevision)
	if err != nil {
		return 0, err
	}
	err = f.ForEach(ctx, BucketKey, nil, func(key, value []byte) error {
		r, err := ParseRecord(key, value)
		if err != nil {
			return err
		}
		h.add(r, key, value)
		return nil
	})
	if err == nil && h.ambiguous() {
		err = fmt.Errorf("%w: no key is live at revision %d, answers depend on the progress of compaction", ErrNotComparable, revision)
	}
	if err != nil {
		return 0, err
	}
	return h.sum(), nil
}

// lastRevision returns the newest main revision, 0 if there are no records.
func (f *File) lastRevision(ctx context.Context) (int64, error) {
	where, key, err := f.lastKey(ctx, BucketKey)
	if err != nil || key == nil {
		return 0, err
	}
	r, err := parseRevision(key)
	return r.Main, inBucket([]byte(BucketKey), atPage(where, err))
}

// errStop ends an iteration early.
var errStop = errors.New("stop")

// kvHash is the running hash. etcd keeps a record at or below the compact
// revision only if it is its key's newest at or below the hashed revision and
// no tombstone, and drops that rule where no key is live.
type kvHash struct {
	revision, compact int64
	superseded        *keySet // newest records above the finished compaction; nil without a compaction

	filtered, all uint32
	anyLive       bool
}

// newKVHash collects the keys changed since the finished compaction, which is
// where a key can have more than one record.
func (f *File) newKVHash(ctx context.Context, c *Content, revision, compact int64) (*kvHash, error) {
	seed := crc32.Checksum([]byte(BucketKey), castagnoli)
	h := &kvHash{revision: revision, compact: compact, filtered: seed, all: seed}
	if compact == 0 {
		return h, nil
	}
	h.superseded = newKeySet()
	err := f.ForEach(ctx, BucketKey, revisionKey(c.FinishedCompact+1), func(key, value []byte) error {
		r, err := ParseRecord(key, value)
		if err == nil && r.Main > revision {
			err = errStop
		}
		if err != nil {
			return err
		}
		h.superseded.put(r)
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return h, err
}

// add hashes record r with its raw key and value.
func (h *kvHash) add(r Record, key, value []byte) {
	if r.Main > h.revision {
		return
	}
	if r.Tombstone && r.Main == h.compact {
		return // removed by some versions, kept by others, hashed by none
	}
	h.all = update(h.all, key, value)
	if !h.isNewest(r) {
		if r.Main <= h.compact {
			return
		}
	} else if !r.Tombstone {
		h.anyLive = true
	} else if r.Main <= h.compact {
		return
	}
	h.filtered = update(h.filtered, key, value)
}

func (h *kvHash) isNewest(r Record) bool {
	if h.superseded == nil {
		return true
	}
	main, _, ok := h.superseded.newest(r.Key)
	return !ok || main == r.Main
}

func (h *kvHash) sum() uint32 {
	if h.superseded != nil && h.anyLive {
		return h.filtered
	}
	return h.all
}

// ambiguous tells that one pair of revisions has several answers: no key is
// live, so etcd hashes whatever its compaction has left so far, and when it
// answers from its cache the rule is not dropped.
func (h *kvHash) ambiguous() bool {
	return h.superseded != nil && !h.anyLive && h.all != h.filtered
}

func update(crc uint32, key, value []byte) uint32 {
	return crc32.Update(crc32.Update(crc, castagnoli, key), castagnoli, value)
}
