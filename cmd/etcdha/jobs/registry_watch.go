package jobs

import (
	"context"
	"errors"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/etcdha/etcdha/membership"
)

// Freed implements [election.Registry]. The lock is watched, and looked at as well each
// retry period, since a member that is cut off does not tell that its watch is dead.
// That nobody answers is an error after a lease duration: an election passes.
func (r *Registry) Freed(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	first, err := r.lookAtActive(ctx)
	if err != nil || first.created == 0 {
		return err
	}
	watched, answered, asked := r.watch(ctx, first), r.Now(), r.Now()
	look := time.NewTicker(r.RetryPeriod)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-watched:
			if err == nil {
				return nil
			}
			watched = nil // until the next look
			continue
		case <-look.C:
		}
		now, err := r.lookAtActive(ctx)
		switch {
		case err != nil && r.Now().Sub(answered) < r.LeaseDuration:
			continue
		case err != nil || now.created != first.created:
			return err
		}
		if answered = r.Now(); watched == nil {
			watched = r.watch(ctx, now)
		}
		if answered.Sub(asked) >= r.LeaseDuration {
			if asked = answered; r.over(ctx, now.lease) {
				return nil
			}
		}
	}
}

// over tells whether a lease has run out without being revoked, which a CORRUPT alarm forbids.
func (r *Registry) over(ctx context.Context, lease int64) (over bool) {
	err := r.do(ctx, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		over, err = membership.LeaseOver(ctx, conn, lease)
		return err
	})
	return err == nil && over
}

// sight is what was seen of the lock.
type sight struct {
	lease   int64
	created int64 // revision, 0: nobody has it
	at      int64 // revision
	conn    *grpc.ClientConn
}

func (r *Registry) lookAtActive(ctx context.Context) (s sight, err error) {
	err = r.do(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		found, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: r.active()})
		if err != nil {
			return err
		}
		s = sight{at: found.Header.Revision, conn: conn}
		if len(found.Kvs) > 0 {
			s.created, s.lease = found.Kvs[0].CreateRevision, found.Kvs[0].Lease
		}
		return nil
	})
	return s, err
}

func (r *Registry) active() []byte { return []byte(r.prefix + "active") }

// watch tells nil when the lock is freed, or an error when that cannot be seen any more.
func (r *Registry) watch(ctx context.Context, from sight) <-chan error {
	told := make(chan error, 1)
	go func() { told <- watchFreed(ctx, from, r.active()) }()
	return told
}

// errWatch says that the server ends a watch, as it does where it has compacted the
// revision from which it was to begin.
var errWatch = errors.New("the watch has ended")

func watchFreed(ctx context.Context, from sight, key []byte) error {
	ctx, end := context.WithCancel(ctx) // the stream goes with it
	defer end()
	stream, err := pb.NewWatchClient(from.conn).Watch(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: key, StartRevision: from.at + 1, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}}}}); err != nil {
		return err
	}
	for {
		told, err := stream.Recv()
		switch {
		case err != nil:
			return err
		case told.Canceled:
			return errWatch
		case slices.ContainsFunc(told.Events, func(e *mvccpb.Event) bool { return e.Type == mvccpb.Event_DELETE }):
			return nil
		}
	}
}

// do sends a request to one endpoint after the other, until one answers.
func (r *Registry) do(ctx context.Context, request func(context.Context, *grpc.ClientConn) error) error {
	var errs []error
	for _, endpoint := range r.inOrder() {
		err := r.once(ctx, endpoint, request)
		if err == nil {
			r.answered(endpoint)
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (r *Registry) once(ctx context.Context, endpoint string, request func(context.Context, *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, min(registryRequest, r.RetryPeriod))
	defer cancel()
	conn, err := r.client.ConnWithin(ctx, endpoint)
	if err != nil {
		return err
	}
	if err := request(ctx, conn); err != nil {
		return r.etcd.Diagnose(ctx, endpoint, err)
	}
	return nil
}

func (r *Registry) inOrder() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.endpoints)
}

func (r *Registry) answered(endpoint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.endpoints, endpoint); i > 0 {
		r.endpoints = slices.Insert(slices.Delete(r.endpoints, i, i+1), 0, endpoint)
	}
}

// learn remembers whom to ask should all others be gone.
func (r *Registry) learn(endpoints []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endpoints = membership.LearnEndpoints(r.endpoints, endpoints)
}
