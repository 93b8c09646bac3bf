package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// Member is an etcd member that answered.
type Member struct {
	Endpoint string
	ID       uint64
	Name     string
	Status   *pb.StatusResponse // when it was connected

	client *clientv3.Client
	config etcdclient.Config
}

// IDString is the member's id as etcdctl prints it.
func (m *Member) IDString() string { return fmt.Sprintf("%x", m.ID) }

// String names the member for people.
func (m *Member) String() string {
	if m.Name == "" {
		return fmt.Sprintf("%s (%s)", m.IDString(), m.Endpoint)
	}
	return fmt.Sprintf("%s (%s)", m.Name, m.Endpoint)
}

// IsLeader tells whether the member led its cluster when it was connected.
func (m *Member) IsLeader() bool { return m.Status.Leader == m.ID }

// maintenance is the member's own maintenance service: nothing in between
// chooses another endpoint.
func (m *Member) maintenance() pb.MaintenanceClient {
	return pb.NewMaintenanceClient(m.client.ActiveConnection())
}

func (m *Member) short(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, m.config.CommandTimeout)
}

func (m *Member) status(ctx context.Context) (*pb.StatusResponse, error) {
	ctx, cancel := m.short(ctx)
	defer cancel()
	s, err := m.maintenance().Status(ctx, &pb.StatusRequest{})
	return s, m.config.Diagnose(ctx, m.Endpoint, err)
}

// Cluster is the connected members of one cluster. Close it after use.
type Cluster struct {
	ID      uint64
	Members []*Member
	config  etcdclient.Config
	log     *slog.Logger
}

