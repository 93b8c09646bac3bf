package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

type followedCluster struct{ n *followed }

func (c followedCluster) Observe(context.Context) (*Membership, error) {
	if c.n.noQuorum != nil {
		return nil, c.n.noQuorum
	}
	m := &Membership{ClusterID: 77, Members: slices.Clone(c.n.members), Revision: c.n.revision}
	for i := range m.Members {
		_, m.Members[i].Withdrawn = c.n.marks[m.Members[i].ID]
	}
	return m, nil
}

func (c followedCluster) Lock(ctx context.Context, _ Holder, wait func(string)) (Lock, error) {
	for c.n.holder != "" {
		wait(c.n.holder)
		c.n.pass(ctx, time.Second)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return followedLock{}, nil
}

type followedDialer struct{ n *followed }

func (d followedDialer) Ask(_ context.Context, server string) (Server, error) {
	if id, ok := d.n.names[server]; ok {
		return Server{ClusterID: 77, MemberID: id, Leader: true}, nil
	}
	return Server{}, errors.New("nobody answers at " + server)
}

type followedLock struct{}

func (followedLock) Held(time.Duration) error      { return nil }
func (followedLock) Release(context.Context) error { return nil }

// followedRegistry has what a follower uses of one.
type followedRegistry struct {
	Registry
	n *followed
}

func (r followedRegistry) Withdrawals(context.Context) ([]Withdrawal, int64, error) {
	var all []Withdrawal
	for id, revision := range r.n.marks {
		all = append(all, Withdrawal{ID: id, Revision: revision})
	}
	return all, r.n.revision, nil
}

func (r followedRegistry) Endpoints(context.Context) ([]Endpoint, error) {
	if len(r.n.reports) == 0 {
		return nil, nil
	}
	return []Endpoint{{Report: &r.n.reports[len(r.n.reports)-1]}}, nil
}

func (r followedRegistry) Report(_ context.Context, report Report) error {
	r.n.revision++
	r.n.reports = append(r.n.reports, report)
	return nil
}

// followedSite takes five seconds for a restart.
type followedSite struct {
	n    *followed
	site *Site
}

func (s *followedSite) Rewire(ctx context.Context, _ *etcdservers.File, servers []string) error {
	n := s.n
	n.attempts++
	lock, err := s.site.Cluster.Lock(ctx, Holder{Who: "cp1"}, s.site.Reporter.Waiting)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer func() { _ = lock.Release(ctx) }()
	seen, err := s.site.Cluster.Observe(ctx)
	if err != nil {
		return err
	}
	if err := s.site.Recheck(seen); err != nil {
		return fmt.Errorf("under the lock: %w", err)
	}
	if n.fails != nil {
		if err := n.fails(servers); err != nil {
			return err
		}
	}
	n.write(servers)
	if err := s.site.Restart(ctx); err != nil {
		return err
	}
	n.pass(context.WithoutCancel(ctx), 5*time.Second)
	n.running = servers
	n.restarts = append(n.restarts, restart{n.clock, servers})
	return nil
}

func (s *followedSite) Resume(context.Context, *etcdservers.File) error {
	if s.n.left != nil {
		s.n.left()
		s.n.left = nil
	}
	return nil
}

func (s *followedSite) Serving(_ context.Context, f *etcdservers.File) error {
	if s.n.notReady != nil {
		return s.n.notReady
	}
	if !slices.Equal(s.n.running, f.Servers) {
		return errors.New("process 4711 runs with other servers")
	}
	return nil
}

// systemctl restarts the apiserver, and says nothing while it does.
func (n *followed) systemctl(ctx context.Context) error {
	n.pass(context.WithoutCancel(ctx), n.slowly)
	return nil
}
