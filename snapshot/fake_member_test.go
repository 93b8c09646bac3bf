package snapshot_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/snapshot"
)

// The cluster that most members here are of.
const (
	clusterID = 0xc1
	leaderID  = 0x2
)

type snapshotStream = grpc.ServerStreamingServer[pb.SnapshotResponse]

// fakeMember says on a loopback connection what a test wants a member to say.
// Change it before it is connected to.
type fakeMember struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedKVServer
	pb.UnimplementedClusterServer

	url      string
	status   *pb.StatusResponse
	members  []*pb.Member
	snapshot func(snapshotStream) error
	hashKV   func(revision int64) (*pb.HashKVResponse, error)
	readErr  error // of a linearizable read

	snapshots, hashes atomic.Int32 // requests
	server            *grpc.Server
}

// newMember starts a healthy voter named m<id>; 2 is the leader's id.
func newMember(t testing.TB, id uint64) *fakeMember {
	listener := must1(net.Listen("tcp", "127.0.0.1:0"))
	m := &fakeMember{
		url:    "http://" + listener.Addr().String(),
		server: grpc.NewServer(),
		status: &pb.StatusResponse{
			Header:  &pb.ResponseHeader{ClusterId: clusterID, MemberId: id, Revision: 8},
			Version: "3.6.5", Leader: leaderID,
			RaftTerm: raftTerm, RaftIndex: raftIndex, RaftAppliedIndex: raftIndex,
		},
	}
	m.members = []*pb.Member{m.listed()}
	pb.RegisterMaintenanceServer(m.server, m)
	pb.RegisterKVServer(m.server, m)
	pb.RegisterClusterServer(m.server, m)
	go func() { _ = m.server.Serve(listener) }() // until Stop
	t.Cleanup(m.server.Stop)
	return m
}

// newSource starts a follower that streams what e holds and knows its hash.
func newSource(t testing.TB, e *etcd) *fakeMember {
	m := newMember(t, 1)
	m.status.Header.Revision = e.kv.Rev()
	m.snapshot = sends(e.stream())
	m.hashKV = e.hashKV
	return m
}

func (m *fakeMember) id() uint64 { return m.status.Header.MemberId }

func (m *fakeMember) listed() *pb.Member {
	return &pb.Member{ID: m.id(), Name: fmt.Sprintf("m%d", m.id()), ClientURLs: []string{m.url}}
}

func (m *fakeMember) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return m.status, nil
}

func (m *fakeMember) MemberList(_ context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if r.Linearizable {
		return nil, fmt.Errorf("the member list has to be read without quorum")
	}
	return &pb.MemberListResponse{Header: m.status.Header, Members: m.members}, nil
}

func (m *fakeMember) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if r.Serializable {
		return nil, fmt.Errorf("a serializable read proves nothing")
	}
	return &pb.RangeResponse{Header: m.status.Header}, m.readErr
}

func (m *fakeMember) Snapshot(_ *pb.SnapshotRequest, stream snapshotStream) error {
	m.snapshots.Add(1)
	return m.snapshot(stream)
}

func (m *fakeMember) HashKV(_ context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	m.hashes.Add(1)
	return m.hashKV(r.Revision)
}

// blobSize is smaller than etcd's 32 KiB, so that a small db has many.
const blobSize = 3000

// sends streams all of b and ends.
func sends(b []byte) func(snapshotStream) error {
	return func(s snapshotStream) error {
		for sent := 0; sent < len(b); {
			blob := b[sent:min(sent+blobSize, len(b))]
			sent += len(blob)
			if err := s.Send(&pb.SnapshotResponse{Blob: blob, RemainingBytes: uint64(len(b) - sent), Version: "3.6.0"}); err != nil {
				return err
			}
		}
		return nil
	}
}

// then streams b and goes on with next.
func then(b []byte, next func(snapshotStream) error) func(snapshotStream) error {
	return func(s snapshotStream) error {
		if err := sends(b)(s); err != nil {
			return err
		}
		return next(s)
	}
}

// silence sends nothing until the client goes.
func silence(s snapshotStream) error {
	<-s.Context().Done()
	return s.Context().Err()
}

// emptyBlobs is what a member sends whose disk cannot be read.
func emptyBlobs(s snapshotStream) error {
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if err := s.Send(&pb.SnapshotResponse{RemainingBytes: 1 << 20}); err != nil {
			return err
		}
	}
}

var discard = slog.New(slog.DiscardHandler)

func config(endpoints ...string) etcdclient.Config {
	return etcdclient.Config{Endpoints: endpoints, DialTimeout: 10 * time.Second, CommandTimeout: 10 * time.Second}
}

func connect(t testing.TB, members ...*fakeMember) *snapshot.Cluster {
	t.Helper()
	var urls []string
	for _, m := range members {
		urls = append(urls, m.url)
	}
	c, err := snapshot.Connect(t.Context(), config(urls...), discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
