package snapshot_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coreos/go-semver/semver"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// etcd is the storage of a member without its raft: backend, lessor and
// key-value store, all etcd's own. What cannot fail in a test panics.
type etcd struct {
	path string
	be   backend.Backend
	kv   mvcc.KV
}

func newEtcd(t testing.TB) *etcd {
	log := zap.NewNop()
	path := filepath.Join(t.TempDir(), "db")
	be := backend.New(backend.BackendConfig{
		Path:          path,
		BatchInterval: time.Hour, // commits happen when the test says so
		BatchLimit:    10000,
		MmapSize:      16 << 20,
		Logger:        log,
		UnsafeNoFsync: true,
	})
	le := lease.NewLessor(log, be, clusterVersion{}, lease.LessorConfig{MinLeaseTTL: 1})
	kv := mvcc.NewStore(log, be, le, mvcc.StoreConfig{})
	schema.NewMembershipBackend(log, be).MustCreateBackendBuckets()
	tx := be.BatchTx()
	tx.LockOutsideApply()
	schema.UnsafeUpdateConsistentIndex(tx, raftIndex, raftTerm)
	tx.Unlock()
	t.Cleanup(func() {
		must(kv.Close())
		le.Stop()
		must(be.Close())
	})
	return &etcd{path, be, kv}
}

// What every db here has applied last.
const (
	raftTerm  = 4
	raftIndex = 1000
)

type clusterVersion struct{}

func (clusterVersion) Version() *semver.Version { return semver.New("3.6.0") }

// newKubernetes is an etcd with a little of everything that Kubernetes keeps:
// 4 live keys, one that is deleted, compacted revisions, revision 8.
func newKubernetes(t testing.TB) *etcd {
	e := newEtcd(t)
	e.put("/registry/configmaps/default/one", "k8s\x00 one")
	e.put("/registry/configmaps/default/one", "k8s\x00 one, changed")
	e.put("/registry/crds/two", `{"kind":"Two"}`)
	e.put("/registry/pods/default/gone", "k8s\x00 gone")
	e.kv.DeleteRange([]byte("/registry/pods/default/gone"), nil)
	e.compact(4)
	e.put("/registry/secrets/default/three", "k8s:enc:aescbc:v1:key1:cipher")
	e.put("/registry/zzz", "four")
	return e
}

func (e *etcd) put(key, value string) { e.kv.Put([]byte(key), []byte(value), lease.NoLease) }

func (e *etcd) compact(revision int64) {
	done, err := e.kv.Compact(traceutil.TODO(), revision)
	must(err)
	<-done
	done, _ = e.kv.Compact(traceutil.TODO(), -1) // compacted already: waits for the one before
	<-done
}

// stream returns what Maintenance.Snapshot streams.
func (e *etcd) stream() []byte {
	s := e.be.Snapshot()
	defer s.Close()
	var b bytes.Buffer
	must1(s.WriteTo(&b))
	return withDigest(b.Bytes())
}

// copied returns the db as it lies in the data directory.
func (e *etcd) copied() []byte {
	e.be.ForceCommit()
	return must1(os.ReadFile(e.path))
}

// hashKV answers as Maintenance.HashKV does.
func (e *etcd) hashKV(revision int64) (*pb.HashKVResponse, error) {
	h, current, err := e.kv.HashStorage().HashByRev(revision)
	switch {
	case errors.Is(err, mvcc.ErrCompacted):
		return nil, rpctypes.ErrGRPCCompacted
	case errors.Is(err, mvcc.ErrFutureRev):
		return nil, rpctypes.ErrGRPCFutureRev
	case err != nil:
		return nil, err
	}
	return &pb.HashKVResponse{
		Header: &pb.ResponseHeader{Revision: current}, Hash: h.Hash,
		CompactRevision: h.CompactRevision, HashRevision: h.Revision,
	}, nil
}

// withDigest appends the digest trailer.
func withDigest(db []byte) []byte {
	digest := sha256.Sum256(db)
	return append(db[:len(db):len(db)], digest[:]...)
}

// undigested is a copy of a stream without its trailer.
func undigested(stream []byte) []byte { return bytes.Clone(stream[:len(stream)-dbfile.DigestSize]) }

// flipped is a copy of b with one byte changed.
func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x40
	return b
}

// replaced is the stream with every occurrence of from changed, which has to
// be as long, and a digest that fits: as from a member whose disk changed it.
func replaced(t testing.TB, stream []byte, from, to string) []byte {
	db := bytes.ReplaceAll(undigested(stream), []byte(from), []byte(to))
	if len(from) != len(to) || bytes.Equal(db, undigested(stream)) {
		t.Fatalf("%q does not occur, or %q is not as long", from, to)
	}
	return withDigest(db)
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