// Connect asks every endpoint of config for its status, at the same time.
// It is an error if none answers or if they are not of one cluster; endpoints
// that do not answer among others that do are logged.
func Connect(ctx context.Context, config etcdclient.Config, log *slog.Logger) (*Cluster, error) {
	members := make([]*Member, len(config.Endpoints))
	errs := make([]error, len(config.Endpoints))
	var wg sync.WaitGroup
	for i, endpoint := range config.Endpoints {
		wg.Go(func() { members[i], errs[i] = connect(ctx, config, endpoint) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil { // which gRPC would call something else
		return nil, err
	}
	c := &Cluster{config: config, log: log}
	for i, m := range members {
		if errs[i] != nil {
			continue
		}
		c.Members = append(c.Members, m)
	}
	if len(c.Members) == 0 {
		return nil, fmt.Errorf("connect to etcd: %w", errors.Join(errs...))
	}
	c.ID = c.Members[0].Status.Header.ClusterId
	for _, err := range errs {
		if err != nil {
			log.Warn("endpoint does not answer", "error", err)
		}
	}
	if err := c.checkOneCluster(); err != nil {
		c.Close()
		return nil, err
	}
	c.learnNames(ctx)
	return c, nil
}

func connect(ctx context.Context, config etcdclient.Config, endpoint string) (*Member, error) {
	client, err := config.Dial(endpoint)
	if err != nil {
		return nil, err
	}
	m := &Member{Endpoint: endpoint, client: client, config: config}
	m.Status, err = m.status(ctx)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	m.ID = m.Status.Header.MemberId
	return m, nil
}

func (c *Cluster) checkOneCluster() error {
	first := c.Members[0]
	for _, m := range c.Members[1:] {
		if id := m.Status.Header.ClusterId; id != c.ID {
			return fail.WithHint(fail.Usagef("endpoints of different clusters: %s is of %x, %s of %x",
				first.Endpoint, c.ID, m.Endpoint, id), "give the endpoints of one cluster in --endpoints")
		}
	}
	return nil
}

// list reads the member list that one member has, without quorum.
func (c *Cluster) list(ctx context.Context) []*pb.Member {
	for _, m := range c.Members {
		ctx, cancel := m.short(ctx)
		resp, err := m.client.MemberList(ctx, clientv3.WithSerializable())
		cancel()
		if err == nil {
			return resp.Members
		}
	}
	return nil
}

// learnNames fills in names. They are for people, so their absence is no error.
func (c *Cluster) learnNames(ctx context.Context) {
	for _, listed := range c.list(ctx) {
		for _, m := range c.Members {
			if m.ID == listed.ID {
				m.Name = listed.Name
			}
		}
	}
}

// Discover connects the members that the endpoints left out, by the client
// URLs in the member list, and returns the names of those that do not answer.
func (c *Cluster) Discover(ctx context.Context) (silent []string) {
	for _, listed := range c.list(ctx) {
		known := slices.ContainsFunc(c.Members, func(m *Member) bool { return m.ID == listed.ID })
		if known {
			continue
		}
		for _, url := range listed.ClientURLs {
			m, err := connect(ctx, c.config, url)
			if err == nil && m.ID == listed.ID && m.Status.Header.ClusterId == c.ID {
				m.Name = listed.Name
				c.Members = append(c.Members, m)
				known = true
				break
			}
			if err == nil { // another member answers there, through a tunnel or a loopback address
				_ = m.client.Close()
			}
		}
		if !known {
			silent = append(silent, fmt.Sprintf("%s (%x)", listed.Name, listed.ID))
		}
	}
	return silent
}

// Shares tells whether a member that a snapshot names is in the member list.
// Ids are made of names, URLs and token, so that another cluster has others.
func (c *Cluster) Shares(ctx context.Context, members []dbfile.Member) bool {
	return slices.ContainsFunc(c.list(ctx), func(listed *pb.Member) bool {
		return slices.ContainsFunc(members, func(m dbfile.Member) bool { return m.ID == listed.ID })
	})
}

// Member returns the connected member with the given id, or nil.
func (c *Cluster) Member(id uint64) *Member {
	for _, m := range c.Members {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// Close closes the connections.
func (c *Cluster) Close() {
	for _, m := range c.Members {
		_ = m.client.Close() // nothing is in flight
	}
}

// Choose returns the member to stream from: a voter that is healthy and up to
// date, a follower before the leader. With one endpoint that member is meant.
// A member that cannot be trusted to hold all that the cluster has acknowledged
// is [fail.ErrUnsafe], unless emergency is set: then the one endpoint given is
// taken as it is, since in a disaster there may be nothing better.
func (c *Cluster) Choose(ctx context.Context, emergency bool) (*Member, error) {
	if emergency {
		if len(c.config.Endpoints) != 1 {
			return nil, fail.Usagef("--emergency takes exactly one endpoint: the survivor to save")
		}
		return c.Members[0], nil
	}
	candidates := slices.Clone(c.Members)
	slices.SortStableFunc(candidates, func(a, b *Member) int { return rank(a) - rank(b) })
	var committed uint64
	for _, m := range c.Members {
		if m.IsLeader() {
			if s, err := m.status(ctx); err == nil {
				committed = s.RaftIndex
			}
		}
	}
	var refusals []string
	for _, m := range candidates {
		reason := m.checkCurrent(ctx, committed)
		if reason == "" {
			return m, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.log.Warn("member not used", "member", m.String(), "reason", reason)
		refusals = append(refusals, m.String()+" "+reason)
	}
	return nil, fail.WithHint(fail.Unsafef("no member to take a snapshot from: %s", strings.Join(refusals, "; ")),
		"if quorum is lost, --emergency with the endpoint of one survivor saves what that member has")
}

func rank(m *Member) int {
	if m.IsLeader() {
		return 1
	}
	return 0
}

// checkCurrent returns why the member is no source of a backup, or "". A
// linearizable read makes it catch up with the leader's commit index of now;
// its applied index is then held against the one read before.
func (m *Member) checkCurrent(ctx context.Context, committed uint64) string {
	switch {
	case m.Status.IsLearner:
		return "is a learner"
	case m.Status.Leader == 0:
		return "has no leader"
	case m.hasCorruptAlarm():
		return "has a CORRUPT alarm"
	}
	readCtx, cancel := m.short(ctx)
	defer cancel()
	_, err := m.client.Get(readCtx, "\x00", clientv3.WithCountOnly())
	if err != nil && !strings.Contains(err.Error(), "permission denied") { // which comes after the catching up
		return "is cut off from its leader: " + etcdclient.Explain(m.Endpoint, err).Error()
	}
	s, err := m.status(ctx)
	if err != nil {
		return err.Error()
	}
	if s.RaftAppliedIndex < committed {
		return fmt.Sprintf("is behind: applied %d of %d", s.RaftAppliedIndex, committed)
	}
	m.Status = s
	return ""
}

// hasCorruptAlarm looks for the alarm in the texts that Status carries, such as
// "memberID:1234 alarm:CORRUPT".
func (m *Member) hasCorruptAlarm() bool {
	return slices.ContainsFunc(m.Status.Errors, func(e string) bool {
		return strings.Contains(e, "CORRUPT") && strings.Contains(e, fmt.Sprint(m.ID))
	})
}

// hashKV asks the member for its hash. The member applies nothing meanwhile.
func (m *Member) hashKV(ctx context.Context, revision int64, timeout time.Duration) (*pb.HashKVResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return m.maintenance().HashKV(ctx, &pb.HashKVRequest{Revision: revision})
}
