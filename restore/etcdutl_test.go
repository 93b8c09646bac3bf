package restore_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.uber.org/zap"

	"github.com/etcdha/etcdha/restore"
)

// etcdutl restores the same with etcd's own tool.
func etcdutl(t testing.TB, snap []byte, o restore.Options) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	must(os.WriteFile(path, snap, 0o600))
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: path, Name: o.Name, OutputDataDir: o.DataDir, OutputWALDir: o.WALDir,
		PeerURLs: o.PeerURLs, InitialCluster: o.InitialCluster, InitialClusterToken: o.Token,
		SkipHashCheck: o.SkipHashCheck, RevisionBump: o.BumpRevision, MarkCompacted: o.MarkCompacted,
	})
	if err != nil {
		t.Fatalf("etcdutl: %v", err)
	}
}

// What is restored is what etcdutl restores: the log byte for byte, the db pair
// by pair in every bucket, the raft snapshot byte for byte where etcdutl itself
// always writes the same.
func TestARestoreIsEtcdutls(t *testing.T) {
	good := newSnapshot(t)
	tests := []struct {
		name   string
		snap   []byte
		change func(*restore.Options)
	}{
		{"one member, synced to the disk", good, func(o *restore.Options) { o.NoSync = false }},
		{"three members", good, func(o *restore.Options) { o.InitialCluster = threeMembers }},
		{"the WAL elsewhere", good, func(o *restore.Options) { o.WALDir = filepath.Join(filepath.Dir(o.DataDir), "disk", "wal") }},
		{"a bump", good, func(o *restore.Options) { o.BumpRevision, o.MarkCompacted = restore.KubernetesBump, true }},
		{"three members, a bump, the WAL elsewhere", good, func(o *restore.Options) {
			o.InitialCluster = threeMembers
			o.BumpRevision, o.MarkCompacted = 1000, true
			o.WALDir = filepath.Join(filepath.Dir(o.DataDir), "disk", "wal")
		}},
		{"a copy of a live db", unsealed(good), func(o *restore.Options) { o.SkipHashCheck = true }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ours := options(filepath.Join(t.TempDir(), "data"), oneMember)
			test.change(&ours)
			theirs := options(filepath.Join(t.TempDir(), "data"), oneMember)
			test.change(&theirs)
			result := mustRestore(t, test.snap, ours)
			etcdutl(t, test.snap, theirs)

			got, want := names(filepath.Dir(ours.DataDir)), names(filepath.Dir(theirs.DataDir))
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("files %q, etcdutl's %q", got, want)
			}
			wantSameFiles(t, ours, theirs)
			wantSameDB(t, ours, theirs)
			wantNewMember(t, ours, result)
		})
	}
}

func walDir(o restore.Options) string {
	if o.WALDir != "" {
		return o.WALDir
	}
	return filepath.Join(o.DataDir, "member", "wal")
}

func snapDir(o restore.Options) string { return filepath.Join(o.DataDir, "member", "snap") }

// wantSameFiles compares the WAL and the raft snapshot.
func wantSameFiles(t testing.TB, ours, theirs restore.Options) {
	t.Helper()
	for _, file := range must1(filepath.Glob(filepath.Join(walDir(ours), "*"))) {
		other := filepath.Join(walDir(theirs), filepath.Base(file))
		if !bytes.Equal(must1(os.ReadFile(file)), must1(os.ReadFile(other))) {
			t.Errorf("%s is not etcdutl's", filepath.Base(file))
		}
	}
	our := must1(snap.New(zap.NewNop(), snapDir(ours)).Load())
	their := must1(snap.New(zap.NewNop(), snapDir(theirs)).Load())
	// Several members are written in the order of a Go map, and numbered by it.
	if ours.InitialCluster == oneMember && !bytes.Equal(our.Data, their.Data) {
		t.Errorf("raft snapshot of %d bytes is not etcdutl's of %d", len(our.Data), len(their.Data))
	}
	if got, want := membersIn(our.Data), membersIn(their.Data); !reflect.DeepEqual(got, want) || len(got) == 0 {
		t.Errorf("raft snapshot with members %q, etcdutl's %q", got, want)
	}
	if our.Metadata.String() != their.Metadata.String() {
		t.Errorf("raft snapshot %v, etcdutl's %v", our.Metadata, their.Metadata)
	}
}

// membersIn returns the values in a raft snapshot by path, whatever their order.
func membersIn(data []byte) map[string]string {
	type node struct {
		Path, Value string
		Children    map[string]*node
	}
	var store struct{ Root *node }
	must(json.Unmarshal(data, &store))
	values := make(map[string]string)
	var walk func(*node)
	walk = func(n *node) {
		if n.Value != "" {
			values[n.Path] = n.Value
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(store.Root)
	return values
}

// wantSameDB compares all pairs of all buckets.
func wantSameDB(t testing.TB, ours, theirs restore.Options) {
	t.Helper()
	got, want := pairs(filepath.Join(snapDir(ours), "db")), pairs(filepath.Join(snapDir(theirs), "db"))
	for bucket := range want {
		if !reflect.DeepEqual(got[bucket], want[bucket]) {
			t.Errorf("bucket %s\n%q\netcdutl's\n%q", bucket, got[bucket], want[bucket])
		}
	}
	if len(got) != len(want) || len(want["key"]) < 5 || len(want["meta"]) == 0 || len(want["alarm"]) != 1 {
		t.Errorf("buckets %q, etcdutl's %q", got, want)
	}
}

// pairs reads a db with bbolt.
func pairs(file string) map[string][]string {
	db := must1(bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true}))
	defer db.Close()
	all := make(map[string][]string)
	must(db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			all[string(name)] = []string{}
			return b.ForEach(func(k, v []byte) error {
				all[string(name)] = append(all[string(name)], fmt.Sprintf("%s = %s", k, v))
				return nil
			})
		})
	}))
	return all
}

// wantNewMember compares what the restore says with what it has written.
func wantNewMember(t testing.TB, o restore.Options, r *restore.Result) {
	t.Helper()
	if r.Report.Revision != 7 || r.Revision != 7+int64(o.BumpRevision) {
		t.Errorf("revision %d after %d", r.Revision, r.Report.Revision)
	}
	members := pairs(filepath.Join(snapDir(o), "db"))["members"]
	own := fmt.Sprintf("%016x = ", r.MemberID)
	found := false
	for _, m := range members {
		found = found || bytes.HasPrefix([]byte(m), []byte(own)) && bytes.Contains([]byte(m), []byte(`"name":"m1"`))
		if bytes.Contains([]byte(m), []byte("10.9.9.9")) {
			t.Errorf("a member of the old cluster is left: %s", m)
		}
	}
	if !found {
		t.Errorf("member %x is not in %q", r.MemberID, members)
	}
	file := must1(filepath.Glob(filepath.Join(walDir(o), "*.wal")))
	if len(file) != 1 {
		t.Errorf("WAL files %q", file)
	}
}
