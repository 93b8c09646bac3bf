package apiserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// judgement counts, from nothing but what there was to see at each look, how
// often the apiserver may have been restarted.
type judgement struct {
	n       *followed
	last    string // the list that the members asked for at the last look
	since   time.Time
	looks   int
	counted bool
	changes int
}

// look is called before each look of the follower.
func (j *judgement) look() {
	target := "none"
	if j.n.noQuorum == nil {
		target = j.target(true)
	}
	if target != j.last {
		j.last, j.since, j.looks, j.counted = target, j.n.clock, 0, false
	}
	j.looks++
	settled := j.n.clock.Sub(j.since) >= DefaultSettle || j.looks >= 2 && target != j.target(false)
	if target != "none" && settled && !j.counted {
		j.counted = true
		j.changes++
	}
}

// target is, without the code under test, what the members of an external
// list ask for: whoever is listed stays while it is a member, and who is not
// listed has to be healthy.
func (j *judgement) target(marks bool) string {
	listed := j.n.listed
	var all []string
	for _, m := range j.n.members {
		_, marked := j.n.marks[m.ID]
		if m.Name == "" || m.Learner || marked && marks || !m.Healthy && !slices.Contains(listed, m.ClientURLs[0]) {
			continue
		}
		all = append(all, m.ClientURLs[0])
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// happen makes one random thing happen to the members.
func (n *followed) happen(r *rand.Rand) {
	pick := n.members[r.IntN(len(n.members))].ID
	switch r.IntN(8) {
	case 0, 1:
		n.member(pick).Healthy = r.IntN(2) == 0
	case 2:
		id := uint64(4 + r.IntN(4))
		if !slices.ContainsFunc(n.members, func(m Member) bool { return m.ID == id }) && len(n.members) < 6 {
			n.members = append(n.members, Member{ID: id, Learner: true})
		}
	case 3:
		for _, m := range n.members {
			if m.Learner {
				*n.member(m.ID) = voter(m.ID)
				break
			}
		}
	case 4:
		if pick != 1 { // whom the list never loses
			n.remove(pick)
			delete(n.marks, pick)
		}
	case 5:
		if pick != 1 {
			n.withdraw(pick)
		}
	case 6:
		delete(n.marks, pick)
	case 7:
		n.noQuorum = nil
		if r.IntN(3) == 0 {
			n.noQuorum = errors.New("no quorum")
		}
	}
}

// Whatever happens to the members: the apiserver is restarted for what has
// settled only, and once for each; in the end it is in step; and no report says that
// a member is not used which the apiserver may still use.
func TestRandomHistories(t *testing.T) {
	restarts, stories := 0, 80
	for seed := range uint64(stories) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			n := newPlain(t)
			j := &judgement{n: n, since: n.clock, counted: true}
			j.last = j.target(true)
			n.looking = j.look
			at := time.Duration(0)
			for range 60 {
				// Most come in bursts, some after all has settled.
				at += time.Duration(r.IntN([]int{5, 15, 120}[r.IntN(3)])) * time.Second
				n.at(at, func() { n.happen(r) })
			}
			n.run(at + time.Second)
			n.noQuorum = nil
			n.run(DefaultSettle + 5*DefaultPeriod)
			if len(n.restarts) > j.changes {
				t.Errorf("%d restarts for %d changes that had settled: %v\n%s", len(n.restarts), j.changes, n.restarts, n.log.String())
			}
			servers := slices.Sorted(slices.Values(n.servers()))
			if want := j.target(true); strings.Join(servers, ",") != want {
				t.Errorf("in the end %v, want %s\n%s", servers, want, n.log.String())
			}
			if r := n.lastReport(); !slices.Equal(r.Servers, n.servers()) {
				t.Errorf("in the end the report says %v, and the list is %v", r.Servers, n.servers())
			}
			restarts += len(n.restarts)
		})
	}
	t.Logf("%d restarts in %d histories", restarts, stories)
	if restarts < stories {
		t.Errorf("only %d restarts in %d histories: they show little", restarts, stories)
	}
}

// Restarts that fail now and then do not keep it from being in step in the end,
// and cost no more attempts than the pauses allow.
func TestRandomHistoriesWithFailures(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 6))
			n := newPlain(t)
			attempts := make(map[string][]time.Time)
			n.fails = func(servers []string) error {
				target := strings.Join(slices.Sorted(slices.Values(servers)), ",")
				attempts[target] = append(attempts[target], n.clock)
				if r.IntN(2) == 0 {
					return fail.As(ErrTakenBack, errors.New("not ready in time"))
				}
				return nil
			}
			n.members = append(n.members, voter(4))
			n.at(10*time.Minute, func() { n.withdraw(2) })
			n.at(20*time.Minute, func() { n.remove(2); delete(n.marks, 2) })
			n.run(5 * time.Hour)
			if got := slices.Sorted(slices.Values(n.servers())); !slices.Equal(got, urls(1, 3, 4)) {
				t.Errorf("in the end %v\n%s", got, n.log.String())
			}
			for target, times := range attempts {
				for i := 1; i < len(times); i++ {
					if times[i].Sub(times[i-1]) < firstPause {
						t.Errorf("%s was tried %s after a failure", target, times[i].Sub(times[i-1]))
					}
				}
			}
			if len(n.restarts) > 3 {
				t.Errorf("%d restarts: %v", len(n.restarts), n.restarts)
			}
		})
	}
}
