package membership_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// observe looks at a cluster.
func observe(t testing.TB, c *membershiptest.Cluster) *membership.Observation {
	t.Helper()
	o, err := membership.Observe(t.Context(), c, membership.ObserveOptions{Endpoints: c.Endpoints(), Zones: c.Zones(), Now: c.Now, Sleep: c.Sleep})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// words are steps as people read them.
func words(steps []membership.Step) string {
	var out []string
	for _, s := range steps {
		out = append(out, s.String())
	}
	return strings.Join(out, ", ")
}

// situation is a goal in a cluster, and the steps that remain to it.
type situation struct {
	name    string
	cluster string
	goal    membership.Goal
	want    string // steps
	wantErr string // the message and the hint of a usage error
}

func (s situation) check(t *testing.T) {
	t.Helper()
	o := observe(t, membershiptest.New(t, s.cluster))
	steps, err := s.goal.Steps(o)
	if s.wantErr != "" {
		if !errors.Is(err, fail.ErrUsage) || err.Error()+" | "+fail.Hint(err) != s.wantErr {
			t.Errorf("error %v | %s\nwant  %s", err, fail.Hint(err), s.wantErr)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := words(steps); got != s.want {
		t.Errorf("steps: %s\nwant:  %s", got, s.want)
	}
	for _, p := range membership.MakePlan(o, steps) {
		if err := p.Refused(); err != nil {
			t.Errorf("the plan is refused: %v", err)
		}
	}
}

func all(t *testing.T, situations []situation) {
	t.Helper()
	for _, s := range situations {
		t.Run(s.name, s.check)
	}
}

func TestAdd(t *testing.T) {
	m4, wait := membership.Add("m4", []string{url(4)}, false), membership.Add("m4", []string{url(4)}, true)
	all(t, []situation{
		{name: "a learner", cluster: threeVoters, goal: m4, want: "add m4"},
		{name: "a voter in the end", cluster: threeVoters, goal: wait, want: "add m4, heal m4, promote m4"},
		{name: "it was added and has not started", cluster: threeVoters + "\nm4 learner never-started", goal: wait, want: "heal m4, promote m4"},
		{name: "it is behind", cluster: threeVoters + "\nm4 learner lagging", goal: wait, want: "heal m4, promote m4"},
		{name: "it has caught up", cluster: threeVoters + "\nm4 learner", goal: wait, want: "promote m4"},
		{name: "it votes", cluster: threeVoters + "\nm4", goal: wait},
		{name: "it is there, and more was not asked for", cluster: threeVoters + "\nm4 learner never-started", goal: m4},
		{
			name: "its URL is taken", cluster: threeVoters, goal: membership.Add("m4", []string{url(2)}, false),
			wantErr: "peer URL https://192.0.2.2:2380 belongs to member m2 | replace that member, or give the new one another host or port",
		},
		{
			name: "one of its URLs is taken", cluster: threeVoters, goal: membership.Add("m4", []string{url(4), url(2)}, false),
			wantErr: "peer URL https://192.0.2.2:2380 belongs to member m2 | replace that member, or give the new one another host or port",
		},
		{
			name: "its name is taken", cluster: threeVoters, goal: membership.Add("m2", []string{url(4)}, false),
			wantErr: "member m2 is there already, with other peer URLs | etcdha member replace m2 m2 --peer-urls=https://192.0.2.4:2380, or member update",
		},
		{
			name: "no name", cluster: threeVoters, goal: membership.Add("", []string{url(4)}, false),
			wantErr: `a member name cannot be "": it has to be written in an initial cluster, name=URL,name=URL | `,
		},
		{
			name: "a name that would be two members", cluster: threeVoters, goal: membership.Add("m4=x,m5", []string{url(4)}, false),
			wantErr: `a member name cannot be "m4=x,m5": it has to be written in an initial cluster, name=URL,name=URL | `,
		},
		{
			name: "no port", cluster: threeVoters, goal: membership.Add("m4", []string{"https://host"}, false),
			wantErr: `peer URL "https://host" is not of the form https://host:port | `,
		},
	})
}

func TestOneMember(t *testing.T) {
	const learner = threeVoters + "\nm4 learner"
	all(t, []situation{
		{name: "promote", cluster: learner, goal: membership.Promote("m4"), want: "promote m4"},
		{name: "promote what votes", cluster: learner, goal: membership.Promote("m3")},
		{name: "promote by id", cluster: "m1 leader\nm4 learner id=deadbeef00000004", goal: membership.Promote("deadbeef00000004"), want: "promote m4"},
		{name: "promote nobody", cluster: learner, goal: membership.Promote("m5"), wantErr: `no member "m5" | there are m1, m2, m3, m4`},

		{name: "remove", cluster: threeVoters, goal: membership.Remove("m2"), want: "remove m2"},
		{name: "remove the dead", cluster: "m1 leader\nm2 stopped\nm3", goal: membership.Remove("m2"), want: "remove m2"},
		{name: "remove the leader", cluster: threeVoters, goal: membership.Remove("m1"), want: "move-leader m2, remove m1"},
		{name: "remove what is gone", cluster: threeVoters, goal: membership.Remove("deadbeef00000004")},
		{name: "remove a typing error", cluster: threeVoters, goal: membership.Remove("m22"), wantErr: `no member "m22" | there are m1, m2, m3`},
		{name: "remove a short word that is hex", cluster: threeVoters, goal: membership.Remove("db"), wantErr: `no member "db" | there are m1, m2, m3`},
		{
			name: "remove one of two of a name", goal: membership.Remove("m2"),
			cluster: "m1 leader\nm2 id=aaaaaaaa00000001\nm2 id=aaaaaaaa00000002 peer=https://192.0.2.9:2380 client=https://192.0.2.9:2379",
			wantErr: "2 members are named m2 | give the id: aaaaaaaa00000001 or aaaaaaaa00000002",
		},

		{name: "update", cluster: threeVoters, goal: membership.Update("m2", []string{url(9)}), want: "update m2"},
		{name: "update what is so", cluster: threeVoters, goal: membership.Update("m2", []string{url(2)})},
		{
			name: "update to what another has", cluster: threeVoters, goal: membership.Update("m2", []string{url(3)}),
			wantErr: "peer URL https://192.0.2.3:2380 belongs to member m3 | replace that member, or give the new one another host or port",
		},

		{name: "move the leader", cluster: threeVoters, goal: membership.MoveLeader("m3"), want: "move-leader m3"},
		{name: "move the leader to itself", cluster: threeVoters, goal: membership.MoveLeader("m1")},
	})
}

func TestTheHealthiestVoterLeads(t *testing.T) {
	best := membership.MoveLeader(membership.Best)
	all(t, []situation{
		{name: "of equals, the first", cluster: threeVoters, goal: best, want: "move-leader m2"},
		{name: "not a dead one", cluster: "m1 leader\nm2 stopped\nm3", goal: best, want: "move-leader m3"},
		{name: "not a learner", cluster: "m1 leader\nm2 learner\nm3", goal: best, want: "move-leader m3"},
		{name: "not a corrupt one", cluster: "m1 leader\nm2 corrupt\nm3", goal: best, want: "move-leader m3"},
		{name: "not one behind", cluster: "m1 leader\nm2 behind=10\nm3", goal: best, want: "move-leader m3"},
		{name: "the one that answers fastest", cluster: "m1 leader\nm2 latency=9ms\nm3 latency=2ms", goal: best, want: "move-leader m3"},
		{name: "one whose zone is known", cluster: "m1 leader zone=a\nm2\nm3 zone=b", goal: best, want: "move-leader m3"},
		{
			name: "one that stays before one that answers faster", goal: reach(t, "m2 2"),
			cluster: "m1 leader\nm2 latency=9ms\nm3 latency=2ms", want: "remove m3, move-leader m2, remove m1",
		},
	})
	o := observe(t, membershiptest.New(t, "m1 leader\nm2 learner"))
	if _, err := best.Steps(o); !errors.Is(err, fail.ErrUnsafe) || err.Error() != "no other voter is able to lead" {
		t.Errorf("moving the leader to nobody: %v", err)
	}
}

func TestReplace(t *testing.T) {
	all(t, []situation{
		{
			name: "a dead one goes first", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "remove m3, add m4, heal m4, promote m4",
		},
		{
			name: "a live one goes last", cluster: threeVoters,
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "add m4, heal m4, promote m4, remove m3",
		},
		{
			name: "the leader", cluster: threeVoters,
			goal: membership.Replace("m1", "m4", []string{url(4)}), want: "add m4, heal m4, promote m4, move-leader m2, remove m1",
		},
		{
			name: "one with corrupt data does not function", cluster: "m1 leader\nm2\nm3 corrupt",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "remove m3, add m4, heal m4, promote m4",
		},
		{
			name: "a leader with corrupt data", cluster: "m1 leader corrupt\nm2\nm3",
			goal: membership.Replace("m1", "m4", []string{url(4)}), want: "move-leader m2, remove m1, add m4, heal m4, promote m4",
		},
		{
			name: "a dead disk, on the same host", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m3", nil), want: "remove m3, add m3, heal m3, promote m3",
		},
		{
			name: "a dead disk, with its URL", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m3", []string{url(3)}), want: "remove m3, add m3, heal m3, promote m3",
		},
		{
			name: "a new name on the same host", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m4", nil), want: "remove m3, add m4, heal m4, promote m4",
		},
		{
			name: "by id", cluster: "m1 leader\nm2\nm3 stopped id=deadbeef00000003",
			goal: membership.Replace("deadbeef00000003", "m3", nil), want: "remove m3, add m3, heal m3, promote m3",
		},
		{name: "what is healthy and the same", cluster: threeVoters, goal: membership.Replace("m3", "m3", []string{url(3)})},
		{
			name: "one that never started", cluster: "m1 leader\nm2\nm3\nm4 learner never-started id=deadbeef00000004",
			goal: membership.Replace("deadbeef00000004", "m5", []string{url(5)}), want: "remove deadbeef00000004, add m5, heal m5, promote m5",
		},
		{
			name: "a live one in its place", cluster: threeVoters, goal: membership.Replace("m3", "m4", nil),
			wantErr: "member m3 runs at the peer URLs that the new member is to have | give the new member --peer-urls of its own, or stop the old one first",
		},
		{
			name: "a live one by one of its name", cluster: threeVoters, goal: membership.Replace("m3", "m3", []string{url(4)}),
			wantErr: "member m3 is there already, at https://192.0.2.3:2380 | give the new member another name, or stop the old one first",
		},
		{
			name: "by a name that somebody has", cluster: threeVoters, goal: membership.Replace("m3", "m2", []string{url(4)}),
			wantErr: "member m2 is there already, at https://192.0.2.2:2380 | give the new member another name, or stop the old one first",
		},
		{
			name: "a typing error", cluster: threeVoters, goal: membership.Replace("m33", "m4", nil),
			wantErr: `no member "m33" | there are m1, m2, m3; if it has been removed already, give the new member's --peer-urls`,
		},
	})
}

func TestReplaceGoesOn(t *testing.T) {
	all(t, []situation{
		{
			name: "the old one is gone", cluster: "m1 leader\nm2",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "add m4, heal m4, promote m4",
		},
		{
			name: "the new one has not started", cluster: "m1 leader\nm2\nm4 learner never-started peer=" + url(4),
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "heal m4, promote m4",
		},
		{
			name: "the new one has not started, on the old host", cluster: "m1 leader\nm2\nm3 learner never-started",
			goal: membership.Replace("m3", "m3", nil), want: "heal m3, promote m3",
		},
		{
			name: "the new one catches up, on the old host", cluster: "m1 leader\nm2\nm3 learner lagging",
			goal: membership.Replace("m3", "m3", nil), want: "heal m3, promote m3",
		},
		{
			name: "the new one has caught up, on the old host", cluster: "m1 leader\nm2\nm3 learner",
			goal: membership.Replace("m3", "m3", []string{url(3)}), want: "promote m3",
		},
		{
			name: "both are there", cluster: threeVoters + "\nm4 learner",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "promote m4, remove m3",
		},
		{
			name: "the old one has died meanwhile", cluster: "m1 leader\nm2\nm3 stopped\nm4 learner lagging",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "remove m3, heal m4, promote m4",
		},
		{
			name: "both are there, of one name", cluster: "m1 leader\nm2\nm3 stopped\nm3 learner never-started peer=" + url(4),
			goal: membership.Replace("m3", "m3", []string{url(4)}), want: "remove m3, heal m3, promote m3",
		},
		{name: "it is done", cluster: "m1 leader\nm2\nm4 peer=" + url(4), goal: membership.Replace("m3", "m4", []string{url(4)})},
		{name: "it is done, as far as the name says", cluster: "m1 leader\nm2\nm4", goal: membership.Replace("m3", "m4", nil)},
		{
			name: "the new URLs are another member's", cluster: "m1 leader\nm2\nm3\nm5 peer=" + url(4),
			goal:    membership.Replace("m3", "m4", []string{url(4)}),
			wantErr: "peer URL https://192.0.2.4:2380 belongs to member m5 | replace that member, or give the new one another host or port",
		},
	})
}

// A goal that is made of what it saw first means the same member ever after.
func TestStepsOfAMemberThatIsGone(t *testing.T) {
	o := observe(t, membershiptest.New(t, threeVoters))
	steps, err := membership.Remove("m2").Steps(o)
	if err != nil || len(steps) != 1 {
		t.Fatal(steps, err)
	}
	if i := slices.IndexFunc(o.Members, func(m membership.Member) bool { return m.ID == steps[0].ID }); o.Members[i].Name != "m2" {
		t.Errorf("remove m2 would remove %s", o.Members[i].Name)
	}
}
