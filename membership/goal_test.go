package membership_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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
			wantErr: "member m2 is there already, with other peer URLs | if it is to move there: etcdha member update m2 --peer-urls=https://192.0.2.4:2380; else give the new member another name",
		},
		{
			name: "its name is that of a dead one", cluster: "m1 leader\nm2 stopped\nm3", goal: membership.Add("m2", []string{url(4)}, false),
			wantErr: "member m2 is there already, with other peer URLs | etcdha member replace m2 m2 --peer-urls=https://192.0.2.4:2380",
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

// What is not there needs no removal, which people should know: the id may be a typing
// error.
func TestNotesOnWhoIsNotThere(t *testing.T) {
	const absent = "no member has the id deadbeef00000009 (already removed?); there are m1, m2, m3"
	for _, s := range []struct {
		goal membership.Goal
		want []string
	}{
		{membership.Remove("deadbeef00000009"), []string{absent}},
		{membership.Remove("m3"), nil},
		{membership.Replace("deadbeef00000009", "m4", []string{url(4)}), []string{absent}},
		{membership.Replace("m9", "m4", []string{url(4)}), []string{"no member has the name m9 (already removed?); there are m1, m2, m3"}},
		{membership.Replace("m9", "m3", []string{url(3)}), nil}, // it is done
		{membership.Replace("m3", "m4", []string{url(4)}), nil},
		{membership.Add("m4", []string{url(4)}, true), nil},
	} {
		c := membershiptest.New(t, threeVoters)
		if got := membership.Notes(s.goal, observe(t, c)); !slices.Equal(got, s.want) {
			t.Errorf("notes %q, want %q", got, s.want)
		}
		c.StartsAfter = time.Second
		op := newOperator(c, c)
		if _, err := op.Run(t.Context(), s.goal); err != nil {
			t.Error(err)
		}
		for _, note := range s.want {
			told := strings.Count(strings.Join(op.story, "\n"), "warning: "+note)
			if len(op.story) > 0 && told != 1 { // a goal that is reached tells no story
				t.Errorf("the note is told %d times; the story is %q", told, op.story)
			}
		}
	}
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

// Who is to lead next does not hang on which of two healthy members happened to
// answer sooner: a plan that has been shown stays as it is.
func TestChanceDoesNotChangeThePlan(t *testing.T) {
	for _, text := range []string{
		"m1 leader\nm2 latency=1ms\nm3 latency=2ms",
		"m1 leader\nm2 latency=3ms\nm3 latency=1ms",
	} {
		c := membershiptest.New(t, text)
		o, err := membership.Observe(t.Context(), c, lookAt(c))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := membership.Remove("m1").Steps(o)
		if err != nil || len(steps) != 2 || steps[0].Name != "m2" {
			t.Errorf("steps %v, error %v; want m2 to lead first", steps, err)
		}
	}
}
