package dbfile_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

func revisionKey(main, sub int64, tombstone bool) []byte {
	key := mvcc.RevToBytes(mvcc.Revision{Main: main, Sub: sub}, mvcc.NewRevBytes())
	if tombstone {
		key = append(key, 't')
	}
	return key
}

// sameFields compares a record with what etcd's protobuf makes of the value.
func sameFields(r dbfile.Record, kv *mvccpb.KeyValue) bool {
	return bytes.Equal(r.Key, kv.Key) && bytes.Equal(r.Value, kv.Value) && r.CreateRevision == kv.CreateRevision &&
		r.ModRevision == kv.ModRevision && r.Version == kv.Version && r.Lease == kv.Lease
}

func TestParseRecordReadsWhatEtcdWrites(t *testing.T) {
	for _, c := range []struct {
		name      string
		main, sub int64
		tombstone bool
		kv        *mvccpb.KeyValue
	}{
		{"put", 5, 0, false, &mvccpb.KeyValue{Key: []byte("k"), Value: []byte("v"), CreateRevision: 3, ModRevision: 5, Version: 2}},
		{"empty value", 5, 0, false, &mvccpb.KeyValue{Key: []byte("k"), CreateRevision: 5, ModRevision: 5, Version: 1}},
		{"lease", 5, 7, false, &mvccpb.KeyValue{Key: []byte("k"), CreateRevision: 5, ModRevision: 5, Version: 1, Lease: math.MaxInt64}},
		{"negative lease", 5, 7, false, &mvccpb.KeyValue{Key: []byte("k"), CreateRevision: 5, ModRevision: 5, Version: 1, Lease: -1}},
		{"highest revision", math.MaxInt64, math.MaxInt64, false, &mvccpb.KeyValue{Key: []byte("k"), CreateRevision: 1, ModRevision: math.MaxInt64, Version: math.MaxInt64}},
		{"key of any bytes", 5, 0, false, &mvccpb.KeyValue{Key: []byte{0, 0xff}, CreateRevision: 5, ModRevision: 5, Version: 1}},
		{"large value", 5, 0, false, &mvccpb.KeyValue{Key: []byte("k"), Value: make([]byte, 2<<20), CreateRevision: 5, ModRevision: 5, Version: 1}},
		{"delete", 6, 1, true, &mvccpb.KeyValue{Key: []byte("k")}},
		{"marker of a revision bump", 1_000_000_006, 0, false, &mvccpb.KeyValue{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := dbfile.ParseRecord(revisionKey(c.main, c.sub, c.tombstone), must1(proto.Marshal(c.kv)))
			if err != nil || r.Main != c.main || r.Sub != c.sub || r.Tombstone != c.tombstone || !sameFields(r, c.kv) {
				t.Errorf("got %d.%d, tombstone %v, of %.40q: %v", r.Main, r.Sub, r.Tombstone, r.Key, err)
			}
		})
	}
}

