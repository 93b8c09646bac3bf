package membership_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/etcdha/etcdha/membership"
)

func TestDataOwner(t *testing.T) {
	dir := t.TempDir()
	if owner := membership.DataOwner(dir); owner != 0 {
		t.Errorf("an empty directory belongs to %s", owner)
	}
	metadata, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(0xbeef)), ClusterID: new(uint64(1))})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := wal.Create(zap.NewNop(), filepath.Join(dir, "member", "wal"), metadata)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if owner := membership.DataOwner(dir); owner != 0xbeef {
		t.Errorf("it belongs to %s", owner)
	}
	files, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("not a log"), 0o600); err != nil {
		t.Fatal(err)
	}
	if owner := membership.DataOwner(dir); owner != 0 {
		t.Errorf("what cannot be read belongs to %s", owner)
	}
}
