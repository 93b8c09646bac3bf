package membership

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// keep renews the lease until ctx ends or the lease is lost.
func (l *etcdLock) keep(ctx context.Context) {
	defer close(l.done)
	for sleep(ctx, l.renewal) == nil {
		err := l.try(ctx, l.renew)
		if errors.Is(err, ErrLockLost) {
			return
		}
		// Members that have joined meanwhile may be all that is left one day. Where a renewal
		// has failed, the next one is what there is time for.
		if err == nil {
			_ = l.try(ctx, l.learnEndpoints)
		}
	}
}

func (l *etcdLock) renew(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	begin := l.client.now()
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: l.lease}); err != nil {
		return err
	}
	r, err := stream.Recv()
	if err != nil {
		return err
	}
	// A cluster that was restored from a backup has the lease as well, and not the lock.
	if r.TTL <= 0 || l.same(r.Header) != nil {
		l.extend(time.Time{}, 0)
		return final{ErrLockLost}
	}
	l.extend(begin, r.TTL)
	return stream.CloseSend()
}

func (l *etcdLock) learnEndpoints(ctx context.Context, conn *grpc.ClientConn) error {
	r, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range r.Members {
		l.endpoints = LearnEndpoints(l.endpoints, m.ClientURLs)
	}
	return nil
}

// LearnEndpoints returns the known endpoints, followed by those of what a member advertises
// that are new. A loopback address means another member on each host: it is learned only
// where known ones are such addresses, too, since all members are on this host then.
func LearnEndpoints(known, advertised []string) []string {
	here := slices.ContainsFunc(known, isHere)
	for _, endpoint := range advertised {
		if !slices.Contains(known, endpoint) && (here || !isHere(endpoint)) {
			known = append(known, endpoint)
		}
	}
	return known
}

func isHere(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && isLoopback(u.Hostname())
}

// Held implements [Lock]. The wall clock is asked too, since the monotonic one
// stands still while a host sleeps: whichever says that less is left is right.
func (l *etcdLock) Held(d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.client.now()
	left := min(l.deadline.Sub(now), l.deadline.Round(0).Sub(now.Round(0)))
	if left <= d {
		return fmt.Errorf("%w: %s are left of its lease", ErrLockLost, max(left, 0).Round(time.Second/10))
	}
	return nil
}

// Release implements [Lock]. The key goes with the lease.
func (l *etcdLock) Release(ctx context.Context) error {
	l.stop()
	<-l.done
	l.extend(time.Time{}, 0)
	if err := l.try(ctx, l.end); err != nil {
		return fmt.Errorf("release lock, which ends by itself within %s: %w", l.ttl, err)
	}
	return nil
}
