package apiserver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"
)

// A list that has shrunk to the member on this host grows again, also if the agent
// was started anew meanwhile. One that somebody has made stacked stays so.
func TestAListThatShrinksToItsOwnHost(t *testing.T) {
	n := newFollowed(t)
	n.member(1).ClientURLs = []string{"https://10.0.0.11:2379"}
	n.write([]string{"https://10.0.0.11:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"})
	n.running = n.servers()
	n.run(time.Minute)
	n.remove(2)
	n.remove(3)
	n.run(2 * time.Minute)
	n.wantServers([]string{"https://10.0.0.11:2379"}, 1)
	n.start()
	n.members = append(n.members, voter(2))
	n.run(2 * time.Minute)
	n.wantServers([]string{"https://10.0.0.11:2379", "https://10.0.0.2:2379"}, 2)

	n.write([]string{"https://127.0.0.1:2379"})
	n.running = n.servers()
	n.run(5 * time.Minute)
	n.wantServers([]string{"https://127.0.0.1:2379"}, 2)
	if r := n.lastReport(); r.Topology != Stacked {
		t.Errorf("report: %+v", r)
	}
}

// kubeadm's apiserver knows its own member only.
func TestAStackedApiserverStaysWithItsMember(t *testing.T) {
	n := newFollowed(t)
	local := []string{"https://127.0.0.1:2379"}
	n.member(1).ClientURLs = []string{"https://10.0.0.11:2379"}
	n.write(local)
	n.running = local
	n.members = append(n.members, voter(4))
	n.run(5 * time.Minute)
	n.wantServers(local, 0)
	if r := n.lastReport(); r.Topology != Stacked || !slices.Equal(r.Members, []uint64{1}) {
		t.Errorf("report: %+v", r)
	}
	n.wantMetrics("in_step 1", "refused 0")

	n.withdraw(1)
	n.run(5 * time.Minute)
	n.wantServers(local, 0)
	n.wantMetrics("in_step 0", "refused 1")
	n.wantReady(false, "withdrawn")
	if n.logged("choose the servers") != 1 {
		t.Errorf("log:\n%s", n.log.String())
	}
	if r := n.lastReport(); r.Revision < n.marks[1] || !slices.Equal(r.Members, []uint64{1}) {
		t.Errorf("whoever withdraws it cannot see that it is still used: %+v", r)
	}

	n.remove(1)
	n.run(5 * time.Minute)
	n.wantServers(local, 0)
	n.wantMetrics("refused 1")
	n.noQuorum = errors.New("no quorum")
	n.run(time.Minute)
	n.wantMetrics("refused 0") // nobody knows any more
}

// A server may be known by a name that no member has. It stays as long as it leads
// to one member.
func TestAListWithNames(t *testing.T) {
	n := newFollowed(t)
	named := []string{"https://etcd-1.example.com:2379", "https://etcd-2.example.com:2379", "https://10.0.0.3:2379"}
	n.names = map[string]uint64{named[0]: 1, named[1]: 2}
	n.write(named)
	n.running = named
	n.run(5 * time.Minute)
	n.wantServers(named, 0)
	if r := n.lastReport(); !slices.Equal(r.Members, []uint64{1, 2, 3}) {
		t.Errorf("report: %+v", r)
	}
	n.withdraw(2)
	n.run(time.Minute)
	n.wantServers([]string{named[0], named[2]}, 1)
	if r := n.lastReport(); !slices.Equal(r.Members, []uint64{1, 3}) {
		t.Errorf("report: %+v", r)
	}
}

func TestWhoAServerIs(t *testing.T) {
	server := "https://etcd.example.com:2379"
	for _, c := range []struct {
		name string
		says []Server // in order
		want map[string]uint64
	}{
		{"always the same", []Server{{ClusterID: 77, MemberID: 2}, {ClusterID: 77, MemberID: 2}, {ClusterID: 77, MemberID: 2}}, map[string]uint64{server: 2}},
		{"a balancer", []Server{{ClusterID: 77, MemberID: 2}, {ClusterID: 77, MemberID: 2}, {ClusterID: 77, MemberID: 3}}, nil},
		{"of another cluster", []Server{{ClusterID: 78, MemberID: 2}, {ClusterID: 78, MemberID: 2}, {ClusterID: 78, MemberID: 2}}, nil},
		{"silent", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := Wish{Current: append(urls(1), server), Members: []Member{voter(1), voter(2)}}
			if got := Answers(t.Context(), &saying{t, server, c.says}, w, 77); !maps.Equal(got, c.want) {
				t.Errorf("answers: %v, want %v", got, c.want)
			}
		})
	}
}

// saying is one server that is asked, and nobody else is.
type saying struct {
	t      *testing.T
	server string
	says   []Server
}

func (s *saying) Ask(_ context.Context, server string) (Server, error) {
	if server != s.server {
		s.t.Errorf("%s is asked, whose member is known", server)
	}
	if len(s.says) == 0 {
		return Server{}, errors.New("connection refused")
	}
	next := s.says[0]
	s.says = s.says[1:]
	return next, nil
}
