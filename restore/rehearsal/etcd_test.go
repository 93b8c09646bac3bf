package rehearsal_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/etcdha/etcdha/restore/rehearsal"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

var nop = zap.NewNop()

func openBackend(path string) backend.Backend {
	return backend.New(backend.BackendConfig{
		Path: path, BatchInterval: time.Hour, BatchLimit: 10000, MmapSize: 16 << 20, Logger: nop, UnsafeNoFsync: true,
	})
}

type clusterVersion struct{}

func (clusterVersion) Version() *semver.Version { return semver.New("3.6.0") }

// The keys of a snapshot: more under one prefix than a sample takes, and some
// that were deleted. What cannot fail in a test panics.
const (
	podCount = 70 // more than are read in one request, too
	leaseID  = 0x17
)

// newSnapshot is what a member streams that holds pods, a key with a lease, and
// deleted keys; compacted asks for a compaction in the middle.
func newSnapshot(t testing.TB, compacted bool) []byte {
	be := openBackend(filepath.Join(t.TempDir(), "db"))
	defer func() { must(be.Close()) }()
	le := lease.NewLessor(nop, be, clusterVersion{}, lease.LessorConfig{MinLeaseTTL: 1})
	defer le.Stop()
	kv := mvcc.NewStore(nop, be, le, mvcc.StoreConfig{})
	defer func() { must(kv.Close()) }()
	must1(le.Grant(leaseID, 3600))
	kv.Put([]byte("/registry/leases/holder"), []byte("k8s\x00 alive"), leaseID)
	for range 2 {
		for i := range podCount {
			kv.Put(fmt.Appendf(nil, "/registry/pods/%02d", i), fmt.Appendf(nil, "k8s\x00 pod %02d", i), lease.NoLease)
		}
	}
	kv.DeleteRange([]byte("/registry/pods/03"), nil)
	if compacted {
		done, err := kv.Compact(traceutil.TODO(), kv.Rev()-2)
		must(err)
		<-done
	}
	kv.DeleteRange([]byte("/registry/pods/04"), nil)
	kv.Put([]byte("/registry/pods/04"), []byte("k8s\x00 again"), lease.NoLease)
	kv.DeleteRange([]byte("/registry/pods/05"), nil)
	schema.NewMembershipBackend(nop, be).MustCreateBackendBuckets()
	tx := be.BatchTx()
	tx.LockOutsideApply()
	schema.UnsafeUpdateConsistentIndex(tx, 1000, 4)
	tx.Unlock()
	return stream(be)
}

// newDeserted is what a member streams of which every key was deleted, and
// whose history was compacted up to the last put or to the very end.
func newDeserted(t testing.TB, toTheEnd bool) []byte {
	be := openBackend(filepath.Join(t.TempDir(), "db"))
	defer func() { must(be.Close()) }()
	kv := mvcc.NewStore(nop, be, &lease.FakeLessor{}, mvcc.StoreConfig{})
	defer func() { must(kv.Close()) }()
	kv.Put([]byte("/registry/pods/a"), []byte("one"), lease.NoLease)
	kv.Put([]byte("/registry/pods/b"), []byte("two"), lease.NoLease)
	kv.DeleteRange([]byte{0}, []byte{})
	compact := kv.Rev()
	if !toTheEnd {
		compact--
	}
	done, err := kv.Compact(traceutil.TODO(), compact)
	must(err)
	<-done
	schema.NewMembershipBackend(nop, be).MustCreateBackendBuckets()
	tx := be.BatchTx()
	tx.LockOutsideApply()
	schema.UnsafeCreateLeaseBucket(tx)
	tx.Unlock()
	return stream(be)
}

func stream(be backend.Backend) []byte {
	s := be.Snapshot()
	defer s.Close()
	var b bytes.Buffer
	must1(s.WriteTo(&b))
	return seal(b.Bytes())
}

func seal(db []byte) []byte {
	digest := sha256.Sum256(db)
	return append(db[:len(db):len(db)], digest[:]...)
}

// altered is the snapshot after a change that no store saw.
func altered(t testing.TB, snap []byte, change func(backend.Backend)) []byte {
	path := filepath.Join(t.TempDir(), "db")
	must(os.WriteFile(path, snap[:len(snap)-dbfile.DigestSize], 0o600))
	be := openBackend(path)
	defer func() { must(be.Close()) }()
	change(be)
	return stream(be)
}

// replaced is the snapshot with a value changed everywhere, and a digest that fits.
func replaced(t testing.TB, snap []byte, from, to string) []byte {
	db := snap[:len(snap)-dbfile.DigestSize]
	changed := bytes.ReplaceAll(db, []byte(from), []byte(to))
	if len(from) != len(to) || bytes.Equal(changed, db) {
		t.Fatalf("%q does not occur, or %q is not as long", from, to)
	}
	return seal(changed)
}

func withLease(id, ttl int64) func(backend.Backend) {
	return func(be backend.Backend) {
		tx := be.BatchTx()
		tx.LockOutsideApply()
		defer tx.Unlock()
		schema.MustUnsafePutLease(tx, &leasepb.Lease{ID: id, TTL: ttl})
	}
}

// withBump is what a restore with a bump leaves, from which a cluster then goes on.
func withBump(be backend.Backend) {
	tx := be.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	tx.UnsafePut(schema.Key, mvcc.RevToBytes(mvcc.Revision{Main: bumped}, mvcc.NewRevBytes()), []byte{})
	mvcc.UnsafeSetScheduledCompact(tx, bumped)
}

const bumped = 1_000_000

// withAlarm is what a full member leaves, as of the cluster it was in.
func withAlarm(be backend.Backend) {
	alarms := schema.NewAlarmBackend(nop, be)
	alarms.CreateAlarmBucket()
	alarms.MustPutAlarm(&pb.AlarmMember{MemberID: 11, Alarm: pb.AlarmType_NOSPACE})
}

// withAuth asks every client for a user; root may do everything.
func withAuth(be backend.Backend) {
	auth := schema.NewAuthBackend(nop, be)
	auth.CreateAuthBuckets()
	tx := auth.BatchTx()
	tx.Lock()
	defer tx.Unlock()
	tx.UnsafePutRole(&authpb.Role{Name: []byte("root")})
	tx.UnsafePutUser(&authpb.User{Name: []byte("root"), Roles: []string{"root"}, Options: &authpb.UserAddOptions{NoPassword: true}})
	tx.UnsafeSaveAuthEnabled(true)
	tx.UnsafeSaveAuthRevision(2)
}

// verified is a snapshot as the ladder hands it over. What is restored, what
// the db reader reads and what the report says can be of three snapshots.
func verified(t testing.TB, restored, read, reported []byte) rehearsal.Snapshot {
	db := must1(dbfile.Open(bytes.NewReader(read), int64(len(read))))
	report := must1(must1(dbfile.Open(bytes.NewReader(reported), int64(len(reported)))).Inspect(t.Context()))
	return rehearsal.Snapshot{ReaderAt: bytes.NewReader(restored), Size: int64(len(restored)), DB: db, Report: report}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}
