package membership_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// mortal is the client of an operator whose process is killed at the call of that
// number: nothing that it does after that has an effect, and its lock stays
// until the lease ends. A change counts twice, for the process can be killed
// before it and when it has taken effect.
type mortal struct {
	*membershiptest.Operator
	cluster *membershiptest.Cluster
	dies    int // 0: never
	kill    context.CancelFunc

	mu         sync.Mutex
	calls      int
	quorumLost bool
}

// live counts a call. It tells whether the process has been killed.
func (m *mortal) live() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	m.quorumLost = m.quorumLost || !m.cluster.HasQuorum()
	if m.calls != m.dies {
		return nil
	}
	m.Crash()
	m.kill()
	return membershiptest.ErrCrashed
}

func (m *mortal) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	if err := m.live(); err != nil {
		return membership.Status{}, err
	}
	return m.Operator.Status(ctx, endpoint)
}

func (m *mortal) Members(ctx context.Context, endpoint string, linearizable bool) (membership.List, error) {
	if err := m.live(); err != nil {
		return membership.List{}, err
	}
	return m.Operator.Members(ctx, endpoint, linearizable)
}

func (m *mortal) Change(ctx context.Context, endpoint string, step membership.Step) error {
	if err := m.live(); err != nil {
		return err
	}
	err := m.Operator.Change(ctx, endpoint, step)
	return errors.Join(err, m.live())
}

func (m *mortal) Lock(ctx context.Context, endpoints []string, who string) (membership.Lock, error) {
	if err := m.live(); err != nil {
		return nil, err
	}
	lock, err := m.Operator.Lock(ctx, endpoints, who)
	if err != nil {
		return nil, err
	}
	return lock, m.live()
}

// drama is a cluster, a goal, and what there is in the end.
type drama struct {
	name, cluster string
	goal          membership.Goal
	end           string
}

// play runs the command until it is killed, if it is, and then again to its
// end. It returns how many calls the first run made.
func (d drama) play(t *testing.T, dies int) (calls int) {
	t.Helper()
	c := membershiptest.New(t, d.cluster)
	c.StartsAfter, c.CatchUp = time.Second, time.Second
	writes := !strings.Contains(d.cluster, "nospace") && !strings.Contains(d.cluster, "corrupt")
	first := &mortal{Operator: c.NewOperator(), cluster: c, dies: dies}
	second := &mortal{Operator: c.NewOperator(), cluster: c}
	for _, m := range []*mortal{first, second} {
		ctx, kill := context.WithCancel(t.Context())
		m.kill = kill
		_, err := newOperator(c, m).Run(ctx, d.goal)
		kill()
		killed := m == first && dies > 0
		if (err != nil) != killed {
			t.Fatalf("%s, killed at call %d: error %v\n%s\nchanges %q", d.name, dies, err, c, c.Changes())
		}
		if m.quorumLost || writes && !c.Write(1) {
			t.Fatalf("%s, killed at call %d: quorum was lost\n%s\nchanges %q", d.name, dies, c, c.Changes())
		}
	}
	if end := members(observe(t, c)); end != d.end {
		t.Fatalf("%s, killed at call %d: in the end there are %s\nwant %s\nchanges %q", d.name, dies, end, d.end, c.Changes())
	}
	return first.calls
}

func voters(hosts ...string) string {
	var out []string
	for _, h := range hosts {
		name, host, _ := strings.Cut(h, "@")
		if host == "" {
			host = name
		}
		out = append(out, "m"+name+" https://192.0.2."+host+":2380 voter")
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// Whenever the process is killed, the same command goes on to the same end, and
// quorum is there all the time.
func TestKilledAnywhere(t *testing.T) {
	dramas := []drama{
		{"add", "m1 leader", membership.Add("m2", []string{url(2)}, true), voters("1", "2")},
		{"remove the leader", threeVoters, membership.Remove("deadbeef00000001"), voters("2", "3")},
		{"replace a dead member", "m1 leader\nm2\nm3 stopped", membership.Replace("m3", "m4", []string{url(4)}), voters("1", "2", "4")},
		{"replace a paused member, with NOSPACE", "m1 leader nospace\nm2\nm3 paused", membership.Replace("m3", "m4", []string{url(4)}), voters("1", "2", "4")},
		{"replace a dead disk", "m1 leader\nm2\nm3 stopped", membership.Replace("m3", "m3", []string{url(3)}), voters("1", "2", "3")},
		{"replace corrupt data", "m1 leader corrupt\nm2\nm3", membership.Replace("m1", "m4", []string{url(4)}), voters("2", "3", "4")},
		{"replace the leader", threeVoters, membership.Replace("m1", "m4", []string{url(4)}), voters("2", "3", "4")},
		{"one to three", "m1 leader", reach(t, "m1 1, m2 2, m3 3"), voters("1", "2", "3")},
		{"three to one", threeVoters, reach(t, "m2 2"), voters("2")},
		{"both of two move", "m1 leader\nm2", reach(t, "m1 8, m2 9"), voters("1@8", "2@9")},
	}
	dramas[1].cluster = "m1 leader id=deadbeef00000001\nm2\nm3"
	points := 0
	for _, d := range dramas {
		calls := d.play(t, 0)
		for dies := range calls {
			d.play(t, dies+1)
		}
		points += calls
	}
	t.Logf("killed at %d points of %d commands", points, len(dramas))
	if points < 1000 {
		t.Errorf("only %d points", points)
	}
}

// The same for clusters and targets by chance, killed at any call by chance.
func TestKilledByChance(t *testing.T) {
	const kills = 3
	points, commands := 0, 0
	for seed := range uint64(150) {
		chance := rand.New(rand.NewPCG(seed, 2))
		w := newWish(chance)
		if w.downWanted || w.waitsForever || strings.Contains(w.cluster, "corrupt") { // which keeps locks away
			continue
		}
		d := drama{w.target, w.cluster, reach(t, w.target), w.end()}
		commands++
		calls := d.play(t, 0)
		for range min(kills, calls) {
			d.play(t, 1+chance.IntN(calls))
			points++
		}
	}
	t.Logf("killed at %d points of %d commands", points, commands)
	if points < 100 {
		t.Errorf("only %d points", points)
	}
}
