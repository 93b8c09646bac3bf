package dbfile_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coreos/go-semver/semver"
	"go.uber.org/zap"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

var nop = zap.NewNop()

// member is the storage of an etcd member without its raft: backend, lessor
// and key-value store, all etcd's own. What cannot fail in a test panics.
type member struct {
	path string
	be   backend.Backend
	le   lease.Lessor
	kv   mvcc.KV
}

func newMember(t testing.TB) *member {
	return openMember(t, filepath.Join(t.TempDir(), "db"))
}

// openMember starts a member on the db file at path, as a restart does.
func openMember(t testing.TB, path string) *member {
	m := startMember(path)
	t.Cleanup(func() { m.stop() })
	return m
}

func startMember(path string) *member {
	m := &member{path: path, be: openBackend(path)}
	m.le = lease.NewLessor(nop, m.be, clusterVersion{}, lease.LessorConfig{MinLeaseTTL: 1})
	m.kv = mvcc.NewStore(nop, m.be, m.le, mvcc.StoreConfig{
		CompactionBatchLimit:    20, // so that a compaction takes several commits
		CompactionSleepInterval: time.Nanosecond,
	})
	return m
}

func openBackend(path string) backend.Backend {
	return backend.New(backend.BackendConfig{
		Path:          path,
		BatchInterval: time.Hour, // commits happen when the test says so
		BatchLimit:    10000,
		MmapSize:      64 << 20,
		Logger:        nop,
		UnsafeNoFsync: true,
	})
}

type clusterVersion struct{}

func (clusterVersion) Version() *semver.Version { return semver.New("3.6.0") }

// stop closes the member and returns its db file, as it lies in a data
// directory. Stopping twice does nothing.
func (m *member) stop() []byte {
	if m.be == nil {
		return nil
	}
	m.settle()
	must(m.kv.Close())
	m.le.Stop()
	must(m.be.Close())
	m.be = nil
	return must1(os.ReadFile(m.path))
}

// settle waits until the compactions that were scheduled have finished.
func (m *member) settle() {
	done, _ := m.kv.Compact(traceutil.TODO(), -1) // always compacted already: a barrier
	<-done
}

func (m *member) put(key string, value []byte) int64 {
	return m.kv.Put([]byte(key), value, lease.NoLease)
}

func (m *member) delete(key string) { m.kv.DeleteRange([]byte(key), nil) }

// deleteAll deletes every key in one transaction.
func (m *member) deleteAll() { m.kv.DeleteRange([]byte{0}, []byte{}) }

func (m *member) revision() int64 { return m.kv.Rev() }

// compact compacts at revision rev, unless that has been done, and waits.
func (m *member) compact(rev int64) {
	done, err := m.kv.Compact(traceutil.TODO(), rev)
	if !errors.Is(err, mvcc.ErrCompacted) {
		must(err)
	}
	<-done
}

// snapshot returns what Maintenance.Snapshot streams.
func (m *member) snapshot() []byte { return stream(m.be) }

func stream(be backend.Backend) []byte {
	s := be.Snapshot()
	var b bytes.Buffer
	must1(s.WriteTo(&b))
	must(s.Close())
	return seal(b.Bytes())
}

// seal appends the digest trailer.
func seal(db []byte) []byte {
	digest := sha256.Sum256(db)
	return append(db[:len(db):len(db)], digest[:]...)
}

// unsealed returns a copy of a snapshot without its trailer.
func unsealed(snap []byte) []byte {
	return bytes.Clone(snap[:len(snap)-dbfile.DigestSize])
}

// interruptCompaction returns what a member leaves that took snap and crashed
// while it compacted at revision rev: the compaction is scheduled, and of the
// records that it removes some share in [0, 1], the oldest, are gone. The
// returned member is another one that finished the same compaction.
func interruptCompaction(t testing.TB, snap []byte, rev int64, share float64) ([]byte, *member) {
	finished := openMember(t, writeFile(t, unsealed(snap)))
	finished.compact(rev)
	kept := make(map[string]bool)
	for _, p := range pairsOf(finished.be, schema.Key) {
		kept[p.key] = true
	}

	interrupted := alter(t, snap, func(tx backend.UnsafeReadWriter) {
		var doomed [][]byte
		must(tx.UnsafeForEach(schema.Key, func(k, _ []byte) error {
			if !kept[string(k)] {
				doomed = append(doomed, bytes.Clone(k))
			}
			return nil
		}))
		mvcc.UnsafeSetScheduledCompact(tx, rev)
		for _, k := range doomed[:int(share*float64(len(doomed)))] {
			tx.UnsafeDelete(schema.Key, k)
		}
	})
	return interrupted, finished
}

// alter returns a snapshot of the db in snap after change, which no store sees.
func alter(t testing.TB, snap []byte, change func(backend.UnsafeReadWriter)) []byte {
	be := openBackend(writeFile(t, unsealed(snap)))
	defer be.Close()
	tx := be.BatchTx()
	tx.LockOutsideApply()
	change(tx)
	tx.Unlock()
	return stream(be)
}

type pair struct{ key, value string }

// pairsOf reads a bucket with etcd's own code.
func pairsOf(be backend.Backend, bucket backend.Bucket) []pair {
	be.ForceCommit()
	tx := be.ReadTx()
	tx.RLock()
	defer tx.RUnlock()
	var pairs []pair
	must(tx.UnsafeForEach(bucket, func(k, v []byte) error {
		pairs = append(pairs, pair{string(k), string(v)})
		return nil
	}))
	return pairs
}

// restoreWithBump returns the path of the db that etcdutl restores from snap
// with the revision raised by bump and everything before marked compacted.
func restoreWithBump(t testing.TB, snap []byte, bump uint64) string {
	dir := filepath.Join(t.TempDir(), "restored")
	must(snapshot.NewV3(nop).Restore(snapshot.RestoreConfig{
		SnapshotPath:        writeFile(t, snap),
		Name:                "m1",
		OutputDataDir:       dir,
		PeerURLs:            []string{"http://127.0.0.1:2380"},
		InitialCluster:      "m1=http://127.0.0.1:2380",
		InitialClusterToken: "restored",
		RevisionBump:        bump,
		MarkCompacted:       true,
	}))
	return filepath.Join(dir, "member", "snap", "db")
}

func writeFile(t testing.TB, content []byte) string {
	path := filepath.Join(t.TempDir(), "db")
	must(os.WriteFile(path, content, 0o600))
	return path
}

func open(t testing.TB, content []byte) *dbfile.File {
	t.Helper()
	f, err := dbfile.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return f
}

func inspect(t testing.TB, content []byte) *dbfile.Report {
	t.Helper()
	r, err := open(t, content).Inspect(t.Context())
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	return r
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 20)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}
