package membershiptest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

func step(c *membershiptest.Cluster, kind quorum.Kind, name string) membership.Step {
	s := membership.Step{Step: quorum.Step{Kind: kind}, Name: name}
	if kind == quorum.AddLearner {
		s.PeerURLs = []string{"https://" + name + ":2380"}
	} else {
		s.ID = c.ID(name)
	}
	return s
}

// at asks the member of that name for a change. Its URL is m1's for m1, and so on.
func at(t *testing.T, c *membershiptest.Cluster, member string, s membership.Step) error {
	t.Helper()
	return c.Change(t.Context(), "https://192.0.2."+member[1:]+":2379", s)
}

func members(t *testing.T, c *membershiptest.Cluster, want string) {
	t.Helper()
	if got := c.String(); got != want {
		t.Errorf("the members are %s\nwant %s", got, want)
	}
}

// What etcd's server lets pass, and what it costs. Whoever is tested with this
// cluster and makes one of these mistakes has lost it.
func TestQuorumIsReallyLost(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		spoil         func(*membershiptest.Cluster)
		change        func(*membershiptest.Cluster) membership.Step
	}{
		{"a dead learner is promoted", "m1 leader\nm2 learner", func(c *membershiptest.Cluster) { c.Stop("m2") },
			func(c *membershiptest.Cluster) membership.Step { return step(c, quorum.Promote, "m2") }},
		{"a paused learner is promoted", "m1 leader\nm2 learner", func(c *membershiptest.Cluster) { c.Pause("m2") },
			func(c *membershiptest.Cluster) membership.Step { return step(c, quorum.Promote, "m2") }},
		{"a learner that is behind is promoted", "m1 leader\nm2 learner behind=9000", nil,
			func(c *membershiptest.Cluster) membership.Step { return step(c, quorum.Promote, "m2") }},
		{"a member of three is removed just after another was paused", "m1 leader\nm2\nm3", func(c *membershiptest.Cluster) { c.Pause("m3") },
			func(c *membershiptest.Cluster) membership.Step { return step(c, quorum.Remove, "m2") }},
		{"an update makes a dead learner vote", "m1 leader version=3.5.30\nm2 learner stopped", nil,
			func(c *membershiptest.Cluster) membership.Step {
				s := step(c, quorum.Update, "m2")
				s.PeerURLs = []string{"https://192.0.2.9:2380"}
				return s
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := membershiptest.New(t, c.cluster)
			if c.spoil != nil {
				c.spoil(cluster)
			}
			if !cluster.Write(1) {
				t.Fatal("there was no quorum before")
			}
			if err := at(t, cluster, "m1", c.change(cluster)); err != nil {
				t.Fatalf("the server lets it pass: %v", err)
			}
			if cluster.HasQuorum() || cluster.Write(1) || cluster.Leader() != "" {
				t.Errorf("there is still quorum: %s", cluster)
			}
		})
	}
}

// What etcd's server refuses.
func TestTheServerRefuses(t *testing.T) {
	for _, c := range []struct {
		name, cluster, asked string
		kind                 quorum.Kind
		member               string
		want                 error
	}{
		{"a second learner", "m1 leader\nm2\nm3\nm4 learner never-started", "m1", quorum.AddLearner, "m5", membership.ErrLearners},
		{"an add with one of three down", "m1 leader\nm2\nm3 stopped", "m1", quorum.AddLearner, "m4", membership.ErrUnhealthy},
		{"an add through a member that sees nobody", "m1 leader\nm2\nm3 cut", "m3", quorum.AddLearner, "m4", membership.ErrUnhealthy},
		{"promotion of one that never ran", "m1 leader\nm2 learner never-started", "m1", quorum.Promote, "m2", membership.ErrNotReady},
		{"promotion of a voter", "m1 leader\nm2", "m1", quorum.Promote, "m2", membership.ErrNotLearner},
		{"removal of a live one with another down", "m1 leader\nm2\nm3 stopped", "m1", quorum.Remove, "m2", membership.ErrUnhealthy},
		{"removal of the last", "m1 leader\nm2 learner", "m1", quorum.Remove, "m1", membership.ErrNotStarted},
		{"moving the lead through a follower", "m1 leader\nm2", "m2", quorum.MoveLeader, "m2", membership.ErrNotLeader},
		{"moving the lead to a dead one", "m1 leader\nm2\nm3 stopped", "m1", quorum.MoveLeader, "m3", context.DeadlineExceeded},
		{"anything without quorum", "m1\nm2 stopped", "m1", quorum.Remove, "m2", context.DeadlineExceeded},
		{"anything of a learner", "m1 leader\nm2 learner", "m2", quorum.Remove, "m2", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := membershiptest.New(t, c.cluster)
			before := cluster.String()
			if err := at(t, cluster, c.asked, step(cluster, c.kind, c.member)); err == nil || !errors.Is(err, c.want) && c.want != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
			members(t, cluster, before)
		})
	}
}

// A member grows into the cluster, and the lead moves when the leader goes.
func TestLifeOfACluster(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3")
	if err := at(t, c, "m2", step(c, quorum.AddLearner, "m4")); err != nil {
		t.Fatal(err)
	}
	members(t, c, "m1 voter leader, m2 voter, m3 voter, m4 learner never-started")
	c.StartsAfter = time.Minute
	if err := c.Sleep(t.Context(), c.StartsAfter+c.CatchUp); err != nil {
		t.Fatal(err)
	}
	if err := at(t, c, "m1", step(c, quorum.Promote, "m4")); err != nil {
		t.Fatal(err)
	}
	if err := at(t, c, "m1", step(c, quorum.Remove, "m1")); err != nil {
		t.Fatal(err)
	}
	members(t, c, "m2 voter leader, m3 voter, m4 voter")
	c.Stop("m2")
	members(t, c, "m2 voter stopped, m3 voter leader, m4 voter")
	c.Partition("m3")
	members(t, c, "m2 voter stopped, m3 voter cut, m4 voter")
	c.Heal()
	c.Start("m2")
	if !c.Write(1) {
		t.Errorf("there is no quorum: %s", c)
	}
	if got, want := strings.Join(c.Changes(), ", "), "add m4, promote m4, remove m1"; got != want {
		t.Errorf("changes: %s, want %s", got, want)
	}
}

