package membership

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Change implements [Changer]. The request is sent once: etcd's client repeats
// only what has never left this host. It has the time that the configuration
// gives to one command.
func (c *EtcdClient) Change(ctx context.Context, endpoint string, step Step) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	conn, err := c.conn(endpoint)
	if err != nil {
		return err
	}
	return c.explain(ctx, endpoint, request(ctx, conn, step), "changes of the membership need the role root")
}

func request(ctx context.Context, conn *grpc.ClientConn, step Step) (err error) {
	cluster, id := pb.NewClusterClient(conn), uint64(step.ID)
	switch step.Kind {
	case quorum.AddLearner:
		_, err = cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: step.PeerURLs, IsLearner: true})
	case quorum.Promote:
		_, err = cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: id})
	case quorum.Remove:
		_, err = cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: id})
	case quorum.Update:
		_, err = cluster.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: id, PeerURLs: step.PeerURLs})
	case quorum.MoveLeader:
		_, err = pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: id})
	default:
		err = fmt.Errorf("%s is no change", step.Kind)
	}
	return err
}

// short bounds a request that does not take long.
func (c *EtcdClient) short(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.config.CommandTimeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.config.CommandTimeout)
}

// Defragment implements [Changer]. It takes as long as it takes: a member that
// is asked to give up goes on all the same.
func (c *EtcdClient) Defragment(ctx context.Context, endpoint string) error {
	conn, err := c.conn(endpoint)
	if err != nil {
		return err
	}
	_, err = pb.NewMaintenanceClient(conn).Defragment(ctx, &pb.DefragmentRequest{})
	return c.explain(ctx, endpoint, err, "defragmentation needs the role root")
}

// Disarm implements [Changer].
func (c *EtcdClient) Disarm(ctx context.Context, endpoint string, alarm Alarm) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	kind, ok := pb.AlarmType_value[string(alarm.Type)]
	if !ok {
		return fmt.Errorf("unknown alarm %s", alarm.Type)
	}
	conn, err := c.conn(endpoint)
	if err != nil {
		return err
	}
	_, err = pb.NewMaintenanceClient(conn).Alarm(ctx, &pb.AlarmRequest{
		Action:   pb.AlarmRequest_DEACTIVATE,
		MemberID: uint64(alarm.MemberID),
		Alarm:    pb.AlarmType(kind),
	})
	return c.explain(ctx, endpoint, err, "disarming needs the role root")
}

// refusals are what etcd's server says no with.
var refusals = []struct{ server, ours error }{
	{rpctypes.ErrUnhealthy, ErrUnhealthy},
	{rpctypes.ErrMemberNotEnoughStarted, ErrNotStarted},
	{rpctypes.ErrMemberNotFound, ErrNotFound},
	{rpctypes.ErrMemberExist, ErrExists},
	{rpctypes.ErrPeerURLExist, ErrExists},
	{rpctypes.ErrMemberNotLearner, ErrNotLearner},
	{rpctypes.ErrMemberLearnerNotReady, ErrNotReady},
	{rpctypes.ErrTooManyLearners, ErrLearners},
	{rpctypes.ErrNotLeader, ErrNotLeader},
	{rpctypes.ErrNoSpace, ErrAlarmed},
	{rpctypes.ErrCorrupt, ErrAlarmed},
}

// explain makes a short error of what a request returned, with the sentinel of
// a refusal, or with a hint where a user is not allowed to do it.
func (c *EtcdClient) explain(ctx context.Context, endpoint string, err error, role string) error {
	if err == nil {
		return nil
	}
	said := rpctypes.Error(err)
	for _, r := range refusals {
		if errors.Is(said, r.server) {
			return fmt.Errorf("%s: %w", endpoint, r.ours)
		}
	}
	if errors.Is(said, rpctypes.ErrPermissionDenied) && role != "" {
		return fail.WithHint(fmt.Errorf("%s: the user may not do this", endpoint), "%s", role)
	}
	return c.config.Diagnose(ctx, endpoint, err)
}