func TestParseRecordRefusesWhatEtcdDoesNotWrite(t *testing.T) {
	good := &mvccpb.KeyValue{Key: []byte("k"), Value: []byte("v"), CreateRevision: 3, ModRevision: 5, Version: 2}
	value := must1(proto.Marshal(good))
	with := func(change func(kv *mvccpb.KeyValue)) []byte {
		kv := proto.Clone(good).(*mvccpb.KeyValue)
		change(kv)
		return must1(proto.Marshal(kv))
	}
	bare := must1(proto.Marshal(&mvccpb.KeyValue{Key: []byte("k")}))
	key, tombstone := revisionKey(5, 0, false), revisionKey(5, 0, true)
	replaced := func(key []byte, at int, b byte) []byte {
		key = bytes.Clone(key)
		key[at] = b
		return key
	}
	for _, c := range []struct {
		name       string
		key, value []byte
		want       string
	}{
		{"no key", nil, value, "revision key of 0 bytes"},
		{"short key", key[:16], value, "revision key of 16 bytes"},
		{"long key", append(bytes.Clone(tombstone), 't'), value, "revision key of 19 bytes"},
		{"other separator", replaced(key, 8, '.'), value, "is no revision key"},
		{"negative revision", replaced(key, 0, 0x80), value, "is no revision key"},
		{"negative sub revision", replaced(key, 9, 0x80), value, "is no revision key"},
		{"other mark", replaced(tombstone, 17, 'd'), value, "is no revision key"},
		{"another revision's value", revisionKey(6, 0, false), value, "at revision 6.0 carries another modification revision"},
		{"no value", tombstone, nil, "at revision 5.0 has no key"},
		{"no key in the value", key, with(func(kv *mvccpb.KeyValue) { kv.Key = nil }), "has no key"},
		{"marker with a value", key, must1(proto.Marshal(&mvccpb.KeyValue{Value: []byte("v")})), "has no key"},
		{"marker with a lease", key, must1(proto.Marshal(&mvccpb.KeyValue{Lease: 1})), "has no key"},
		{"marker with a version", key, must1(proto.Marshal(&mvccpb.KeyValue{Version: 1, CreateRevision: 1})), "has no key"},
		{"tombstone of a put", tombstone, value, "is a tombstone with a value"},
		{"tombstone with a lease", tombstone, append(bytes.Clone(bare), 6<<3, 1), "is a tombstone with a value"},
		{"tombstone with a version", tombstone, append(bytes.Clone(bare), 4<<3, 1), "is a tombstone with a value"},
		{"put without revisions", key, bare, "carries another modification revision"},
		{"never created", key, with(func(kv *mvccpb.KeyValue) { kv.CreateRevision = 0 }), "impossible creation revision"},
		{"created below zero", key, with(func(kv *mvccpb.KeyValue) { kv.CreateRevision = -1 }), "impossible creation revision"},
		{"created later", key, with(func(kv *mvccpb.KeyValue) { kv.CreateRevision = 6 }), "impossible creation revision"},
		{"no version", key, with(func(kv *mvccpb.KeyValue) { kv.Version = 0 }), "impossible version"},
		{"negative version", key, with(func(kv *mvccpb.KeyValue) { kv.Version = -1 }), "impossible version"},
		{"cut off", key, value[:len(value)-1], "protobuf field 5 is cut off or malformed"},
		{"padded with zeros", key, append(bytes.Clone(value), 0), "malformed protobuf tag"},
		{"unknown field", key, protowire.AppendVarint(protowire.AppendTag(bytes.Clone(value), 7, protowire.VarintType), 1), "unexpected protobuf field 7"},
		{"number as bytes", key, protowire.AppendBytes(protowire.AppendTag(bytes.Clone(value), 4, protowire.BytesType), nil), "unexpected protobuf field 4"},
		{"bytes as number", key, protowire.AppendVarint(protowire.AppendTag(bytes.Clone(value), 1, protowire.VarintType), 1), "unexpected protobuf field 1"},
		{"fixed number", key, protowire.AppendFixed64(protowire.AppendTag(bytes.Clone(value), 4, protowire.Fixed64Type), 1), "protobuf field 4 of type 1"},
		{"group", key, protowire.AppendTag(bytes.Clone(value), 4, protowire.StartGroupType), "protobuf field 4 of type 3"},
		{"endless number", key, append(protowire.AppendTag(bytes.Clone(value), 4, protowire.VarintType), bytes.Repeat([]byte{0xff}, 11)...), "protobuf field 4 is cut off or malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dbfile.ParseRecord(c.key, c.value)
			var broken *dbfile.CorruptError
			if !errors.As(err, &broken) || !strings.Contains(broken.What, c.want) || broken.Page != -1 {
				t.Errorf("%s = %s: got %v, want %q", hex.EncodeToString(c.key), hex.EncodeToString(c.value), err, c.want)
			}
		})
	}
}

// A bucket has one order; two records at one revision differ in the mark of a
// tombstone only, and one of them is wrong.
func TestTwoRecordsAtOneRevision(t *testing.T) {
	m := newMember(t)
	m.put("/registry/pods/default/a", nil)
	snap := alterKeys(t, m.snapshot(), pair{
		string(revisionKey(2, 0, true)),
		string(must1(proto.Marshal(&mvccpb.KeyValue{Key: []byte("/registry/pods/default/a")}))),
	})
	_, err := open(t, snap).Inspect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "two records at revision 2.0") {
		t.Errorf("got %v", err)
	}
}

func TestMoreDeletesThanPuts(t *testing.T) {
	m := newMember(t)
	snap := alterKeys(t, m.snapshot(), pair{
		string(revisionKey(2, 0, true)),
		string(must1(proto.Marshal(&mvccpb.KeyValue{Key: []byte("/registry/pods/default/a")}))),
	})
	_, err := open(t, snap).Inspect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "more keys were deleted than created") {
		t.Errorf("got %v", err)
	}
}
