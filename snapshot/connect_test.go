package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// three members, of which the second leads.
func three(t testing.TB) []*fakeMember {
	members := []*fakeMember{newMember(t, 1), newMember(t, leaderID), newMember(t, 3)}
	var all []*pb.Member
	for _, m := range members {
		all = append(all, m.listed())
	}
	for _, m := range members {
		m.members = all
	}
	return members
}

// deadURL is an endpoint where nobody listens.
func deadURL(t testing.TB) string {
	l := must1(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestConnectLearnsWhoIsThere(t *testing.T) {
	c := connect(t, three(t)...)
	if c.ID != clusterID {
		t.Errorf("cluster %x", c.ID)
	}
	var names []string
	for _, m := range c.Members {
		name := m.Name + " " + m.IDString()
		if m.IsLeader() {
			name += " leads"
		}
		names = append(names, name)
	}
	if want := []string{"m1 1", "m2 2 leads", "m3 3"}; !slices.Equal(names, want) {
		t.Errorf("members %q, want %q", names, want)
	}
	if m := c.Member(3); m != c.Members[2] || !strings.HasPrefix(m.String(), "m3 (http://127.0.0.1:") {
		t.Errorf("member 3 is %v", m)
	}
	if m := c.Member(4); m != nil {
		t.Errorf("member 4 is %v", m)
	}
}

func TestADeadEndpointAmongThreeIsTolerated(t *testing.T) {
	members := three(t)
	dead := deadURL(t)
	var log bytes.Buffer
	c, err := snapshot.Connect(t.Context(), config(members[0].url, dead, members[2].url), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(c.Members) != 2 || c.Members[0].ID != 1 || c.Members[1].ID != 3 {
		t.Errorf("members %v", c.Members)
	}
	if !strings.Contains(log.String(), "endpoint does not answer") || !strings.Contains(log.String(), dead+": connection refused") {
		t.Errorf("log %q", log.String())
	}
}

func TestNobodyAnswers(t *testing.T) {
	first, second := deadURL(t), deadURL(t)
	_, err := snapshot.Connect(t.Context(), config(first, second), discard)
	if err == nil || kindOf(err) != nil {
		t.Fatalf("error %v", err)
	}
	for _, text := range []string{"connect to etcd: ", first + ": connection refused", second + ": connection refused"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func TestEndpointsOfTwoClustersAreRefused(t *testing.T) {
	for odd, pair := range [][2]int{{0, 1}, {0, 1}, {0, 2}} {
		members := three(t)
		members[odd].status.Header.ClusterId = 0xc2
		_, err := snapshot.Connect(t.Context(), config(members[0].url, members[1].url, members[2].url), discard)
		one, other := members[pair[0]], members[pair[1]]
		want := fmt.Sprintf("endpoints of different clusters: %s is of %x, %s of %x",
			one.url, one.status.Header.ClusterId, other.url, other.status.Header.ClusterId)
		if !errors.Is(err, fail.ErrUsage) || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if hint := fail.Hint(err); hint != "give the endpoints of one cluster in --endpoints" {
			t.Errorf("hint %q", hint)
		}
	}
}

func TestDiscoverFindsTheMembersThatWereNotGiven(t *testing.T) {
	members := three(t)
	// The third advertises an address where the first one answers, as through
	// a tunnel, and then its own.
	third := members[0].members[2]
	third.ClientURLs = []string{members[0].url, deadURL(t), members[2].url}
	gone := &pb.Member{ID: 4, Name: "m4", ClientURLs: []string{deadURL(t)}}
	members[1].members = append(members[1].members, gone)
	c := connect(t, members[1])
	for range 2 { // the second time finds nothing new
		if silent := c.Discover(t.Context()); !slices.Equal(silent, []string{"m4 (4)"}) {
			t.Errorf("silent are %q", silent)
		}
	}
	var found []string
	for _, m := range c.Members {
		found = append(found, m.Name+" "+m.Endpoint)
	}
	if want := []string{"m2 " + members[1].url, "m1 " + members[0].url, "m3 " + members[2].url}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}

// A file says which members it is of. Ids are made of names, URLs and token, so
// that another cluster has others.
func TestAFileSharesMembersWithItsCluster(t *testing.T) {
	c := connect(t, three(t)...)
	for _, test := range []struct {
		name    string
		members []dbfile.Member
		want    bool
	}{
		{"its own", []dbfile.Member{{ID: 1}, {ID: 2}, {ID: 3}}, true},
		{"some replaced since", []dbfile.Member{{ID: 8}, {ID: 9}, {ID: 3}}, true},
		{"another cluster's", []dbfile.Member{{ID: 8, Name: "m1"}, {ID: 9, Name: "m2"}}, false},
		{"none", nil, false},
	} {
		if got := c.Shares(t.Context(), test.members); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func TestASnapshotIsTakenFromAFollower(t *testing.T) {
	tests := []struct {
		name   string
		change func(m1, m2, m3 *fakeMember)
		want   uint64
	}{
		{"all are well", func(_, _, _ *fakeMember) {}, 1},
		{"the first is a learner", func(m1, _, _ *fakeMember) { m1.status.IsLearner = true }, 3},
		{"the first is behind", func(m1, _, _ *fakeMember) { m1.status.RaftAppliedIndex-- }, 3},
		{"the first has no leader", func(m1, _, _ *fakeMember) { m1.status.Leader = 0 }, 3},
		{"the first has another alarm", func(m1, _, _ *fakeMember) { m1.status.Errors = []string{"memberID:1 alarm:NOSPACE "} }, 1},
		{"another member has the alarm", func(m1, m2, m3 *fakeMember) {
			for _, m := range []*fakeMember{m1, m2, m3} {
				m.status.Errors = []string{"memberID:1  alarm:CORRUPT"}
			}
		}, 3},
		{"both followers are cut off", func(m1, _, m3 *fakeMember) {
			m1.readErr = status.Error(codes.Unavailable, "etcdserver: request timed out")
			m3.readErr = m1.readErr
		}, leaderID},
		{"the user may not read keys", func(m1, _, _ *fakeMember) {
			m1.readErr = status.Error(codes.PermissionDenied, "etcdserver: permission denied")
		}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			members := three(t)
			test.change(members[0], members[1], members[2])
			m, err := connect(t, members...).Choose(t.Context(), false)
			if err != nil || m.ID != test.want {
				t.Errorf("chose %v, error %v", m, err)
			}
		})
	}
}

func TestAMemberThatMayLackWritesIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fakeMember)
		reason string
	}{
		{"a learner", func(m *fakeMember) { m.status.IsLearner = true }, "is a learner"},
		{"without a leader", func(m *fakeMember) { m.status.Leader = 0 }, "has no leader"},
		{"with a damaged db", func(m *fakeMember) { m.status.Errors = []string{"memberID:2 alarm:CORRUPT "} }, "has a CORRUPT alarm"},
		{"behind", func(m *fakeMember) { m.status.RaftAppliedIndex = 900 }, "is behind: applied 900 of 1000"},
		{"cut off", func(m *fakeMember) { m.readErr = status.Error(codes.Unavailable, "etcdserver: no leader") },
			"is cut off from its leader: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			member := newMember(t, leaderID)
			test.change(member)
			c := connect(t, member)
			m, err := c.Choose(t.Context(), false)
			if !errors.Is(err, fail.ErrUnsafe) || m != nil {
				t.Fatalf("chose %v, error %v", m, err)
			}
			if text := "no member to take a snapshot from: m2 (" + member.url + ") " + test.reason; !strings.HasPrefix(err.Error(), text) {
				t.Errorf("error %q, want %q", err, text)
			}
			if !strings.Contains(fail.Hint(err), "--emergency") {
				t.Errorf("hint %q", fail.Hint(err))
			}
			if m, err := c.Choose(t.Context(), true); err != nil || m.ID != leaderID {
				t.Errorf("in an emergency: %v, error %v", m, err)
			}
		})
	}
}

func TestAnEmergencyIsAboutOneSurvivor(t *testing.T) {
	members := three(t)
	_, err := connect(t, members...).Choose(t.Context(), true)
	if !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), "exactly one endpoint") {
		t.Errorf("error %v", err)
	}
}

// Three endpoints of which one answers are not one survivor.
func TestAnEmergencyTakesNoAccidentalSurvivor(t *testing.T) {
	member := newMember(t, 1)
	c, err := snapshot.Connect(t.Context(), config(deadURL(t), member.url), discard)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Choose(t.Context(), true); !errors.Is(err, fail.ErrUsage) {
		t.Errorf("error %v", err)
	}
}

// A member that accepts connections and says nothing does not hold up the rest.
func TestASilentEndpointEndsWithTheCommandTimeout(t *testing.T) {
	l := must1(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	cfg := config("http://" + l.Addr().String())
	cfg.CommandTimeout = 100 * time.Millisecond
	_, err := snapshot.Connect(t.Context(), cfg, discard)
	if err == nil || kindOf(err) != nil || !strings.Contains(err.Error(), cfg.Endpoints[0]) {
		t.Errorf("error %v", err)
	}
}
