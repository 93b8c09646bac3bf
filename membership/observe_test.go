package membership_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// lookFrom looks at the cluster from all its endpoints, or from some.
func lookFrom(t *testing.T, c *membershiptest.Cluster, endpoints ...string) *membership.Observation {
	t.Helper()
	o, err := membership.Observe(t.Context(), c, lookAt(c, endpoints...))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func lookAt(c *membershiptest.Cluster, endpoints ...string) membership.ObserveOptions {
	if len(endpoints) == 0 {
		endpoints = c.Endpoints()
	}
	return membership.ObserveOptions{Endpoints: endpoints, Zones: c.Zones(), Now: c.Now, Sleep: c.Sleep}
}

// seen is an observation in words: what decides about each member.
func seen(o *membership.Observation) string {
	var words []string
	for _, m := range o.Members {
		s := m.Label()
		if m.Learner {
			s += " learner"
		}
		if m.ID == o.Leader {
			s += " leader"
		}
		if q, ok := o.State().Member(m.ID); ok && q.Able() {
			s += " able"
		}
		if m.Ghost {
			s += " ghost"
		}
		if m.Err != nil {
			_, why, _ := strings.Cut(m.Err.Error(), ": ")
			if why == "" {
				why = m.Err.Error()
			}
			s += " (" + why + ")"
		}
		words = append(words, s)
	}
	if !o.HasQuorum {
		words = append(words, "no quorum")
	}
	return strings.Join(words, ", ")
}

func TestWhatIsObserved(t *testing.T) {
	for _, c := range []struct {
		name, cluster, want string
	}{
		{"all is well", "m1\nm2 leader\nm3", "m1 able, m2 leader able, m3 able"},
		{"one is down", "m1\nm2 leader\nm3 stopped", "m1 able, m2 leader able, m3 (connection refused)"},
		{"one is paused", "m1\nm2 leader\nm3 paused", "m1 able, m2 leader able, m3 (no answer in time)"},
		{"one is cut off from the others, not from us", "m1\nm2 leader\nm3 cut", "m1 able, m2 leader able, m3 (is cut off from the leader)"},
		{"one takes nothing in", "m1\nm2 leader\nm3 behind=5000", "m1 able, m2 leader able, m3 (is cut off from the leader)"},
		{"a learner takes nothing in", "m1\nm2 leader\nm3\nm4 learner behind=5000", "m1 able, m2 leader able, m3 able, m4 learner"},
		{"a learner that has caught up", "m1 leader\nm2\nm3\nm4 learner", "m1 leader able, m2 able, m3 able, m4 learner able"},
		{"a corrupt one", "m1 leader\nm2 corrupt\nm3", "m1 leader able, m2, m3 able"},
		{"a ghost", "m1 leader\nm2\nm3 ghost", "m1 leader able, m2 able"},
		{"quorum is lost", "m1\nm2 stopped\nm3 paused", "m1, m2 (connection refused), m3 (no answer in time), no quorum"},
		{"split in three", "m1 cut\nm2 cut\nm3 cut", "m1, m2, m3, no quorum"},
		{"alone", "m1", "m1 leader able"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := seen(lookFrom(t, membershiptest.New(t, c.cluster))); got != c.want {
				t.Errorf("seen: %s\nwant: %s", got, c.want)
			}
		})
	}
}

// One endpoint is enough: the others are in its list. It may be any that has a
// list, also one that is cut off.
func TestOneEndpointLeadsToAll(t *testing.T) {
	c := membershiptest.New(t, "m1 cut\nm2 leader\nm3\nm4\nm5 stopped")
	want := "m1 (is cut off from the leader), m2 leader able, m3 able, m4 able, m5 (connection refused)"
	for _, endpoint := range c.Endpoints()[:4] {
		if got := seen(lookFrom(t, c, endpoint)); got != want {
			t.Errorf("from %s: %s\nwant: %s", endpoint, got, want)
		}
	}
}

