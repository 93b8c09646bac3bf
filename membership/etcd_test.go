package membership_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// memberCommand makes an etcd of the test binary.
const memberCommand = "membership-test-member"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == memberCommand {
		etcdmain.Main(append([]string{"etcd"}, os.Args[2:]...))
		return
	}
	m.Run()
}

// patience is for what takes seconds on a machine that has time.
const patience = time.Minute

// startCluster starts real members, and a client of them.
func startCluster(t *testing.T, members int, quota int64) (*throwaway.Cluster, *membership.EtcdClient) {
	t.Helper()
	c, err := throwaway.New(throwaway.Options{
		Parent: t.TempDir(), Members: members, Command: []string{os.Args[0], memberCommand},
		Token: "membership", Quota: quota, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return c, connect(t, c.Config())
}

func connect(t *testing.T, config etcdclient.Config) *membership.EtcdClient {
	client := membership.Connect(config, time.Now)
	t.Cleanup(client.Close)
	return client
}

// look observes a real cluster.
func look(t *testing.T, c *membership.EtcdClient, endpoints ...string) *membership.Observation {
	t.Helper()
	o, err := membership.Observe(t.Context(), c, membership.ObserveOptions{Endpoints: endpoints, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// until waits for a condition that comes by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func dial(t *testing.T, config etcdclient.Config, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := config.Dial(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Three real members, one after the other killed: what is seen at each point,
// from the one that is left.
func TestRealMembersAreLost(t *testing.T) {
	t.Parallel()
	c, client := startCluster(t, 3, 0)
	endpoints := c.Config().Endpoints
	one := c.Members[0]

	o := look(t, client, one.ClientURL)
	if count := o.State().Count(); !o.HasQuorum || count != (quorum.Count{Voters: 3, Able: 3}) {
		t.Fatalf("of three: %s, %s", count, seen(o))
	}
	for _, m := range o.Members {
		s := m.Status
		switch {
		case m.Endpoint != c.Members[nameIndex(m.Name)].ClientURL:
			t.Errorf("%s answered at %s", m.Name, m.Endpoint)
		case s.Version != "3.7.3" || s.DBSize == 0 || s.DBSizeInUse == 0 || s.DBSizeQuota == 0 || s.RaftTerm < 2 || s.RaftIndex == 0:
			t.Errorf("%s: %+v", m.Name, s)
		case m.Latency <= 0 || m.Latency > membership.AnswerTimeout:
			t.Errorf("%s answered in %s", m.Name, m.Latency)
		case s.ClockAhead == nil || s.ClockAhead.Abs() > 2*time.Second:
			t.Errorf("the clock of %s, which is ours, is ahead by %v", m.Name, s.ClockAhead)
		}
	}
	if found := membership.Findings(o); len(found) > 0 {
		t.Errorf("findings:\n%s", inWords(found))
	}
	if found, err := membership.AgreeHash(t.Context(), client, o); err != nil || len(found) > 0 {
		t.Errorf("hashes: %s, %v", inWords(found), err)
	}

	c.KillMember(c.Members[2])
	refused := c.Members[2].ClientURL + ": connection refused" // a request that was under way is told otherwise
	until(t, "two to go on", func() bool {
		o = look(t, client, endpoints...)
		down := o.Members[indexOf(o, "m3")]
		return o.State().Count() == quorum.Count{Voters: 3, Able: 2} && down.Status == nil && down.Err.Error() == refused
	})

	c.KillMember(c.Members[1])
	until(t, "quorum to be lost", func() bool {
		o = look(t, client, one.ClientURL)
		return !o.HasQuorum && o.Leader == 0
	})
	left := o.Members[indexOf(o, "m1")]
	if left.Status == nil || len(o.Members) != 3 || len(o.Lists) != 1 {
		t.Errorf("of what is left: %s", seen(o))
	}
	if lost := texts(membership.Findings(o), "quorum-lost"); len(lost) != 1 || !strings.Contains(lost[0], "m1 (term ") {
		t.Errorf("findings: %q", lost)
	}

	for _, m := range c.Members[1:] { // the connections that failed do not stand in the way
		if err := c.StartMember(m); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all to be back", func() bool { return look(t, client, one.ClientURL).State().Count().Able == 3 })
}

func nameIndex(name string) int { return int(name[1] - '1') }

func indexOf(o *membership.Observation, name string) int {
	for i, m := range o.Members {
		if m.Name == name {
			return i
		}
	}
	panic("no " + name)
}

// What the server refuses is told apart, and what it does is done once.
func TestRealChanges(t *testing.T) {
	t.Parallel()
	c, client := startCluster(t, 3, 0)
	o := look(t, client, c.Config().Endpoints...)
	leader := o.Member(o.Leader)
	var follower *membership.Member
	for i := range o.Members {
		if o.Members[i].ID != o.Leader {
			follower = &o.Members[i]
		}
	}
	const unused = "https://127.0.0.1:1"
	step := func(kind quorum.Kind, id quorum.ID, urls ...string) membership.Step {
		return membership.Step{Step: quorum.Step{Kind: kind, ID: id}, PeerURLs: urls}
	}
	ask := func(endpoint string, s membership.Step, want error) {
		t.Helper()
		var err error
		until(t, "the server to see that the members are healthy", func() bool {
			err = client.Change(t.Context(), endpoint, s)
			return !errors.Is(err, membership.ErrUnhealthy)
		})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", s.Kind, err, want)
		}
	}
	at := leader.Endpoint
	if err := client.Change(t.Context(), at, step(quorum.AddLearner, 0, unused)); !errors.Is(err, membership.ErrUnhealthy) {
		t.Errorf("in the first five seconds: %v, want %v", err, membership.ErrUnhealthy)
	}
	ask(at, step(quorum.AddLearner, 0, unused), nil)
	ask(at, step(quorum.AddLearner, 0, unused), membership.ErrExists)
	ask(at, step(quorum.AddLearner, 0, "https://127.0.0.1:2"), membership.ErrLearners)
	var learner quorum.ID
	for _, m := range look(t, client, at).Members {
		if m.Learner {
			learner = m.ID
			if m.Started() || m.PeerURLs[0] != unused {
				t.Errorf("the learner is %+v", m)
			}
		}
	}
	ask(at, step(quorum.Promote, learner), membership.ErrNotReady)
	ask(follower.Endpoint, step(quorum.Promote, learner), membership.ErrNotReady)
	ask(at, step(quorum.Promote, follower.ID), membership.ErrNotLearner)
	ask(at, step(quorum.Update, learner, follower.PeerURLs...), membership.ErrExists)
	ask(at, step(quorum.Update, learner, "https://127.0.0.1:3"), nil)
	ask(at, step(quorum.Remove, learner), nil)
	ask(at, step(quorum.Remove, learner), membership.ErrNotFound)
	ask(follower.Endpoint, step(quorum.MoveLeader, follower.ID), membership.ErrNotLeader)
	ask(at, step(quorum.MoveLeader, follower.ID), nil)
	if o = look(t, client, at); o.Leader != follower.ID || len(o.Members) != 3 {
		t.Errorf("now it is %s", seen(o))
	}
}

// A full db forbids writes, and with them a lock, but one that is held stays so.
func TestARealClusterWithoutSpace(t *testing.T) {
	t.Parallel()
	c, client := startCluster(t, 1, 2<<20)
	at := c.Members[0].ClientURL
	etcd := dial(t, c.Config(), at)
	early, err := client.Lock(t.Context(), []string{at}, "who came before the alarm")
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 256<<10)
	until(t, "the alarm", func() bool {
		_, err := etcd.Put(t.Context(), "key", value)
		return err != nil
	})
	o := look(t, client, at)
	if !o.Alarmed(membership.NoSpace) || len(o.Members[0].Alarms) != 1 || o.State().Count().Able != 1 {
		t.Errorf("alarms %v, %v; %s", o.Alarms, o.Members[0].Alarms, seen(o))
	}
	if errs := o.Members[0].Status.Errors; len(errs) > 0 {
		t.Errorf("beside the alarm: %q", errs)
	}
	_, err = client.Lock(t.Context(), []string{at}, "one")
	if locked, ok := errors.AsType[*membership.LockedError](err); !ok || locked.Who != "who came before the alarm" {
		t.Errorf("lock beside another: %v", err)
	}
	if err := errors.Join(early.Held(time.Second), early.Release(t.Context())); err != nil {
		t.Errorf("the lock from before the alarm: %v", err)
	}
	if _, err := client.Lock(t.Context(), []string{at}, "one"); !errors.Is(err, membership.ErrAlarmed) {
		t.Errorf("lock: %v, want %v", err, membership.ErrAlarmed)
	}
	if _, err := etcd.Compact(t.Context(), o.Members[0].Status.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if err := client.Defragment(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if err := client.Disarm(t.Context(), at, o.Alarms[0]); err != nil {
		t.Fatal(err)
	}
	lock, err := client.Lock(t.Context(), []string{at}, "one")
	if err != nil {
		t.Fatalf("lock afterwards: %v", err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
