package membership

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/etcdha/etcdha/internal/fail"
)

// LockKey is the key of the lock of the membership in etcd. Its value is JSON,
// {"who", "since", "clusterID", "owner", "member"}, as that of every lock.
const LockKey = "etcdha/membership"

const (
	// LockTTL is how long the lock of the membership outlives its holder.
	LockTTL = 10 * time.Second
	// LockWait is how long a lock of somebody else can last although its holder
	// is dead: the rest of the lease, a whole TTL more where a new leader has
	// extended all leases, and a margin for the election and the revocation.
	LockWait = 2*LockTTL + 5*time.Second

	// lockRenewal leaves three tries before the lease ends.
	lockRenewal = LockTTL / 4
	// lockRequest bounds one request, so that an endpoint that does not answer
	// leaves time for the next one. Nor does one take longer than a renewal is away.
	lockRequest = 2 * time.Second
)

// lockValue is what the key holds.
type lockValue struct {
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
	// ClusterID tells a lock from one that a backup has brought along, which nobody holds.
	ClusterID uint64 `json:"clusterID"`
	Owner     string `json:"owner,omitempty"`
	Member    uint64 `json:"member,omitempty"`
}

// LockOptions say which lock is taken, and for whom.
type LockOptions struct {
	Key       string
	Endpoints []string
	Who       string // for others, who find it taken
	// Owner is the same for all callers who cannot act at the same time, since a lock
	// of their host keeps them apart. One that finds the lock of its own owner comes
	// after somebody who has died, and takes it over. "" is nobody's.
	Owner string
	// Member is the id of the member on the holder's host, for others. 0 is none.
	Member uint64
	// TTL is how long the lock outlives its holder, in whole seconds.
	TTL time.Duration
	// Renewal is the time between two renewals. Default: a quarter of LockTTL.
	Renewal time.Duration
}

// etcdLock is a key with a lease. The key is created only if it is absent; as
// long as the lease lives, nobody else can. The lease is renewed through any
// member that answers, since members come and go while the lock is held.
type etcdLock struct {
	client  *EtcdClient
	key     string
	ttl     time.Duration
	renewal time.Duration // between two
	lease   int64
	value   lockValue
	stop    context.CancelFunc
	done    chan struct{}

	mu        sync.Mutex
	endpoints []string  // the one that answered last comes first
	deadline  time.Time // the lease lives at least until then
}

// Lock implements [Locker].
func (c *EtcdClient) Lock(ctx context.Context, endpoints []string, who string) (Lock, error) {
	return c.LockAt(ctx, LockOptions{Key: LockKey, Endpoints: endpoints, Who: who, TTL: LockTTL})
}

// LockAt is [EtcdClient.Lock] for what has a lock of its own, at another key.
func (c *EtcdClient) LockAt(ctx context.Context, o LockOptions) (Lock, error) {
	l := &etcdLock{
		client: c, key: o.Key, ttl: o.TTL, renewal: cmp.Or(o.Renewal, lockRenewal), endpoints: slices.Clone(o.Endpoints),
		value: lockValue{Who: o.Who, Since: c.now().UTC(), Owner: o.Owner, Member: o.Member}, done: make(chan struct{}),
	}
	// Whoever waits for a lock looks often, which is to cost no write. And whoever has
	// locked before an alarm still acts.
	if err := l.try(ctx, l.look); err != nil {
		return nil, err
	}
	if err := l.try(ctx, l.grant); err != nil {
		return nil, err
	}
	if err := l.try(ctx, l.create); err != nil {
		// The create may have had its effect all the same.
		_ = l.try(context.WithoutCancel(ctx), l.end)
		return nil, err
	}
	renewal, stop := context.WithCancel(ctx)
	l.stop = stop
	go l.keep(renewal)
	return l, nil
}

