package election_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/internal/fail"
)

// Three hundred clusters spread over three instances; one that leaves moves only its own,
// and they spread over the others.
func TestClustersSpread(t *testing.T) {
	names := []string{"cp-1", "cp-2", "cp-3"}
	before, after := map[string]int{}, map[string]int{}
	for n := range 300 {
		cluster := fmt.Sprintf("cluster-%d", n)
		was, is := election.Prefer(cluster, names), election.Prefer(cluster, names[:2])
		before[was]++
		if was == "cp-3" {
			after[is]++
		} else if is != was {
			t.Errorf("%s moves from %s to %s", cluster, was, is)
		}
		if other := election.Prefer(cluster, []string{"cp-3", "cp-1", "cp-2"}); other != was {
			t.Errorf("%s is of %s or of %s", cluster, was, other)
		}
	}
	for _, name := range names {
		if n := before[name]; n < 60 || n > 140 {
			t.Errorf("%s has %d of 300", name, n)
		}
	}
	if n := after["cp-1"]; n < before["cp-3"]/4 || n > before["cp-3"]*3/4 {
		t.Errorf("of the %d of cp-3, %d go to cp-1", before["cp-3"], n)
	}
	if name := election.Prefer("production", nil); name != "" {
		t.Errorf("of none it is %q", name)
	}
}

// The rule of who acts where an alarm allows no lock.
func TestActs(t *testing.T) {
	in := func(name string, member uint64) election.Instance {
		return election.Instance{Name: name, Member: member}
	}
	list := func(l ...election.Instance) []election.Instance { return l }
	for _, c := range []struct {
		name string
		list []election.Instance
		self election.Instance
		acts bool
	}{
		{"beside the lowest of the list", list(in("z", 20), in("a", 30)), in("z", 20), true},
		{"beside another of the list", list(in("z", 20), in("a", 30)), in("a", 30), false},
		{"beside a voter, before one that is beside none", list(in("z", 30), in("a", 0)), in("z", 30), true},
		{"beside none, after one that is", list(in("z", 30), in("a", 0)), in("a", 0), false},
		{"beside none, the first by name", list(in("b", 0), in("a", 0)), in("a", 0), true},
		{"beside none, not the first by name", list(in("b", 0), in("a", 0)), in("b", 0), false},
		{"beside a learner counts as beside none", list(in("b", 5), in("a", 0)), in("a", 0), true},
		{"came late, beside the lowest of all, but somebody attends", list(in("a", 30)), in("z", 10), false},
		{"came late, and nobody attends: beside the lowest of all", nil, in("z", 10), true},
		{"came late, and nobody attends: beside another one", nil, in("a", 20), false},
		{"came late, and nobody attends: beside none", nil, in("a", 0), true},
		{"came late, and nobody attends: beside a learner", nil, in("a", 5), true},
	} {
		attends := slices.Contains(c.list, c.self)
		a := election.Attendance{Instances: c.list, Voters: []uint64{30, 10, 20}, Self: &c.self}
		if acts := election.Acts(a, attends); acts != c.acts {
			t.Errorf("%s: %t", c.name, acts)
		}
	}
	left := in("a", 10)
	if election.Acts(election.Attendance{Instances: list(left), Voters: []uint64{10}, Self: &left}, false) {
		t.Error("an entry that the process before has left is one to act by")
	}
	if election.Acts(election.Attendance{Voters: []uint64{10}}, false) {
		t.Error("one that does not know where it is acts")
	}
	if election.Acts(election.Attendance{Voters: []uint64{10}, Self: &left, Active: "cp-2"}, false) {
		t.Error("it acts although somebody has the lock")
	}
}

// Whoever is on the list, exactly one of them acts, and nobody else.
func TestOneOfThoseWhoAttendActs(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for range 2000 {
		voters := []uint64{r.Uint64(), r.Uint64(), r.Uint64()}
		var all []election.Instance
		for n := range 1 + r.IntN(5) {
			i := election.Instance{Name: fmt.Sprintf("cp-%d", r.IntN(1000)*10+n)}
			if n < len(voters) && r.IntN(2) == 0 {
				i.Member = voters[n]
			}
			all = append(all, i)
		}
		on := 1 + r.IntN(len(all))
		var acting []string
		for n, i := range all {
			if election.Acts(election.Attendance{Instances: all[:on], Voters: voters, Self: &i}, n < on) {
				acting = append(acting, i.Name)
			}
		}
		if len(acting) != 1 {
			t.Fatalf("of %v, the first %d of which attend, %v act; voters %v", all, on, acting, voters)
		}
	}
}

func TestDurationsThatCannotWork(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		lease, renew, retry time.Duration
		why                 string
	}{
		{election.DefaultLeaseDuration, election.DefaultRenewDeadline, election.DefaultRetryPeriod, ""},
		{5 * s, 3 * s, 2 * s, ""},
		{3 * s, 2500 * time.Millisecond, 2 * s, "a lease duration of 3s and a renew deadline of 2.5s leave less than the retry period of 2s to stop in"},
		{10 * s, 10 * s, 2 * s, "a lease duration of 10s does not outlast the renew deadline of 10s"},
		{15 * s, 2400 * time.Millisecond, 2 * s, "a renew deadline of 2.4s is not more than 1.2 retry periods of 2s"},
		{15 * s, 10 * s, 0, "a retry period of 0s is none"},
		{15 * s, 10 * s, -s, "a retry period of -1s is none"},
		{2500 * time.Millisecond, 2 * s, s, "a lease duration of 2.5s is not whole seconds"},
		{0, 0, 0, "a retry period of 0s is none"},
	} {
		switch err := election.Check(c.lease, c.renew, c.retry); {
		case c.why == "" && err != nil:
			t.Errorf("%s, %s, %s: %v", c.lease, c.renew, c.retry, err)
		case c.why != "" && (err == nil || err.Error() != c.why || !errors.Is(err, fail.ErrUsage)):
			t.Errorf("%s, %s, %s: %v, want %s", c.lease, c.renew, c.retry, err, c.why)
		}
	}
}
