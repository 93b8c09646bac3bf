package apiserver

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// A list can reach a member in more ways than by its URL.
func TestAReportNamesTheMembersOfTheServers(t *testing.T) {
	own := voter(9)
	own.ClientURLs = []string{"https://10.0.0.11:2379"}
	members := &Membership{ClusterID: 77, Members: []Member{voter(1), voter(2), own}}
	for _, c := range []struct {
		name    string
		servers []string
		args    []string
		want    []uint64 // nil: it cannot be told
	}{
		{"by their URLs", urls(2, 1), nil, []uint64{1, 2}},
		{"the one on this host", []string{"https://127.0.0.1:2379"}, nil, []uint64{9}},
		{"twice", []string{"https://127.0.0.1:2379", "https://10.0.0.11:2379"}, nil, []uint64{9}},
		{"a name that has said who it is", []string{"https://etcd-2.example.com:2379"}, nil, []uint64{2}},
		{"a load balancer", []string{"https://etcd.example.com:2379"}, nil, nil},
		{"one that is gone", urls(1, 5), nil, nil},
		{"overrides", urls(1), []string{"--etcd-servers-overrides=/events#https://10.7.7.7:2379;https://10.0.0.2:2379,/leases#https://10.7.7.8:2379"}, []uint64{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &etcdservers.File{Path: followedFile, Servers: c.servers, Args: c.args}
			w := Wish{Members: members.Members, Addresses: []string{"10.0.0.11"}, Answers: map[string]uint64{"https://etcd-2.example.com:2379": 2}}
			r, err := NewReport(f, members, w, []string{"203.0.113.1"})
			if !slices.Equal(r.Members, c.want) || (err == nil) != (c.want != nil) {
				t.Errorf("members %v, %v; want %v", r.Members, err, c.want)
			}
			if err == nil && !slices.Equal(r.Addresses, []string{"203.0.113.1"}) {
				t.Errorf("it is announced at %v", r.Addresses)
			}
		})
	}
}

// Whoever looks sees at once that there is no agent any more, and again that there is.
func TestAnAgentThatEndsSaysSo(t *testing.T) {
	n := newFollowed(t)
	n.follower.Retire(t.Context()) // it has said nothing yet
	if len(n.reports) > 0 {
		t.Errorf("reports: %+v", n.reports)
	}
	n.run(time.Minute)
	want := n.lastReport()
	n.follower.Retire(t.Context())
	want.Agent = false
	if r := n.lastReport(); !reflect.DeepEqual(r, want) || r.Followed(n.clock) {
		t.Errorf("report: %+v, want %+v", r, want)
	}
	n.start()
	n.run(time.Minute)
	if r := n.lastReport(); !r.Followed(n.clock) {
		t.Errorf("report: %+v", r)
	}
}
