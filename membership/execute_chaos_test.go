package membership_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// fate makes a voter die at the moment of that number, if the cluster
// tolerates that. Moments are the end of a step and each second of a wait.
type fate struct {
	*operator
	t       *testing.T
	cluster *membershiptest.Cluster
	chance  *rand.Rand
	moments int
	at      int
	victim  string
	lost    bool
}

func (f *fate) moment() {
	f.lost = f.lost || !f.cluster.HasQuorum()
	if f.moments++; f.moments != f.at {
		return
	}
	o := observe(f.t, f.cluster)
	if o.State().Count().Tolerates() < 1 {
		return
	}
	for _, i := range f.chance.Perm(len(o.Members)) {
		if m := o.Members[i]; !m.Learner && m.CaughtUp {
			f.victim = m.Name
			f.cluster.Stop(m.Name)
			return
		}
	}
}

func (f *fate) Waiting(s membership.Step, why string) {
	f.operator.Waiting(s, why)
	f.moment()
}

// A member that dies between two steps does not cost quorum by the steps that
// follow: either they are safe without it, or they are refused. When it is back,
// the same command reaches its end.
func TestAMemberDiesOnTheWay(t *testing.T) {
	deaths, refused, done := 0, 0, 0
	for seed := range uint64(200) {
		chance := rand.New(rand.NewPCG(seed, 3))
		w := newWish(chance)
		if w.downWanted || w.waitsForever || strings.Contains(w.cluster, "corrupt") {
			continue
		}
		c := membershiptest.New(t, w.cluster)
		c.StartsAfter, c.CatchUp = time.Second, time.Second
		f := &fate{operator: newOperator(c, c), t: t, cluster: c, chance: chance, at: 1 + chance.IntN(12)}
		f.Reporter, f.Wait = f, time.Minute
		f.OnStep = func(context.Context, membership.Event) error { f.moment(); return nil }
		_, err := f.Run(t.Context(), reach(t, w.target))
		switch {
		case f.victim != "":
			deaths++
			c.Start(f.victim)
		case err != nil:
			t.Fatalf("seed %d: nobody died: %v", seed, err)
		}
		switch {
		case errors.Is(err, fail.ErrUnsafe):
			refused++
		case err == nil:
			done++
		}
		if _, err := newOperator(c, c).Run(t.Context(), reach(t, w.target)); err != nil {
			t.Fatalf("seed %d: %s is back: %v\n%s\nchanges %q", seed, f.victim, err, c, c.Changes())
		}
		if f.lost || !c.HasQuorum() || members(observe(t, c)) != w.end() {
			t.Fatalf("seed %d: %s died: quorum was lost: %v\n%s\nchanges %q", seed, f.victim, f.lost, c, c.Changes())
		}
	}
	t.Logf("%d members died; %d commands were refused then, %d went on to their end", deaths, refused, done)
	if deaths < 20 || refused < 5 {
		t.Error("too few for a proof")
	}
}
