package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// What is around the cluster of a story: other clusters, names of hosts, and the
// data directories of this host.

// world is the client of a story.
type world struct {
	*membershiptest.Cluster
	foreign  *membershiptest.Cluster // may be nil
	registry *toldRegistry
}

func (*world) Close() {}

func (w *world) Registry([]string) apiserver.Registry { return w.registry }

func (w *world) at(endpoint string) membership.Reader {
	if w.foreign != nil && slices.Contains(w.foreign.Endpoints(), endpoint) {
		return w.foreign
	}
	return w.Cluster
}

func (w *world) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	return w.at(endpoint).Status(ctx, endpoint)
}

func (w *world) Members(ctx context.Context, endpoint string, linearizable bool) (membership.List, error) {
	return w.at(endpoint).Members(ctx, endpoint, linearizable)
}

// lookUp knows every host but one.
func lookUp(_ context.Context, host string) ([]string, error) {
	if host == "nowhere.example" {
		return nil, errors.New("no such host")
	}
	return []string{"192.0.2.99"}, nil
}

// writeData makes the data directory of a member, as far as it says whose it is.
func (t *teller) writeData(dir, name string) {
	metadata, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(t.cluster.ID(name))), ClusterID: new(uint64(1))})
	if err != nil {
		t.t.Fatal(err)
	}
	t.write(filepath.Join(dir, "member", "snap", "db"), "of "+name)
	w, err := wal.Create(zap.NewNop(), filepath.Join(dir, "member", "wal"), metadata)
	if err != nil {
		t.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.t.Fatal(err)
	}
}

// openData opens the db as etcd does, until the story ends.
func (t *teller) openData(dir string) {
	f, err := os.Open(filepath.Join(dir, "member", "snap", "db"))
	if err != nil {
		t.t.Fatal(err)
	}
	t.t.Cleanup(func() { _ = f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.t.Fatal(err)
	}
}