// The list of a member that missed a removal is the one that is not believed.
func TestAListThatIsOutOfDate(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3\nm4")
	c.Partition("m4")
	change(t, c, remove(c, "m3"))
	o := lookFrom(t, c, c.Endpoints()[2]) // m4's
	if got, want := seen(o), "m1 leader able, m2 able, m4 (is cut off from the leader)"; got != want {
		t.Errorf("seen: %s\nwant: %s", got, want)
	}
	if got := texts(membership.Findings(o), "lists-differ"); !slices.Equal(got, []string{"m4 has another member list: m3 is in it"}) {
		t.Errorf("findings: %q", got)
	}
}

// Without quorum the list is that of the member that is furthest ahead.
func TestWithoutQuorumNothingIsAveraged(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3\nm4")
	c.Partition("m4")
	change(t, c, remove(c, "m3"))
	c.Stop("m1")
	for _, endpoints := range [][]string{c.Endpoints(), {c.Endpoints()[2], c.Endpoints()[1]}} {
		o := lookFrom(t, c, endpoints...)
		if got, want := seen(o), "m1 (connection refused), m2, m4, no quorum"; got != want {
			t.Errorf("seen: %s\nwant: %s", got, want)
		}
		found := membership.Findings(o)
		if lost := texts(found, "quorum-lost"); len(lost) != 1 || !strings.Contains(lost[0], "the newest first: m2 (term 4, index 100001), m4 (term 4, index 100000)") {
			t.Errorf("findings: %q", lost)
		}
		if lists := texts(found, "lists-differ"); !slices.Equal(lists, []string{"m4 has another member list: m3 is in it"}) {
			t.Errorf("findings: %q", lists)
		}
		if len(o.Lists) != 2 {
			t.Errorf("there are %d lists, want both", len(o.Lists))
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	c := membershiptest.New(t, "m1 stopped\nm2 paused")
	_, err := membership.Observe(t.Context(), c, lookAt(c))
	if err == nil || !strings.HasPrefix(err.Error(), "observe cluster: https://192.0.2.1:2379: connection refused") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want what is wrong with each", err)
	}
	if _, err := membership.Observe(t.Context(), c, membership.ObserveOptions{Now: c.Now}); err == nil || err.Error() != "observe cluster: no endpoints" {
		t.Errorf("without endpoints: %v", err)
	}
}

func TestObserveEndsWithItsContext(t *testing.T) {
	c := membershiptest.New(t, "m1\nm2 leader\nm3")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := membership.Observe(ctx, c, lookAt(c)); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("%v; want %v and nothing else", err, context.Canceled)
	}
}

// A learner gives no list, so that it alone leads nowhere.
func TestALearnerAlone(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2 learner")
	if _, err := membership.Observe(t.Context(), c, lookAt(c, c.Endpoints()[1])); err == nil || !strings.Contains(err.Error(), "not supported for learner") {
		t.Errorf("%v", err)
	}
}

// Members get the time to catch up, and no more.
func TestCatchingUp(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		want  string
	}{
		{4 * time.Second, "m1 leader able, m2 learner able"},
		{6 * time.Second, "m1 leader able, m2 learner"},
	} {
		cluster := membershiptest.New(t, "m1 leader\nm2 learner never-started")
		cluster.CatchUp = c.takes
		cluster.Start("m2")
		begin := cluster.Now()
		o := lookFrom(t, cluster)
		if got := seen(o); got != c.want {
			t.Errorf("when it takes %s: %s, want %s", c.takes, got, c.want)
		}
		if took := cluster.Now().Sub(begin); took > membership.AnswerTimeout+time.Second {
			t.Errorf("that took %s", took)
		}
		if o.At != begin {
			t.Errorf("observed at %s, want the beginning %s", o.At, begin)
		}
	}
}

// Nobody waits for a member that will not count whatever it says.
func TestACutOffMemberIsNotWaitedFor(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3 cut")
	begin := c.Now()
	lookFrom(t, c)
	if took := c.Now().Sub(begin); took > 0 {
		t.Errorf("that took %s", took)
	}
}

