package dbfile

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// Lengths of a revision key: main u64, '_', sub u64, big-endian, and 't' for a
// tombstone (server/storage/mvcc/revision.go of etcd).
const (
	revisionLen  = 17
	tombstoneLen = 18
)

// Record is one entry of the key bucket: what one put or delete left behind.
type Record struct {
	Main, Sub int64 // revision
	Tombstone bool  // a delete; only Key is set besides the revision

	Key            []byte
	Value          []byte
	CreateRevision int64
	ModRevision    int64
	Version        int64
	Lease          int64
}

// isBump tells the marker that a restore with a revision bump leaves: an empty
// record at the new revision.
func (r Record) isBump() bool { return !r.Tombstone && len(r.Key) == 0 && r.isBare() }

// isBare tells that nothing but the key is set, as in a tombstone.
func (r Record) isBare() bool {
	return len(r.Value) == 0 && r.CreateRevision == 0 && r.ModRevision == 0 && r.Version == 0 && r.Lease == 0
}

// ParseRecord reads a pair of the key bucket. Key and Value of the record
// point into value. What is not exactly a record of etcd is a [*CorruptError].
func ParseRecord(key, value []byte) (Record, error) {
	r, err := parseRevision(key)
	if err != nil {
		return r, err
	}
	if err := r.parseKeyValue(value); err != nil {
		return r, err
	}
	return r, r.check()
}

func parseRevision(key []byte) (Record, error) {
	var r Record
	if len(key) != revisionLen && len(key) != tombstoneLen {
		return r, corruptRecord("revision key of %d bytes", len(key))
	}
	r.Main = int64(binary.BigEndian.Uint64(key))
	r.Sub = int64(binary.BigEndian.Uint64(key[9:]))
	r.Tombstone = len(key) == tombstoneLen
	if key[8] != '_' || r.Main < 0 || r.Sub < 0 || r.Tombstone && key[revisionLen] != 't' {
		return r, corruptRecord("%x is no revision key", key)
	}
	return r, nil
}

func revisionKey(main int64) []byte {
	key := make([]byte, revisionLen)
	binary.BigEndian.PutUint64(key, uint64(main))
	key[8] = '_'
	return key
}

// Field numbers of mvccpb.KeyValue.
const (
	fieldKey            = 1
	fieldCreateRevision = 2
	fieldModRevision    = 3
	fieldVersion        = 4
	fieldValue          = 5
	fieldLease          = 6
)

func (r *Record) parseKeyValue(b []byte) error {
	err := parseFields(b, func(num protowire.Number, bytes []byte, varint int64) bool {
		switch num {
		case fieldKey:
			r.Key = bytes
		case fieldValue:
			r.Value = bytes
		case fieldCreateRevision:
			r.CreateRevision = varint
		case fieldModRevision:
			r.ModRevision = varint
		case fieldVersion:
			r.Version = varint
		case fieldLease:
			r.Lease = varint
		default:
			return false
		}
		isBytes := num == fieldKey || num == fieldValue
		return isBytes == (bytes != nil)
	})
	if err != nil {
		return corruptRecord("revision %d.%d is no key-value: %v", r.Main, r.Sub, err)
	}
	return nil
}

// parseFields calls field for every field of a protobuf message whose fields
// are integers and byte strings only: bytes is not nil exactly for the latter.
// A message that is malformed or has a field which field refuses is corrupt.
func parseFields(b []byte, field func(num protowire.Number, bytes []byte, varint int64) bool) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return corruptRecord("malformed protobuf tag")
		}
		b = b[n:]
		var bytes []byte
		var varint uint64
		switch typ {
		case protowire.VarintType:
			varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
			if bytes == nil {
				bytes = []byte{}
			}
		default:
			return corruptRecord("protobuf field %d of type %d", num, typ)
		}
		if n < 0 {
			return corruptRecord("protobuf field %d is cut off or malformed", num)
		}
		if !field(num, bytes, int64(varint)) {
			return corruptRecord("unexpected protobuf field %d", num)
		}
		b = b[n:]
	}
	return nil
}

// check holds a record against what etcd writes.
func (r *Record) check() error {
	var what string
	switch {
	case r.isBump():
		return nil
	case len(r.Key) == 0:
		what = "has no key"
	case r.Tombstone:
		if !r.isBare() {
			what = "is a tombstone with a value"
		}
	case r.ModRevision != r.Main:
		what = "carries another modification revision"
	case r.CreateRevision <= 0 || r.CreateRevision > r.ModRevision:
		what = "has an impossible creation revision"
	case r.Version <= 0:
		what = "has an impossible version"
	}
	if what == "" {
		return nil
	}
	return corruptRecord("record at revision %d.%d %s", r.Main, r.Sub, what)
}