// A member that was removed while it could not hear it runs on, until it does.
func TestRemovedAndStillRunning(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3")
	c.Pause("m3")
	_ = c.Sleep(t.Context(), time.Minute)
	m3 := c.Endpoints()[2]
	if err := at(t, c, "m1", step(c, quorum.Remove, "m3")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context(), m3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused: %v", err)
	}
	c.Resume("m3")
	if _, err := c.Status(t.Context(), m3); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("resumed: %v", err)
	}
}

// Hooks and crashes stand for all that can happen between two requests.
func TestChangesThatFail(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3")
	lost := errors.New("the connection was lost")
	c.BeforeChange = func(n int, _ membership.Step) error {
		if n == 1 {
			return lost
		}
		return nil
	}
	c.AfterChange = func(n int, _ membership.Step) error {
		if n == 2 {
			return lost
		}
		return nil
	}
	add := step(c, quorum.AddLearner, "m4")
	if err := at(t, c, "m1", add); !errors.Is(err, lost) {
		t.Errorf("first: %v", err)
	}
	members(t, c, "m1 voter leader, m2 voter, m3 voter")
	if err := at(t, c, "m1", add); !errors.Is(err, lost) {
		t.Errorf("second: %v", err)
	}
	members(t, c, "m1 voter leader, m2 voter, m3 voter, m4 learner never-started")

	op := c.NewOperator()
	op.Crash()
	if _, err := op.Status(t.Context(), c.Endpoints()[0]); !errors.Is(err, membershiptest.ErrCrashed) {
		t.Errorf("after a crash: %v", err)
	}
	if _, err := c.Status(t.Context(), c.Endpoints()[0]); err != nil {
		t.Errorf("for others: %v", err)
	}
}

// The lock of a crashed operator ends with its lease, which a new leader makes
// longer by a full one.
func TestLocks(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(c *membershiptest.Cluster, op *membershiptest.Operator)
		within time.Duration
	}{
		{"released", nil, 0},
		{"crashed", func(_ *membershiptest.Cluster, op *membershiptest.Operator) { op.Crash() }, membership.LockTTL},
		{"crashed, and the leader lost", func(c *membershiptest.Cluster, op *membershiptest.Operator) {
			op.Crash()
			c.After(membership.LockTTL-time.Second, func() { c.Stop(c.Leader()) })
		}, 2*membership.LockTTL - time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := membershiptest.New(t, "m1 leader\nm2\nm3")
			op := cluster.NewOperator()
			lock, err := op.Lock(t.Context(), cluster.Endpoints(), "first")
			if err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				c.spoil(cluster, op)
				if lock.Held(0) == nil || lock.Release(t.Context()) == nil {
					t.Error("a dead operator holds its lock")
				}
			} else if err := errors.Join(lock.Held(membership.LockTTL/2), lock.Release(t.Context())); err != nil {
				t.Error(err)
			}
			began := cluster.Now()
			for {
				_, err := cluster.Lock(t.Context(), cluster.Endpoints(), "second")
				if err == nil {
					break
				}
				if _, ok := errors.AsType[*membership.LockedError](err); !ok {
					t.Fatal(err)
				}
				_ = cluster.Sleep(t.Context(), time.Second/10)
			}
			if took := cluster.Now().Sub(began); took != c.within {
				t.Errorf("that took %s, want %s", took, c.within)
			}
		})
	}
}

func TestNoLockWithAnAlarm(t *testing.T) {
	c := membershiptest.New(t, "m1 leader nospace\nm2\nm3")
	if _, err := c.Lock(t.Context(), c.Endpoints(), "one"); !errors.Is(err, membership.ErrAlarmed) {
		t.Errorf("%v, want %v", err, membership.ErrAlarmed)
	}
	if err := c.Disarm(t.Context(), c.Endpoints()[0], membership.Alarm{MemberID: c.ID("m1"), Type: membership.NoSpace}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lock(t.Context(), c.Endpoints(), "one"); err != nil {
		t.Error(err)
	}
}

// A description that means nothing is a mistake that is told.
func TestDescriptionsThatMeanNothing(t *testing.T) {
	for description, want := range map[string]string{
		"":                          "no members",
		"# nobody":                  "no members",
		"m1 sleepy":                 "line 1: sleepy: unknown word",
		"m1\nm2 colour=red":         "line 2: colour=red: unknown value",
		"m1 id=xyz":                 `line 1: id=xyz: strconv.ParseUint: parsing "xyz": invalid syntax`,
		"cluster shape=round\nm1":   `line 1: shape: strconv.ParseUint: parsing "round": invalid syntax`,
		"cluster size=3\nm1":        "line 1: unknown value size",
		"m1 leader stopped\nm2":     "m1 cannot lead",
		"m1 leader\nm2 stopped":     "m1 cannot lead",
		"m1 learner leader\nm2\nm3": "m1 cannot lead",
	} {
		if _, err := membershiptest.Parse(description); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", description, err, want)
		}
	}
}