// A client URL that leads to another member tells nothing about its own.
func TestAnEndpointThatLeadsElsewhere(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3")
	c.AnswerAs("m3", "m1")
	o := lookFrom(t, c, c.Endpoints()[0])
	if got, want := seen(o), fmt.Sprintf("m1 leader able, m2 able, m3 (member %s answers there)", c.ID("m1")); got != want {
		t.Errorf("seen: %s\nwant: %s", got, want)
	}
	want := "m3 cannot be asked: at its client URL https://192.0.2.3:2379, m1 answers"
	if got := texts(membership.Findings(o), "wrong-member"); !slices.Equal(got, []string{want}) {
		t.Errorf("findings: %q", got)
	}
}

// The cluster is that of the first endpoint that answers.
func TestEndpointsOfTwoClusters(t *testing.T) {
	one := membershiptest.New(t, "m1 leader client=https://192.0.2.1:2379\nm2 stopped client=https://192.0.2.2:2379\nm3 client=https://192.0.2.3:2379")
	two := membershiptest.New(t, "cluster id=beef\nx1 leader client=https://192.0.2.11:2379")
	both := twoClusters{one, two}
	options := lookAt(one, "https://192.0.2.2:2379", "https://192.0.2.1:2379", "https://192.0.2.11:2379")
	o, err := membership.Observe(t.Context(), both, options)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := seen(o), "m1 leader able, m2 (connection refused), m3 able"; got != want {
		t.Errorf("seen: %s\nwant: %s", got, want)
	}
	want := "https://192.0.2.11:2379 is of another cluster, beef; this one is cdf818194e3a8c32"
	if got := texts(membership.Findings(o), "other-cluster"); !slices.Equal(got, []string{want}) {
		t.Errorf("findings: %q", got)
	}
}

// twoClusters are behind endpoints that somebody has mixed up.
type twoClusters struct{ one, two *membershiptest.Cluster }

func (b twoClusters) of(endpoint string) membership.Reader {
	if slices.Contains(b.two.Endpoints(), endpoint) {
		return b.two
	}
	return b.one
}

func (b twoClusters) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	return b.of(endpoint).Status(ctx, endpoint)
}

func (b twoClusters) Members(ctx context.Context, endpoint string, linearizable bool) (membership.List, error) {
	return b.of(endpoint).Members(ctx, endpoint, linearizable)
}

func (b twoClusters) Hash(ctx context.Context, endpoint string, revision int64) (membership.Hash, error) {
	return b.of(endpoint).Hash(ctx, endpoint, revision)
}

// An election makes linearizable reads fail at once. It is waited for, and not
// taken for a loss of quorum, unless it does not end.
func TestAnElectionIsNoLossOfQuorum(t *testing.T) {
	for _, c := range []struct {
		lasts time.Duration
		want  string
	}{
		{3 * time.Second, "m1 leader able, m2 able, m3 able"},
		{time.Minute, "m1, m2, m3, no quorum"},
	} {
		cluster := membershiptest.New(t, "m1 leader\nm2\nm3")
		begin := cluster.Now()
		o, err := membership.Observe(t.Context(), electing{cluster, begin.Add(c.lasts)}, lookAt(cluster))
		if err != nil {
			t.Fatal(err)
		}
		if got := seen(o); got != c.want {
			t.Errorf("seen: %s\nwant: %s", got, c.want)
		}
		if took := cluster.Now().Sub(begin); took > membership.AnswerTimeout+time.Second {
			t.Errorf("that took %s", took)
		}
	}
}

type electing struct {
	*membershiptest.Cluster
	until time.Time
}

func (e electing) Members(ctx context.Context, endpoint string, linearizable bool) (membership.List, error) {
	if linearizable && e.Now().Before(e.until) {
		return membership.List{}, errors.New("etcdserver: leader changed")
	}
	return e.Cluster.Members(ctx, endpoint, linearizable)
}
