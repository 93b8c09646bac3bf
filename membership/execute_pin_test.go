package membership_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

// astray is the client of an operator for whom some endpoints lead to an etcd of
// another cluster.
type astray struct {
	*membershiptest.Operator
	other  *membershiptest.Cluster
	there  []string
	locked []string // where locks were asked for
	lost   bool     // the lock, at the next question
}

func (a *astray) at(endpoint string) *membershiptest.Operator {
	if slices.Contains(a.there, endpoint) {
		return &a.other.Operator
	}
	return a.Operator
}

func (a *astray) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	return a.at(endpoint).Status(ctx, endpoint)
}

func (a *astray) Members(ctx context.Context, endpoint string, linearizable bool) (membership.List, error) {
	return a.at(endpoint).Members(ctx, endpoint, linearizable)
}

func (a *astray) Lock(ctx context.Context, endpoints []string, who string) (membership.Lock, error) {
	a.locked = append(a.locked, endpoints...)
	lock, err := a.Operator.Lock(ctx, endpoints, who)
	return &astrayLock{lock, a}, err
}

type astrayLock struct {
	membership.Lock
	client *astray
}

func (l *astrayLock) Held(d time.Duration) error {
	if l.client.lost {
		l.client.lost = false
		return membership.ErrLockLost
	}
	return l.Lock.Held(d)
}

const hostOfM1 = "https://192.0.2.1:2379"

// The new etcd was started with the flags of the old one, and began a cluster of its
// own behind the first endpoint. The run waits for its own.
func TestAClusterThatBeginsOnTheWayIsNotTheOne(t *testing.T) {
	c := membershiptest.New(t, "m1 stopped\nm2 leader\nm3")
	client := &astray{Operator: c.NewOperator(), other: membershiptest.New(t, "cluster id=beef\nm1 leader")}
	op := newOperator(c, client)
	op.Wait = time.Minute
	op.OnStep = func(_ context.Context, e membership.Event) error {
		if e.Step == membership.EventStart {
			client.there, client.locked, client.lost = []string{hostOfM1}, nil, true
		}
		return nil
	}
	_, err := op.Run(t.Context(), membership.Replace("m1", "m1", nil))
	want := "wait for m1: after 1m0s, its etcd has not been started in this cluster yet; " + hostOfM1 + " is of another one, beef"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if len(client.locked) == 0 || slices.Contains(client.locked, hostOfM1) {
		t.Errorf("locks were asked for at %q", client.locked)
	}
	clusterIs(t, c, "m2 voter leader, m3 voter, m1 learner never-started")
}

func TestOnlyAnotherClusterAnswers(t *testing.T) {
	c := membershiptest.New(t, "m1 leader")
	client := &astray{Operator: c.NewOperator(), other: membershiptest.New(t, "cluster id=beef\nm1 leader")}
	c.AfterChange = func(int, membership.Step) error { client.there = []string{hostOfM1}; return nil }
	_, err := newOperator(c, client).Run(t.Context(), membership.Add("m2", []string{url(2)}, true))
	want := "observe cluster: " + hostOfM1 + " is of another cluster, beef, and nobody of cdf818194e3a8c32 answers"
	if !errors.Is(err, fail.ErrUnsafe) || err.Error() != want || fail.Hint(err) == "" {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestEndpointsOfTwoClustersAreNoChoice(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	client := &astray{Operator: c.NewOperator(), other: membershiptest.New(t, "cluster id=beef\nm1 leader"), there: []string{hostOfM1}}
	_, err := newOperator(c, client).Run(t.Context(), membership.Remove("m3"))
	want := "the endpoints are of two clusters: https://192.0.2.2:2379 is of cdf818194e3a8c32, and others are of beef"
	if !errors.Is(err, fail.ErrUsage) || err.Error() != want || len(c.Changes())+len(client.other.Changes()) > 0 {
		t.Errorf("error %v, want %s", err, want)
	}
}

// The first member of a cluster, started with its old flags on an empty disk, has the
// old ids again.
func TestTwoClustersOfOneID(t *testing.T) {
	c := membershiptest.New(t, "m1\nm2 leader\nm3")
	c.Partition("m1")
	client := &astray{Operator: c.NewOperator(), other: membershiptest.New(t, "m1 leader"), there: []string{hostOfM1}}
	for _, force := range []string{"", "a test"} {
		op := newOperator(c, client)
		op.ForceUnsafe = force
		_, err := op.Run(t.Context(), membership.Remove("m3"))
		want := hostOfM1 + " and https://192.0.2.2:2379 belong to two clusters with the same id: " +
			"https://192.0.2.2:2379 has another member list, m2 is in it; m3 is in it"
		if err == nil || err.Error() != want || !errors.Is(err, fail.ErrUnsafe) || fail.Hint(err) == "" || len(c.Changes())+len(client.other.Changes()) > 0 {
			t.Errorf("error %v\nwant  %s", err, want)
		}
	}
	o, err := membership.Observe(t.Context(), client, membership.ObserveOptions{Endpoints: c.Endpoints(), Now: c.Now, Sleep: c.Sleep})
	if err != nil || membership.Findings(o)[0].Code != "two-clusters" {
		t.Errorf("error %v, findings %v", err, membership.Findings(o))
	}
	client.there = nil // the stranger was stopped
	c.Stop("m1")
	if _, err := newOperator(c, client).Run(t.Context(), membership.Remove("m1")); err != nil {
		t.Error(err)
	}
}

// Somebody else's change between the answers of two members is no second cluster.
func TestListsThatDifferForAMoment(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	client := &astray{Operator: c.NewOperator(), other: membershiptest.New(t, "m1 leader"), there: []string{hostOfM1}}
	c.After(time.Second, func() { client.there = nil })
	o, err := membership.Observe(t.Context(), client, membership.ObserveOptions{Endpoints: c.Endpoints(), Now: c.Now, Sleep: c.Sleep})
	if err != nil || o.Conflict != "" {
		t.Errorf("error %v, conflict %s", err, o.Conflict)
	}
}

// Without quorum a list may be old: that it looks like the goal is no proof.
func TestAGoalIsNotReachedWithoutQuorum(t *testing.T) {
	for _, goal := range []membership.Goal{reach(t, "m1 1, m2 2, m3 3"), membership.Remove("deadbeef00000009")} {
		c := membershiptest.New(t, "m1\nm2 stopped\nm3 stopped")
		_, err := newOperator(c, c).Run(t.Context(), goal)
		refusal, is := errors.AsType[*quorum.Refusal](err)
		if !is || refusal.Reason != quorum.NoQuorum || !errors.Is(err, fail.ErrUnsafe) ||
			err.Error() != "quorum is lost, so that nobody can tell whether anything is left to do" ||
			fail.Hint(err) != "etcdha member status says what is left to recover from" {
			t.Errorf("error %v, hint %q", err, fail.Hint(err))
		}
	}
}
