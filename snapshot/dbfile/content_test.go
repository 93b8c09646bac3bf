package dbfile_test

import (
	"context"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/coreos/go-semver/semver"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

func TestContentOfFurnishedCluster(t *testing.T) {
	m := newMember(t)
	m.furnish()
	must1(m.le.Grant(0x7fff_0000_0000_0001, 3600))
	must1(m.le.Grant(5, 15))
	m.kv.Put([]byte("/registry/leases/a"), nil, 5)
	m.put("/registry/leases/a", []byte("{}"))
	m.compact(2)
	got, err := open(t, m.snapshot()).Content(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peers := func(url string) []string { return []string{url} }
	want := &dbfile.Content{
		CompactRevision: 2,
		FinishedCompact: 2,
		RaftTerm:        7,
		RaftIndex:       4711,
		StorageVersion:  "3.6.0",
		ClusterVersion:  "3.6.0",
		Members: []dbfile.Member{
			{ID: 0x1000, Name: "control-plane-0", PeerURLs: peers("https://192.0.2.10:2380"), ClientURLs: peers("https://192.0.2.10:2379")},
			{ID: 0x1001, Name: "control-plane-1", PeerURLs: peers("https://192.0.2.11:2380"), ClientURLs: peers("https://192.0.2.11:2379")},
			{ID: 0x1002, Name: "control-plane-2", PeerURLs: peers("https://192.0.2.12:2380"), ClientURLs: peers("https://192.0.2.12:2379"), IsLearner: true},
		},
		Removed: 1,
		Leases:  2,
		Alarms:  []dbfile.Alarm{{MemberID: 0x1001, Type: etcdserverpb.AlarmType_NOSPACE}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if r := inspect(t, m.snapshot()); !reflect.DeepEqual(r.Content, *want) {
		t.Errorf("Inspect says %+v", r.Content)
	}
}

func TestContentOfBareStore(t *testing.T) {
	got, err := open(t, newMember(t).snapshot()).Content(t.Context())
	if err != nil || !reflect.DeepEqual(got, &dbfile.Content{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestContentTellsAuth(t *testing.T) {
	m := newMember(t)
	auth := schema.NewAuthBackend(nop, m.be)
	auth.CreateAuthBuckets()
	for _, enabled := range []bool{true, false} {
		tx := auth.BatchTx()
		tx.Lock()
		tx.UnsafeSaveAuthEnabled(enabled)
		tx.Unlock()
		if r := inspect(t, m.snapshot()); r.AuthEnabled != enabled {
			t.Errorf("auth is %v, want %v", r.AuthEnabled, enabled)
		}
	}
}

// etcd 3.5 writes no storage version; before 3.5 there was no term either.
func TestContentOfOldVersions(t *testing.T) {
	m := newMember(t)
	m.furnish()
	snap := alter(t, m.snapshot(), func(tx backend.UnsafeReadWriter) {
		schema.UnsafeClearStorageVersion(tx)
		tx.UnsafeDelete(schema.Meta, schema.MetaTermKeyName)
	})
	r := agreesWithEtcdutl(t, snap)
	if r.StorageVersion != "" || r.RaftTerm != 0 || r.RaftIndex != 4711 {
		t.Errorf("version %q, term %d, index %d", r.StorageVersion, r.RaftTerm, r.RaftIndex)
	}
	m.put("/registry/pods/default/a", nil)
	m.compact(2)
	snap = alter(t, m.snapshot(), func(tx backend.UnsafeReadWriter) {
		tx.UnsafeDelete(schema.Meta, schema.ScheduledCompactKeyName)
	})
	if r := agreesWithEtcdutl(t, snap); r.CompactRevision != 2 || r.FinishedCompact != 2 {
		t.Errorf("compacted at %d, finished at %d", r.CompactRevision, r.FinishedCompact)
	}
	schema.NewMembershipBackend(nop, m.be).MustSaveClusterVersionToBackend(semver.New("3.4.0"))
	if r := inspect(t, m.snapshot()); r.ClusterVersion != "3.4.0" {
		t.Errorf("cluster version %q", r.ClusterVersion)
	}
}

func TestLeasesComeInOrder(t *testing.T) {
	m := newMember(t)
	h := newHistory(m, seeded(5))
	for range 300 {
		h.grant()
	}
	var ids []lease.LeaseID
	err := open(t, m.snapshot()).ForEachLease(t.Context(), func(l dbfile.Lease) error {
		id := lease.LeaseID(l.ID)
		if granted := m.le.Lookup(id); granted == nil || granted.TTL() != l.TTL {
			t.Errorf("lease %x has %d seconds, the lessor says %+v", l.ID, l.TTL, granted)
		}
		if len(ids) > 0 && id <= ids[len(ids)-1] {
			t.Errorf("lease %x after %x", l.ID, ids[len(ids)-1])
		}
		ids = append(ids, id)
		return nil
	})
	if err != nil || len(ids) != 300 {
		t.Errorf("%d leases, %v", len(ids), err)
	}
}

func TestContentRefusesWhatEtcdDoesNotWrite(t *testing.T) {
	put := func(bucket backend.Bucket, key, value string) func(backend.UnsafeReadWriter) {
		return func(tx backend.UnsafeReadWriter) {
			tx.UnsafeCreateBucket(bucket)
			tx.UnsafePut(bucket, []byte(key), []byte(value))
		}
	}
	id := string(binary.BigEndian.AppendUint64(nil, 7))
	for _, c := range []struct {
		name   string
		damage func(backend.UnsafeReadWriter)
		want   string
	}{
		{"short index", put(schema.Meta, "consistent_index", "\x00\x01"), `bucket "meta": consistent index of 2 bytes`},
		{"long term", put(schema.Meta, "term", "123456789"), `bucket "meta": raft term of 9 bytes`},
		{"compaction at no revision", put(schema.Meta, "finishedCompactRev", "now"), `bucket "meta": revision key of 3 bytes`},
		{"compaction below zero", put(schema.Meta, "scheduledCompactRev", "\xff0000000_00000000"), `bucket "meta": ff30303030303030`},
		{"member that is no JSON", put(schema.Members, "1000", "{"), `bucket "members": member "1000" is not readable`},
		{"lease under another id", put(schema.Lease, id, "\x08\x08"), `bucket "lease": lease 8 lies under key 0000000000000007`},
		{"lease under a short key", put(schema.Lease, "7", "\x08\x07"), `bucket "lease": lease 7 lies under key 37`},
		{"lease with a string", put(schema.Lease, id, "\x0a\x01x"), `bucket "lease": unexpected protobuf field 1`},
		{"lease with a new field", put(schema.Lease, id, "\x08\x07\x20\x01"), `bucket "lease": unexpected protobuf field 4`},
		{"alarm cut off", put(schema.Alarm, "\x08", ""), `bucket "alarm": protobuf field 1 is cut off`},
		{"alarm with a string", put(schema.Alarm, "\x0a\x00", ""), `bucket "alarm": unexpected protobuf field 1`},
		{"alarm with a new field", put(schema.Alarm, "\x18\x01", ""), `bucket "alarm": unexpected protobuf field 3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMember(t)
			m.furnish()
			f := open(t, alter(t, m.snapshot(), c.damage))
			_, err := f.Inspect(t.Context())
			var broken *dbfile.CorruptError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), c.want) || broken.Page < 2 || !broken.Record {
				t.Errorf("got %v, want a page and %q", err, c.want)
			}
			if _, err := f.Content(t.Context()); !errors.Is(err, dbfile.ErrCorrupt) {
				t.Errorf("Content: %v", err)
			}
			if _, err := f.HashKV(t.Context(), 1, 0); !errors.Is(err, dbfile.ErrCorrupt) {
				t.Errorf("HashKV: %v", err)
			}
		})
	}
}

func TestCancelledContextEndsEverything(t *testing.T) {
	m := newMember(t)
	h := newHistory(m, seeded(6))
	for i := range 3000 { // more pages than are read between two looks at the context
		h.put(h.key(i), kubeValue(h.rng, 3000))
	}
	f := open(t, m.snapshot())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Inspect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Inspect: %v", err)
	}
	if _, err := f.HashKV(ctx, 100, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("HashKV: %v", err)
	}
	if err := f.Digest(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Digest: %v", err)
	}
}
