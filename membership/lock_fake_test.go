package membership_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/membership"
)

// member is an etcd that says of which cluster it is, and grants whatever is asked.
type member struct {
	pb.UnimplementedLeaseServer
	pb.UnimplementedKVServer
	pb.UnimplementedClusterServer
	pb.UnimplementedAuthServer
	cluster atomic.Uint64
	looked  atomic.Bool // the lock was looked at
	next    uint64      // of which cluster it is after that, 0: it stays
	lists   atomic.Int64
	deaf    atomic.Bool // renewals are not answered
	renewed atomic.Int64
}

func (m *member) header() *pb.ResponseHeader {
	if m.looked.Load() && m.next != 0 {
		return &pb.ResponseHeader{ClusterId: m.next}
	}
	return &pb.ResponseHeader{ClusterId: m.cluster.Load()}
}

func (m *member) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	h := m.header()
	m.looked.Store(true)
	return &pb.RangeResponse{Header: h}, nil
}

func (m *member) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	return &pb.TxnResponse{Header: m.header(), Succeeded: true}, nil
}

func (m *member) LeaseGrant(_ context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return &pb.LeaseGrantResponse{Header: m.header(), ID: 7, TTL: r.TTL}, nil
}

func (m *member) LeaseRevoke(context.Context, *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return &pb.LeaseRevokeResponse{Header: m.header()}, nil
}

func (m *member) LeaseKeepAlive(s pb.Lease_LeaseKeepAliveServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	if m.deaf.Load() {
		m.renewed.Add(1)
		<-s.Context().Done()
		return s.Context().Err()
	}
	m.renewed.Add(1)
	return s.Send(&pb.LeaseKeepAliveResponse{Header: m.header(), ID: 7, TTL: 60})
}

func (m *member) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	m.lists.Add(1)
	return &pb.MemberListResponse{Header: m.header()}, nil
}

// Authenticate is never done.
func (m *member) Authenticate(ctx context.Context, _ *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func serve(t *testing.T, m *member) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterLeaseServer(s, m)
	pb.RegisterKVServer(s, m)
	pb.RegisterClusterServer(s, m)
	pb.RegisterAuthServer(s, m)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func ofDaemon(endpoint string) membership.LockOptions {
	return membership.LockOptions{Key: "etcdha/daemon/production/active", Endpoints: []string{endpoint},
		Who: "cp-1", TTL: time.Minute, Renewal: 20 * time.Millisecond}
}

// A cluster is restored from a backup while somebody has the lock: the lease is there again,
// and whoever had it goes on to renew that. The lock is lost all the same.
func TestLockOfAClusterThatIsRestored(t *testing.T) {
	t.Parallel()
	m := &member{}
	m.cluster.Store(1)
	lock, err := connect(t, etcdclient.Config{}).LockAt(t.Context(), ofDaemon(serve(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "renewals", func() bool { return m.renewed.Load() > 3 })
	if err := lock.Held(0); err != nil {
		t.Errorf("before: %v", err)
	}
	m.cluster.Store(2)
	until(t, "the lock to be lost", func() bool { return lock.Held(0) != nil })
	renewed := m.renewed.Load()
	if err := lock.Release(t.Context()); err != nil || m.renewed.Load() > renewed {
		t.Errorf("release: %v, after %d renewals of what is lost", err, m.renewed.Load()-renewed)
	}
}

// The endpoint changes its cluster while a lock is taken there.
func TestLockOfTwoClusters(t *testing.T) {
	t.Parallel()
	m := &member{next: 2}
	m.cluster.Store(1)
	endpoint := serve(t, m)
	lock, err := connect(t, etcdclient.Config{}).LockAt(t.Context(), ofDaemon(endpoint))
	if want := endpoint + ": it belongs to another cluster than the one before"; err == nil || err.Error() != want {
		t.Errorf("lock %v, %v; want %s", lock, err, want)
	}
}

// Where renewals fail, nothing else is asked for in the time that is left.
func TestLockThatIsNotRenewed(t *testing.T) {
	t.Parallel()
	m := &member{}
	m.cluster.Store(1)
	lock, err := connect(t, etcdclient.Config{}).LockAt(t.Context(), ofDaemon(serve(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a look at the members", func() bool { return m.lists.Load() > 0 })
	m.deaf.Store(true)
	renewed := m.renewed.Load()
	until(t, "one more", func() bool { return m.renewed.Load() > renewed+1 })
	lists := m.lists.Load()
	renewed = m.renewed.Load()
	until(t, "and more", func() bool { return m.renewed.Load() > renewed+3 })
	if n := m.lists.Load(); n != lists {
		t.Errorf("members were listed %d times meanwhile", n-lists)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// With a password, a connection begins with a login. A member that does not answer that
// takes no longer than any other request.
func TestLockWithALoginThatHangs(t *testing.T) {
	t.Parallel()
	endpoint := serve(t, &member{})
	client := connect(t, etcdclient.Config{User: "root", Password: "secret"})
	_, err := client.LockAt(t.Context(), ofDaemon(endpoint))
	if err == nil || !strings.HasPrefix(err.Error(), endpoint+": no answer in time") {
		t.Errorf("%v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := client.ConnWithin(ended, endpoint); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("after the end: %v", err)
	}
}

func TestLearnEndpoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ known, advertised, want []string }{
		{[]string{"https://10.0.0.1:2379"}, []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379"}, []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379"}},
		{[]string{"https://10.0.0.1:2379"}, []string{"https://127.0.0.1:2379", "https://localhost:2379", "https://[::1]:2379"}, []string{"https://10.0.0.1:2379"}},
		{[]string{"https://127.0.0.1:2379"}, []string{"https://127.0.0.1:22379", "https://etcd-2:2379"}, []string{"https://127.0.0.1:2379", "https://127.0.0.1:22379", "https://etcd-2:2379"}},
	} {
		if got := membership.LearnEndpoints(c.known, c.advertised); !slices.Equal(got, c.want) {
			t.Errorf("%q and %q give %q, want %q", c.known, c.advertised, got, c.want)
		}
	}
}
