package membership

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/membership/quorum"
)

// EtcdClient is the [Client] of a real cluster. It may be used by several
// goroutines at the same time.
type EtcdClient struct {
	config etcdclient.Config
	now    func() time.Time

	mu     sync.Mutex
	conns  map[string]*clientv3.Client // by endpoint
	clocks map[string]*time.Duration   // how far ahead they were; nil: cannot be seen
}

// Connect makes a client. Connections are made when they are needed, one for
// each endpoint, so that a request reaches the member that is meant. The times
// that now gives have to be monotonic, as those of time.Now are. The caller
// closes the client.
func Connect(config etcdclient.Config, now func() time.Time) *EtcdClient {
	return &EtcdClient{
		config: config,
		now:    now,
		conns:  make(map[string]*clientv3.Client),
		clocks: make(map[string]*time.Duration),
	}
}

// Close closes all connections.
func (c *EtcdClient) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close() // whoever has a request in flight sees that
	}
	clear(c.conns)
}

// Conn returns the connection to an endpoint, for other requests than those of a
// [Client]. It is not to be kept, nor closed.
func (c *EtcdClient) Conn(endpoint string) (*grpc.ClientConn, error) { return c.conn(endpoint) }

// conn returns the connection to an endpoint. One that has failed is made anew:
// it would refuse requests for a while even when the member is back.
func (c *EtcdClient) conn(endpoint string) (*grpc.ClientConn, error) {
	if conn := c.cached(endpoint); conn != nil {
		return conn, nil
	}
	client, err := c.config.Dial(endpoint) // which may take a while
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.conns[endpoint]; other != nil { // somebody was faster
		_ = client.Close()
		return other.ActiveConnection(), nil
	}
	c.conns[endpoint] = client
	return client.ActiveConnection(), nil
}

func (c *EtcdClient) cached(endpoint string) *grpc.ClientConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	client := c.conns[endpoint]
	if client == nil {
		return nil
	}
	if conn := client.ActiveConnection(); conn.GetState() != connectivity.TransientFailure {
		return conn
	}
	delete(c.conns, endpoint)
	_ = client.Close()
	return nil
}

// Status implements [Reader].
func (c *EtcdClient) Status(ctx context.Context, endpoint string) (Status, error) {
	conn, err := c.conn(endpoint)
	if err != nil {
		return Status{}, err
	}
	begin := c.now()
	r, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return Status{}, c.explain(ctx, endpoint, err, "")
	}
	s := Status{
		ClusterID:   r.Header.ClusterId,
		MemberID:    quorum.ID(r.Header.MemberId),
		Version:     r.Version,
		DBSize:      r.DbSize,
		DBSizeInUse: r.DbSizeInUse,
		DBSizeQuota: r.DbSizeQuota,
		Leader:      quorum.ID(r.Leader),
		RaftTerm:    r.RaftTerm,
		RaftIndex:   r.RaftIndex,
		RaftApplied: r.RaftAppliedIndex,
		Revision:    r.Header.Revision,
		Learner:     r.IsLearner,
		Latency:     c.now().Sub(begin),
		ClockAhead:  c.clock(ctx, endpoint),
	}
	for _, text := range r.Errors {
		if alarm, ok := parseAlarm(text); ok {
			s.Alarms = append(s.Alarms, alarm)
		} else {
			s.Errors = append(s.Errors, text)
		}
	}
	return s, nil
}

// parseAlarm reads what Status says of an alarm, such as "memberID:1234
// alarm:NOSPACE". That is the text form of a protobuf message: spaces vary, and
// a member id of 0, for a corruption of nobody knows whom, is left out.
func parseAlarm(text string) (alarm Alarm, ok bool) {
	for _, field := range strings.Fields(text) {
		key, value, _ := strings.Cut(field, ":")
		switch key {
		case "memberID":
			id, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return Alarm{}, false
			}
			alarm.MemberID = quorum.ID(id)
		case "alarm":
			alarm.Type = AlarmType(value)
		default:
			return Alarm{}, false
		}
	}
	return alarm, alarm.Type != ""
}

// Members implements [Reader].
func (c *EtcdClient) Members(ctx context.Context, endpoint string, linearizable bool) (List, error) {
	conn, err := c.conn(endpoint)
	if err != nil {
		return List{}, err
	}
	r, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: linearizable})
	if err != nil {
		return List{}, c.explain(ctx, endpoint, err, "")
	}
	list := List{ClusterID: r.Header.ClusterId, MemberID: quorum.ID(r.Header.MemberId)}
	for _, m := range r.Members {
		list.Members = append(list.Members, Listed{
			ID:         quorum.ID(m.ID),
			Name:       m.Name,
			PeerURLs:   m.PeerURLs,
			ClientURLs: m.ClientURLs,
			Learner:    m.IsLearner,
		})
	}
	return list, nil
}

// Hash implements [Reader]. With authentication on, it takes the role root.
func (c *EtcdClient) Hash(ctx context.Context, endpoint string, revision int64) (Hash, error) {
	conn, err := c.conn(endpoint)
	if err != nil {
		return Hash{}, err
	}
	r, err := pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	if err != nil {
		return Hash{}, c.explain(ctx, endpoint, err, "hashes need the role root")
	}
	if revision == 0 {
		revision = r.Header.Revision
	}
	return Hash{Hash: r.Hash, Revision: revision, CompactRevision: r.CompactRevision}, nil
}
