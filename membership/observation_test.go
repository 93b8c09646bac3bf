package membership_test

import (
	"context"
	"testing"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

// doubtful is a cluster in which m3 says what gives reason to doubt it.
type doubtful struct {
	*membershiptest.Cluster
	status  func(*membership.Status)
	cutOff  bool
	follows bool // all the same
}

func (d doubtful) m3(endpoint string) bool { return endpoint == d.Endpoints()[2] }

func (d doubtful) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	s, err := d.Cluster.Status(ctx, endpoint)
	if err == nil && d.m3(endpoint) && d.status != nil {
		d.status(&s)
	}
	return s, err
}

func (d doubtful) Members(ctx context.Context, endpoint string, linearizable bool) (membership.List, error) {
	if linearizable && d.cutOff && d.m3(endpoint) {
		return membership.List{}, context.DeadlineExceeded
	}
	return d.Cluster.Members(ctx, endpoint, linearizable)
}

// A member counts only if everything it says fits the leader, in its term.
func TestWhoDoesNotCount(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3")
	for name, d := range map[string]doubtful{
		"it has not noticed yet that it is cut off": {cutOff: true},
		"it is in an older term":                    {status: func(s *membership.Status) { s.RaftTerm-- }},
		"it knows no leader":                        {status: func(s *membership.Status) { s.Leader = 0 }},
		"it follows another":                        {status: func(s *membership.Status) { s.Leader = c.ID("m2") }},
		"it leads too, in an older term":            {status: func(s *membership.Status) { s.Leader, s.RaftTerm = s.MemberID, s.RaftTerm-1 }},
		"it is behind by one entry":                 {status: func(s *membership.Status) { s.RaftApplied-- }, follows: true},
		"it says that it is corrupt": {status: func(s *membership.Status) {
			s.Alarms = []membership.Alarm{{MemberID: s.MemberID, Type: membership.Corrupt}}
		}, follows: true},
	} {
		t.Run(name, func(t *testing.T) {
			d.Cluster = c
			o, err := membership.Observe(t.Context(), d, lookAt(c))
			if err != nil {
				t.Fatal(err)
			}
			state := o.State()
			if m3, _ := state.Member(c.ID("m3")); m3.Able() || m3.Answers != d.follows || state.Count().Able != 2 || state.Leader != c.ID("m1") {
				t.Errorf("seen: %s; %s", seen(o), state.Count())
			}
		})
	}
}

// What is observed of a member arrives where quorum is judged.
func TestState(t *testing.T) {
	c := membershiptest.New(t, "m1 leader zone=a\nm2 zone=b corrupt\nm3 learner\nm4 stopped\nm5 learner never-started\nm6 behind=9\nm7")
	state := lookFrom(t, c).State()
	for name, want := range map[string]quorum.Member{
		"m1": {Name: "m1", Started: true, Answers: true, CaughtUp: true, Zone: "a"},
		"m2": {Name: "m2", Started: true, Answers: true, CaughtUp: true, Zone: "b", Corrupt: true},
		"m3": {Name: "m3", Started: true, Answers: true, CaughtUp: true, Learner: true},
		"m4": {Name: "m4", Started: true},
		"m5": {Learner: true},
		"m6": {Name: "m6", Started: true},
		"m7": {Name: "m7", Started: true, Answers: true, CaughtUp: true},
	} {
		want.ID = c.ID(name)
		if got, ok := state.Member(want.ID); !ok || got != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if len(state.Members) != 7 || state.Leader != c.ID("m1") {
		t.Errorf("state: %+v", state)
	}
}
