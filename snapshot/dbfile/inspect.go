package dbfile

import (
	"context"
	"errors"
)

// Report is everything that one pass over a db file tells.
type Report struct {
	Content

	// The values of etcdutl snapshot status.
	Hash      uint32 // CRC-32C over every bucket name, key and value in order
	Revision  int64  // main revision of the last record
	TotalKeys int64  // live keys, counted as etcdutl 3.6 and later do
	TotalSize int64  // bytes

	HashKV    uint32 // at Revision and CompactRevision
	Records   int64  // records in the key bucket, tombstones included
	Values    Values
	SizeInUse int64 // bytes of TotalSize in pages that are not free
	PageSize  int64
	FreePages int64
}

// CurrentRevision is the revision that a member is at when it has this db. It
// is not below 1, where a cluster begins, nor below the compaction, which may
// have removed the newest record.
func (r *Report) CurrentRevision() int64 { return max(r.Revision, r.CompactRevision, 1) }

// Inspect checks the complete structure and every record of the file, and
// returns what it holds. It stops at the first damage, as a [*CorruptError].
// It does not look at the digest trailer: changed bytes inside a value or a
// free page have no structure to break and show only in [File.Digest].
func (f *File) Inspect(ctx context.Context) (*Report, error) {
	content, err := f.Content(ctx)
	if err != nil {
		return nil, err
	}
	i := &inspection{
		file:   f,
		seen:   make(map[string]bool),
		report: Report{Content: *content, TotalSize: int64(f.meta.pages) * int64(f.meta.pageSize), PageSize: int64(f.meta.pageSize)},
	}
	if err := i.prepare(ctx); err != nil {
		return nil, err
	}
	i.walk = f.newWalk(ctx, visitor{bucket: i.bucket, pair: i.pair})
	if err := i.walk.buckets(); err != nil {
		return nil, err
	}
	return i.finish()
}

type inspection struct {
	file   *File
	walk   *walk
	report Report

	seen    map[string]bool // buckets
	inKeys  bool            // in the key bucket
	kv      *kvHash
	history *keySet // all keys, where an unfinished compaction makes them uncountable otherwise
	hasBump bool
	lastRev Record
}

// prepare looks ahead for what the pass needs to know before it starts.
func (i *inspection) prepare(ctx context.Context) error {
	last, err := i.file.lastRevision(ctx)
	if err != nil {
		return err
	}
	i.report.Revision = last
	i.kv, err = i.file.newKVHash(ctx, &i.report.Content, last, i.report.CompactRevision)
	if errors.Is(err, ErrNoBucket) {
		err = corrupt(i.file.meta.root, "no bucket %q, but a compaction of it", BucketKey)
	}
	if i.report.FinishedCompact != i.report.CompactRevision {
		i.history = newKeySet()
	}
	return err
}

func (i *inspection) bucket(name []byte) (bool, error) {
	i.report.Hash = update(i.report.Hash, name, nil)
	i.seen[string(name)] = true
	i.inKeys = string(name) == BucketKey
	return true, nil
}

func (i *inspection) pair(key, value []byte) error {
	i.report.Hash = update(i.report.Hash, key, value)
	if !i.inKeys {
		return nil
	}
	r, err := ParseRecord(key, value)
	if err != nil {
		return err
	}
	if i.report.Records > 0 && r.Main == i.lastRev.Main && r.Sub == i.lastRev.Sub {
		return corruptRecord("two records at revision %d.%d", r.Main, r.Sub)
	}
	i.lastRev = r
	i.report.Records++
	i.kv.add(r, key, value)
	i.count(r)
	if !r.Tombstone {
		i.report.Values.add(r.Value)
	}
	return nil
}

// count keeps TotalKeys without remembering keys: a finished compaction leaves
// one record for each key that was live, and above it a put of version 1 is a
// new key and a tombstone ends one. An unfinished compaction leaves records of
// any kind, so that keys have to be remembered.
func (i *inspection) count(r Record) {
	switch {
	case r.isBump():
		i.hasBump = true
	case i.history != nil:
		i.history.put(r)
	case r.Tombstone:
		if r.Main > i.report.FinishedCompact {
			i.report.TotalKeys--
		}
	case r.Main <= i.report.FinishedCompact || r.Version == 1:
		i.report.TotalKeys++
	}
}

func (i *inspection) finish() (*Report, error) {
	r := &i.report
	if i.history != nil {
		r.TotalKeys = i.history.live()
	}
	if r.TotalKeys < 0 {
		return nil, corruptRecord("more keys were deleted than created")
	}
	if i.hasBump {
		r.TotalKeys++ // etcdutl counts the marker as the key ""
	}
	r.HashKV = i.kv.sum()
	var err error
	if r.FreePages, err = i.walk.freePages(); err != nil {
		return nil, err
	}
	r.SizeInUse = r.TotalSize - r.FreePages*r.PageSize
	for _, name := range []string{BucketKey, bucketMeta} { // etcd makes them before all else
		if !i.seen[name] {
			return nil, corrupt(i.file.meta.root, "no bucket %q, not an etcd db", name)
		}
	}
	return r, nil
}
