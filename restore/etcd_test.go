package restore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-semver/semver"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/etcdha/etcdha/restore"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// newSnapshot is what a member streams that has seen a little of everything: a
// compaction, a transaction, a delete, a lease, an alarm, and members that have
// come and gone. Its revision is 7. What cannot fail in a test panics.
func newSnapshot(t testing.TB) []byte {
	log := zap.NewNop()
	be := backend.New(backend.BackendConfig{
		Path: filepath.Join(t.TempDir(), "db"), BatchInterval: time.Hour, BatchLimit: 10000,
		MmapSize: 16 << 20, Logger: log, UnsafeNoFsync: true,
	})
	defer func() { must(be.Close()) }()
	le := lease.NewLessor(log, be, clusterVersion{}, lease.LessorConfig{MinLeaseTTL: 1})
	defer le.Stop()
	must1(le.Grant(0x17, 3600))
	kv := mvcc.NewStore(log, be, le, mvcc.StoreConfig{})
	defer func() { must(kv.Close()) }()
	kv.Put([]byte("/registry/pods/a"), []byte("one"), 0x17)
	kv.Put([]byte("/registry/pods/a"), []byte("two"), 0x17)
	kv.Put([]byte("/registry/pods/b"), []byte("gone"), lease.NoLease)
	kv.DeleteRange([]byte("/registry/pods/b"), nil)
	compacted, err := kv.Compact(traceutil.TODO(), 3)
	must(err)
	<-compacted
	txn := kv.Write(traceutil.TODO())
	txn.Put([]byte("/registry/pods/c"), []byte("first"), lease.NoLease)
	txn.Put([]byte("/registry/pods/d"), []byte("second"), lease.NoLease)
	txn.End()
	kv.Put([]byte("/registry/pods/e"), []byte("last"), lease.NoLease)

	alarms := schema.NewAlarmBackend(log, be)
	alarms.CreateAlarmBucket()
	alarms.MustPutAlarm(&pb.AlarmMember{MemberID: 11, Alarm: pb.AlarmType_NOSPACE})
	members := schema.NewMembershipBackend(log, be)
	members.MustCreateBackendBuckets()
	for _, id := range []types.ID{11, 12} {
		members.MustSaveMemberToBackend(&membership.Member{
			ID: id, RaftAttributes: membership.RaftAttributes{PeerURLs: []string{"https://10.9.9.9:2380"}},
			Attributes: membership.Attributes{Name: "old"},
		})
	}
	members.MustDeleteMemberFromBackend(12)
	members.MustSaveClusterVersionToBackend(semver.New("3.6.0"))
	tx := be.BatchTx()
	tx.LockOutsideApply()
	schema.UnsafeUpdateConsistentIndex(tx, 1000, 4)
	tx.Unlock()

	s := be.Snapshot()
	defer s.Close()
	var b bytes.Buffer
	must1(s.WriteTo(&b))
	return seal(b.Bytes())
}

type clusterVersion struct{}

func (clusterVersion) Version() *semver.Version { return semver.New("3.6.0") }

// seal appends the digest trailer.
func seal(db []byte) []byte {
	digest := sha256.Sum256(db)
	return append(db[:len(db):len(db)], digest[:]...)
}

// unsealed is a copy of a stream without its trailer.
func unsealed(stream []byte) []byte { return bytes.Clone(stream[:len(stream)-dbfile.DigestSize]) }

// flipped is a copy of b with one byte changed.
func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x40
	return b
}

// input is a snapshot in memory.
func input(snap []byte) restore.Input {
	return restore.Input{Size: int64(len(snap)), Write: func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(snap))
		return err
	}}
}

const (
	oneMember    = "m1=https://10.0.0.1:2380"
	threeMembers = "m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380,m3=https://10.0.0.3:2380"
)

// wrongPage is a stream with a page that is not the one it says it is, and a
// digest that fits: as from a member whose disk mixed up pages.
func wrongPage(stream []byte) []byte {
	db := unsealed(stream)
	size := int(binary.LittleEndian.Uint32(db[16+8:]))
	root := int(binary.LittleEndian.Uint64(db[16+16:]))
	db[root*size]++
	return seal(db)
}

// oneMeta is a stream that bbolt reads by the first meta page, without a word
// about the second one.
func oneMeta(stream []byte) []byte {
	db := unsealed(stream)
	db[int(binary.LittleEndian.Uint32(db[16+8:]))+16+56]++ // its checksum
	return seal(db)
}

// options restore the member m1 of a new cluster.
func options(dataDir, cluster string) restore.Options {
	return restore.Options{
		Name: "m1", DataDir: dataDir, InitialCluster: cluster, Token: "fresh",
		PeerURLs: []string{strings.TrimPrefix(oneMember, "m1=")},
		NoSync:   true,
	}
}

func mustRestore(t testing.TB, snap []byte, o restore.Options) *restore.Result {
	t.Helper()
	result, err := restore.Restore(t.Context(), input(snap), o)
	if err != nil {
		t.Fatal(err)
	}
	return result
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