// final is an error that no other endpoint will change.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// try sends a request to one endpoint after the other, until one answers.
func (l *etcdLock) try(ctx context.Context, request func(context.Context, *grpc.ClientConn) error) error {
	l.mu.Lock()
	endpoints := slices.Clone(l.endpoints)
	l.mu.Unlock()
	var errs []error
	for _, endpoint := range endpoints {
		err := l.once(ctx, endpoint, request)
		if err == nil {
			l.prefer(endpoint)
			return nil
		}
		if f, ok := errors.AsType[final](err); ok {
			return f.error
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (l *etcdLock) once(ctx context.Context, endpoint string, request func(context.Context, *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, min(lockRequest, l.renewal))
	defer cancel()
	conn, err := l.client.ConnWithin(ctx, endpoint)
	if err != nil {
		return err
	}
	err = request(ctx, conn)
	if _, ok := errors.AsType[final](err); ok || err == nil {
		return err
	}
	if errors.Is(err, errOtherCluster) {
		return fmt.Errorf("%s: %w", endpoint, err)
	}
	err = l.client.explain(ctx, endpoint, err, lockRole)
	if errors.Is(err, ErrAlarmed) || fail.Hint(err) == lockRole {
		return final{err}
	}
	return err
}

// lockRole is what to do where authentication is on and the user may do too little.
const lockRole = `the lock is a key below etcdha/, which the user has to be allowed to write: ` +
	`etcdctl role grant-permission ROLE readwrite etcdha/ --prefix; changes of the membership need the role root anyway`

func (l *etcdLock) prefer(endpoint string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.endpoints, endpoint); i > 0 {
		l.endpoints = slices.Insert(slices.Delete(l.endpoints, i, i+1), 0, endpoint)
	}
}

func (l *etcdLock) grant(ctx context.Context, conn *grpc.ClientConn) error {
	begin := l.client.now() // the server counts from later
	r, err := pb.NewLeaseClient(conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: int64(l.ttl / time.Second)})
	if err != nil {
		return err
	}
	if err := l.same(r.GetHeader()); err != nil {
		_ = revoke(ctx, conn, r.ID)
		return err
	}
	l.lease = r.ID
	l.extend(begin, r.TTL)
	return nil
}

// errOtherCluster is the answer of a member of another cluster, such as one that was restored
// behind the same endpoint.
var errOtherCluster = errors.New("it belongs to another cluster than the one before")

// same is an error unless an answer comes from the cluster in which the lock was looked at.
func (l *etcdLock) same(h *pb.ResponseHeader) error {
	if h.GetClusterId() != l.value.ClusterID {
		return errOtherCluster
	}
	return nil
}

func (l *etcdLock) extend(from time.Time, seconds int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = from.Add(time.Duration(seconds) * time.Second)
}

// create makes the key if there is none. A key with our lease is ours: an
// earlier try has had its effect without our knowing. One that nobody can hold any
// more goes with its lease, and then the key is made after all.
func (l *etcdLock) create(ctx context.Context, conn *grpc.ClientConn) error {
	holder, err := l.put(ctx, conn)
	if err == nil && holder != nil && l.takesOver(holder.Value) {
		if err := revoke(ctx, conn, holder.Lease); err != nil {
			return err
		}
		holder, err = l.put(ctx, conn)
	}
	if err == nil && holder != nil {
		return final{l.heldBy(holder.Value)}
	}
	return err
}

// put makes the key, or returns the one that somebody else has made.
func (l *etcdLock) put(ctx context.Context, conn *grpc.ClientConn) (*mvccpb.KeyValue, error) {
	key := []byte(l.key)
	value, err := json.Marshal(l.value)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	r, err := pb.NewKVClient(conn).Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: key, Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 0}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{
			RequestPut: &pb.PutRequest{Key: key, Value: value, Lease: l.lease}}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{
			RequestRange: &pb.RangeRequest{Key: key}}}},
	})
	if err == nil {
		err = l.same(r.Header)
	}
	if err != nil || r.Succeeded {
		return nil, err
	}
	kvs := r.Responses[0].GetResponseRange().GetKvs()
	if len(kvs) == 0 {
		return nil, errors.New("the lock is neither free nor held")
	}
	if kvs[0].Lease == l.lease {
		return nil, nil
	}
	return kvs[0], nil
}

// takesOver tells whether nobody alive can hold a lock: one of our owner, or one of
// the cluster that this one was restored from.
func (l *etcdLock) takesOver(value []byte) bool {
	var v lockValue
	if json.Unmarshal(value, &v) != nil {
		return false
	}
	return v.Owner != "" && v.Owner == l.value.Owner || v.ClusterID != 0 && v.ClusterID != l.value.ClusterID
}

// look is an error if somebody holds the lock, or if that cannot be seen. A CORRUPT alarm
// forbids etcd to revoke leases, so that a key outlives its own. Nobody holds that.
func (l *etcdLock) look(ctx context.Context, conn *grpc.ClientConn) error {
	r, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte(l.key)})
	if err != nil {
		return err
	}
	l.value.ClusterID = r.GetHeader().GetClusterId()
	if len(r.Kvs) == 0 || l.takesOver(r.Kvs[0].Value) {
		return nil
	}
	over, err := LeaseOver(ctx, conn, r.Kvs[0].Lease)
	if err != nil || over {
		return err
	}
	return final{l.heldBy(r.Kvs[0].Value)}
}

// LeaseOver tells whether a lease has run out, although its keys may still be there. No lease, 0,
// never does.
func LeaseOver(ctx context.Context, conn *grpc.ClientConn, lease int64) (bool, error) {
	if lease == 0 {
		return false, nil
	}
	r, err := pb.NewLeaseClient(conn).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: lease})
	if err != nil {
		return false, err
	}
	return r.TTL < 0, nil // whole seconds, rounded towards zero: below that it is certain
}

func (l *etcdLock) heldBy(value []byte) *LockedError {
	var v lockValue
	if json.Unmarshal(value, &v) != nil {
		v.Who = "somebody who left no name"
	}
	return &LockedError{Key: l.key, Who: v.Who, Since: v.Since}
}

// end gives the lease back. The key goes with it.
func (l *etcdLock) end(ctx context.Context, conn *grpc.ClientConn) error {
	return revoke(ctx, conn, l.lease)
}

func revoke(ctx context.Context, conn *grpc.ClientConn, lease int64) error {
	_, err := pb.NewLeaseClient(conn).LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease})
	if errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) {
		return nil // it has ended by itself
	}
	return err
}
