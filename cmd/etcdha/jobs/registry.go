package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/membership"
)

// registryPrefix is where etcd holds who is active: below it, for each cluster by its name
// in the configuration, "active" and "instances/" with the instances' names.
const registryPrefix = "etcdha/daemon/"

// registryRequest bounds one look, so that an endpoint that does not answer leaves time
// for the next one.
const registryRequest = 2 * time.Second

// RegistryOptions say who takes part in elections, and how fast.
type RegistryOptions struct {
	Instance                   string
	LeaseDuration, RetryPeriod time.Duration // of the election
	// Now has to be monotonic, as time.Now is.
	Now func() time.Time
}

// Registry is the [election.Registry] of a cluster in its own etcd. It keeps connections
// to those members that it has to ask.
type Registry struct {
	RegistryOptions
	etcd   etcdclient.Config
	client *membership.EtcdClient
	prefix string
	local  string // endpoint, "" where there is none

	mu        sync.Mutex
	endpoints []string           // the one that answered last comes first
	self      *election.Instance // as [election.Attendance] has it
}

// NewRegistry returns the registry of a cluster. It connects when it is used.
func NewRegistry(c config.Cluster, o RegistryOptions) *Registry {
	etcd := connection(c)
	r := &Registry{
		RegistryOptions: o, etcd: etcd, client: membership.Connect(etcd, o.Now),
		prefix: registryPrefix + c.Name + "/", local: c.Local, endpoints: slices.Clone(c.Endpoints),
	}
	if r.local == "" {
		r.self = &election.Instance{Name: o.Instance}
	}
	return r
}

// Close implements io.Closer.
func (r *Registry) Close() error {
	r.client.Close()
	return nil
}

// Lead implements [election.Registry]. The lock has no owner: whoever finds one of its own
// name cannot tell whether the process before is dead.
func (r *Registry) Lead(ctx context.Context) (election.Lock, error) {
	return r.lock(ctx, "active", 0)
}

// Attend implements [election.Registry]. An instance with a member on its host attends
// once that has told its id, which lets others rank it.
func (r *Registry) Attend(ctx context.Context) (election.Lock, error) {
	self, err := r.whoAmI(ctx)
	if err != nil {
		return nil, err
	}
	return r.lock(ctx, "instances/"+self.Name, self.Member)
}

func (r *Registry) whoAmI(ctx context.Context) (election.Instance, error) {
	self := election.Instance{Name: r.Instance}
	if r.local == "" {
		return self, nil
	}
	err := r.once(ctx, r.local, func(ctx context.Context, conn *grpc.ClientConn) error {
		s, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		self.Member = s.GetHeader().GetMemberId()
		return err
	})
	if err != nil {
		return self, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self = &self
	return self, nil
}

// lock takes a lock that outlives ctx.
func (r *Registry) lock(ctx context.Context, key string, member uint64) (election.Lock, error) {
	kept, drop := context.WithCancel(context.WithoutCancel(ctx))
	taken := context.AfterFunc(ctx, drop)
	l, err := r.client.LockAt(kept, membership.LockOptions{
		Key: r.prefix + key, Endpoints: r.inOrder(), Who: r.Instance, Member: member,
		TTL: r.LeaseDuration, Renewal: r.RetryPeriod,
	})
	taken()
	locked, isLocked := errors.AsType[*membership.LockedError](err)
	switch {
	case isLocked:
		return nil, &election.TakenError{Who: locked.Who}
	case errors.Is(err, membership.ErrAlarmed):
		return nil, fmt.Errorf("%w: %w", election.ErrAlarmed, err)
	case err != nil:
		return nil, err
	}
	return l, nil
}

// entry is what the value of a lock's key says.
type entry struct {
	Who       string `json:"who"`
	Member    uint64 `json:"member"`
	ClusterID uint64 `json:"clusterID"`
}

// Attending implements [election.Registry].
func (r *Registry) Attending(ctx context.Context) (election.Attendance, error) {
	var found *pb.RangeResponse
	var members *pb.MemberListResponse
	var status *pb.StatusResponse
	err := r.do(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		if found, err = pb.NewKVClient(conn).Range(ctx, r.all()); err != nil {
			return err
		}
		if members, err = pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true}); err != nil {
			return err
		}
		if status, err = pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{}); err != nil || !alarmed(status) {
			return err
		}
		return living(ctx, conn, found)
	})
	if err != nil {
		return election.Attendance{}, err
	}
	a := r.read(found)
	for _, m := range members.Members {
		r.learn(m.ClientURLs)
		if !m.IsLearner {
			a.Voters = append(a.Voters, m.ID)
		}
	}
	a.Alarmed = alarmed(status)
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Self = r.self
	return a, nil
}

// read leaves out what a backup has brought along from the cluster that it is of.
func (r *Registry) read(found *pb.RangeResponse) election.Attendance {
	var a election.Attendance
	for _, kv := range found.Kvs {
		var e entry
		if json.Unmarshal(kv.Value, &e) != nil || e.ClusterID != found.Header.ClusterId {
			continue
		}
		if strings.HasPrefix(string(kv.Key), r.prefix+"instances/") {
			a.Instances = append(a.Instances, election.Instance{Name: e.Who, Member: e.Member})
		} else {
			a.Active = e.Who
		}
	}
	return a
}

// living leaves out what only stands there because an alarm forbids etcd to revoke leases.
func living(ctx context.Context, conn *grpc.ClientConn, found *pb.RangeResponse) error {
	var errs []error
	found.Kvs = slices.DeleteFunc(found.Kvs, func(kv *mvccpb.KeyValue) bool {
		over, err := membership.LeaseOver(ctx, conn, kv.Lease)
		errs = append(errs, err)
		return over
	})
	return errors.Join(errs...)
}

// all asks for all keys of the cluster.
func (r *Registry) all() *pb.RangeRequest {
	end := []byte(r.prefix)
	end[len(end)-1]++
	return &pb.RangeRequest{Key: []byte(r.prefix), RangeEnd: end}
}

// alarmed tells whether there is an alarm among what Status reports, where it is the text form
// of etcd's AlarmMember, such as "memberID:1234 alarm:NOSPACE".
func alarmed(s *pb.StatusResponse) bool {
	return slices.ContainsFunc(s.Errors, func(text string) bool { return strings.Contains(text, "alarm:") })
}
