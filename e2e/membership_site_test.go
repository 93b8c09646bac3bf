package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// site is a number of hosts named m1, m2 and so on, and the real etcd cluster
// on them, whose members come and go. Members reach each other through a
// network that can be cut, and clients reach every host.
type site struct {
	*throwaway.Cluster
	t       *testing.T
	version string
	net     *network

	mu      sync.Mutex // for the processes: the operator and the test start and stop them
	paused  map[string]bool
	down    map[string]bool   // the operator leaves that host alone
	life    map[string]uint64 // id of the member whose data a host has
	clients map[string]*clientv3.Client
}

// newSite starts a cluster on the first hosts. The other hosts are idle.
func newSite(t *testing.T, version string, members, hosts int) *site {
	t.Helper()
	s := &site{
		t: t, version: version, net: newNetwork(t),
		paused: make(map[string]bool), down: make(map[string]bool), life: make(map[string]uint64), clients: make(map[string]*clientv3.Client),
	}
	dir := t.TempDir()
	c, err := throwaway.New(throwaway.Options{
		Parent: dir, Members: members, Command: []string{tool("etcd" + version + "/etcd")},
		Token: "e2e-" + filepath.Base(dir), Quota: 8 << 30, Now: time.Now, PeerProxy: s.net.proxy,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Cluster = c
	t.Cleanup(s.close)
	for _, m := range c.Members {
		s.net.know(m.Name, m.PeerURL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.members() {
		s.life[m.Name] = m.ID
	}
	for i := members; i < hosts; i++ {
		m, err := c.NewMember(fmt.Sprintf("m%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		s.net.know(m.Name, m.PeerURL)
	}
	return s
}

func (s *site) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, client := range s.clients {
		_ = client.Close()
	}
	if s.t.Failed() {
		_, _ = s.KeepLogs(s.t.ArtifactDir()) // which go test -artifacts keeps
	}
	_ = s.Close()
}

func (s *site) host(name string) *throwaway.Member {
	i := slices.IndexFunc(s.Members, func(m *throwaway.Member) bool { return m.Name == name })
	if i < 0 {
		panic("no host " + name)
	}
	return s.Members[i]
}

// on are the flags that connect a tool to the etcd on these hosts.
func (s *site) on(names ...string) []string {
	var endpoints []string
	for _, name := range names {
		endpoints = append(endpoints, s.host(name).ClientURL)
	}
	config := s.Config()
	return []string{
		"--endpoints=" + strings.Join(endpoints, ","),
		"--cacert=" + config.CACert, "--cert=" + config.Cert, "--key=" + config.Key,
	}
}

// etcdctl is the stock tool of the site's version.
func (s *site) etcdctl() string { return tool("etcd" + s.version + "/etcdctl") }

// client returns a client of the etcd on one host.
func (s *site) client(name string) *clientv3.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[name] == nil {
		config := s.Config()
		client, err := config.Dial(s.host(name).ClientURL)
		if err != nil {
			panic(err) // only certificates could be wrong
		}
		s.clients[name] = client
	}
	return s.clients[name]
}

// kill ends the etcd on a host, and keeps the operator from starting it.
func (s *site) kill(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.down[name], s.paused[name] = true, false
		s.KillMember(s.host(name))
	}
}

// mayRun lets the operator start an etcd on that host again.
func (s *site) mayRun(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[name] = false
}

func (s *site) pause(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.host(name).Pause(); err == nil {
		s.paused[name] = true
	}
}

func (s *site) resume(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused[name] = false
	_ = s.host(name).Resume() // it may have been killed
}

// running are the hosts whose etcd could answer.
func (s *site) running() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, m := range s.Members {
		if !m.Exited() && !s.paused[m.Name] {
			names = append(names, m.Name)
		}
	}
	return names
}

// answerTime is for a member on loopback that has nothing else to do but to
// live on a machine that may be busy.
const answerTime = time.Second

// list is the member list as a host has it, or the cluster's own.
func (s *site) list(ctx context.Context, host string, linearizable bool) ([]*pb.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerTime)
	defer cancel()
	resp, err := pb.NewClusterClient(s.client(host).ActiveConnection()).MemberList(ctx, &pb.MemberListRequest{Linearizable: linearizable})
	if err != nil {
		return nil, err
	}
	return resp.Members, nil
}

// members is the cluster's own list, from any host that has it.
func (s *site) members() []*pb.Member {
	for _, host := range s.running() {
		if list, err := s.list(s.t.Context(), host, true); err == nil {
			return list
		}
	}
	return nil
}

// member returns the member with that name, or with the peer URL of that host.
func (s *site) member(name string) *pb.Member {
	for _, m := range s.members() {
		if m.Name == name || slices.Contains(m.PeerURLs, s.host(name).PeerURL) {
			return m
		}
	}
	return nil
}

func (s *site) id(name string) string {
	s.t.Helper()
	var m *pb.Member
	eventually(s.t, name+" is in the list", func() bool {
		m = s.member(name)
		return m != nil
	})
	return fmt.Sprintf("%x", m.ID)
}

// voters and learners are the names in the cluster's own list, in order.
func (s *site) voters() []string   { return s.names(false) }
func (s *site) learners() []string { return s.names(true) }

func (s *site) names(learners bool) []string {
	names := []string{}
	for _, m := range s.members() {
		if m.IsLearner == learners {
			names = append(names, s.hostOf(m))
		}
	}
	slices.Sort(names)
	return names
}

// hostOf is the name of the host that a member is meant for.
func (s *site) hostOf(m *pb.Member) string {
	for _, h := range s.Members {
		if slices.Contains(m.PeerURLs, h.PeerURL) {
			return h.Name
		}
	}
	return fmt.Sprintf("stranger %x", m.ID)
}

// leader is the host of the leader that its followers name.
func (s *site) leader() string {
	s.t.Helper()
	var leader string
	eventually(s.t, "there is a leader", func() bool {
		for _, host := range s.running() {
			status, err := s.status(host)
			if err == nil && status.Leader == status.Header.MemberId && status.Leader != 0 {
				leader = host
				return true
			}
		}
		return false
	})
	return leader
}

func (s *site) status(host string) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), answerTime)
	defer cancel()
	return pb.NewMaintenanceClient(s.client(host).ActiveConnection()).Status(ctx, &pb.StatusRequest{})
}

// allAnswer tells whether every member that has ever started follows a leader,
// except for one.
func (s *site) allAnswer(except string) bool {
	list := s.members()
	for _, m := range list {
		if host := s.hostOf(m); m.Name != "" && host != except {
			if status, err := s.status(host); err != nil || status.Leader == 0 {
				return false
			}
		}
	}
	return len(list) > 0
}

// follower is any voter that does not lead.
func (s *site) follower() string {
	s.t.Helper()
	return s.otherThan(s.leader(), "")
}

// otherThan is a voter that is neither of these.
func (s *site) otherThan(a, b string) (other string) {
	s.t.Helper()
	eventually(s.t, "a voter besides", func() bool {
		voters := slices.DeleteFunc(s.voters(), func(name string) bool { return name == a || name == b })
		if len(voters) > 0 {
			other = voters[0]
		}
		return other != ""
	})
	return other
}

// hasQuorum tells whether a write through that host is acknowledged.
func (s *site) hasQuorum(host string) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second) // an election takes one at most
	defer cancel()
	_, err := s.client(host).Put(ctx, "/quorum", "there")
	return err == nil
}
