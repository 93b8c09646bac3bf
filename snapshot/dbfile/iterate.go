package dbfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
)

// ErrNoBucket is returned by [File.ForEach] for a bucket that is not there.
var ErrNoBucket = errors.New("no such bucket")

// ForEach calls fn for every pair of a top-level bucket in key order, starting
// at the first key not below from. The slices are valid only during the call.
// An error from fn ends the iteration and is returned as it is.
func (f *File) ForEach(ctx context.Context, bucket string, from []byte, fn func(key, value []byte) error) error {
	w := f.newWalk(ctx, visitor{})
	where, header, err := w.find(bucket)
	if err != nil {
		return err
	}
	return inBucket([]byte(bucket), w.bucket(where, header, from, 0, fn))
}

// find returns a copy of the header of a top-level bucket, with the inline
// page if it has one, and the page where it lies.
func (w *walk) find(bucket string) (where pageID, header []byte, err error) {
	err = w.tree(w.file.meta.root, bounds{}, nil, 0, func(id pageID, e element, _ int) error {
		if string(e.key) == bucket && e.isBucket {
			where, header = id, bytes.Clone(e.value)
		}
		return nil
	})
	if err == nil && header == nil {
		err = ErrNoBucket
	}
	return where, header, err
}

// lastKey returns the highest key of a top-level bucket and the page where it
// lies, nil if the bucket is empty or not there, reading one page a level.
func (f *File) lastKey(ctx context.Context, bucket string) (pageID, []byte, error) {
	w := f.newWalk(ctx, visitor{})
	where, header, err := w.find(bucket)
	if errors.Is(err, ErrNoBucket) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	where, key, err := w.rightmost(where, header)
	return where, bytes.Clone(key), inBucket([]byte(bucket), atPage(where, err))
}

func (w *walk) rightmost(where pageID, header []byte) (pageID, []byte, error) {
	if len(header) < bucketSize {
		return where, nil, corrupt(where, "bucket header of %d bytes", len(header))
	}
	var p page
	var err error
	if root := pageID(binary.LittleEndian.Uint64(header)); root != 0 {
		p, err = w.read(root, 0)
		for depth := 1; err == nil; depth++ {
			where = root
			if p.isLeaf() || p.count == 0 {
				break
			}
			root = p.element(int(p.count) - 1).child
			p, err = w.read(root, depth)
		}
	} else {
		p, err = parsePage(where, header[bucketSize:])
	}
	if err != nil || !p.isLeaf() || p.count == 0 {
		return where, nil, err
	}
	return where, p.element(int(p.count) - 1).key, nil
}

// ForEachRecord calls fn for every record from main revision from on, in order
// of revision. The record's slices are valid only during the call.
func (f *File) ForEachRecord(ctx context.Context, from int64, fn func(Record) error) error {
	return f.ForEach(ctx, BucketKey, revisionKey(from), func(key, value []byte) error {
		r, err := ParseRecord(key, value)
		if err != nil {
			return err
		}
		return fn(r)
	})
}

// ForEachLive calls fn for the newest record of every key that is not deleted,
// in order of revision. It remembers a digest of every key, 24 bytes each.
func (f *File) ForEachLive(ctx context.Context, fn func(Record) error) error {
	newest := newKeySet()
	err := f.ForEachRecord(ctx, 0, func(r Record) error {
		newest.put(r)
		return nil
	})
	if err != nil {
		return err
	}
	return f.ForEachRecord(ctx, 0, func(r Record) error {
		if main, _, _ := newest.newest(r.Key); r.Tombstone || main != r.Main {
			return nil
		}
		return fn(r)
	})
}
