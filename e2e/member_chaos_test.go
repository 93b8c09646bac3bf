package e2e

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	chaosRuns = flag.Int("chaos-runs", 12, "how many random stories TestChaos plays")
	chaosSeed = flag.Uint64("chaos-seed", 1, "seed of the first of them; the next has the next number")
)

// TestChaos plays random stories: a change of the membership while members are
// killed, stopped and cut off, etcdha is killed, and a second operator does the
// same. Members that are dead from the start stay so. When those that failed for a
// moment are well again there is a quorum; when all are, every acknowledged write is
// there, and the same command, run once more, reaches its target.
func TestChaos(t *testing.T) {
	struck := &tally{of: make(map[string]int)}
	var stories []story
	for i := range *chaosRuns {
		seed := *chaosSeed + uint64(i)
		stories = append(stories, story{fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 4))
			s := newChaosStory(seed, rnd)
			t.Logf("-chaos-runs=1 -chaos-seed=%d: %s", seed, s)
			s.play(t, rnd, struck)
		}})
	}
	atOnce(t, stories)
	t.Logf("mishaps that struck%s", struck)
}

// tally counts.
type tally struct {
	mu sync.Mutex
	of map[string]int
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[what]++
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(c.of)) {
		fmt.Fprintf(&b, "\n%4d %s", c.of[what], what)
	}
	return b.String()
}

// chaosStory is what happens, decided before it begins.
type chaosStory struct {
	version        string
	members, hosts int
	dead           string // "" or the member that is dead for good
	stopped        bool   // it is dead by SIGSTOP
	args           []string
	target         []string // voters in the end
	mishaps        []mishap
}

const (
	kill           = "kill"    // a member, which is started again
	pause          = "pause"   // a member
	isolate        = "isolate" // a member from all others
	cut            = "cut"     // a link in one direction
	killEtcdha     = "kill etcdha"
	killAndFree    = "kill etcdha, free its lock" // as one does who knows that it is dead
	secondOperator = "second operator"            // with the same command
	// A member that fails until there has to be a quorum without it: the cluster
	// survives that when it happens, and no step may make that untrue.
	failForLong = "fail for long"
)

// mishap is one thing that goes wrong.
type mishap struct {
	afterStep bool          // it waits for the next step first
	delay     time.Duration // before it
	kind      string
	host      int // among those that run, modulo their number
	lasts     time.Duration
	stop      bool // one that fails for long does so by SIGSTOP
}

func (s *chaosStory) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "etcd %s, %d members, dead: %q (SIGSTOP: %v); etcdha %s", s.version, s.members, s.dead, s.stopped, strings.Join(s.args, " "))
	for _, m := range s.mishaps {
		fmt.Fprintf(&b, "\n%s, after a step: %v, after %v, for %v", m.kind, m.afterStep, m.delay, m.lasts)
	}
	return b.String()
}

// newChaosStory makes the story of a seed. Seeds in a row have the versions and
// the commands in turn.
func newChaosStory(seed uint64, rnd *rand.Rand) *chaosStory {
	s := &chaosStory{version: versions[seed%3], members: []int{1, 3, 3, 3, 5}[rnd.IntN(5)]}
	s.hosts = s.members + 2
	for i := range s.members {
		s.target = append(s.target, fmt.Sprintf("m%d", i+1))
	}
	if s.members > 1 && rnd.IntN(2) == 0 {
		s.dead, s.stopped = s.target[rnd.IntN(s.members)], rnd.IntN(3) == 0
	}
	s.chooseCommand(seed%5, rnd)
	kinds := []string{kill, pause, isolate, cut, killEtcdha, killAndFree, secondOperator}
	for range 3 + rnd.IntN(3) {
		s.mishaps = append(s.mishaps, mishap{
			afterStep: rnd.IntN(4) > 0, delay: time.Duration(rnd.IntN(400)) * time.Millisecond,
			kind: kinds[rnd.IntN(len(kinds))], host: rnd.IntN(60),
			lasts: time.Duration(200+rnd.IntN(2500)) * time.Millisecond,
		})
	}
	if rnd.IntN(2) == 0 {
		long := mishap{kind: failForLong, afterStep: rnd.IntN(3) > 0, host: rnd.IntN(60), stop: rnd.IntN(2) == 0}
		s.mishaps = slices.Insert(s.mishaps, rnd.IntN(len(s.mishaps)), long)
	}
	if s.args[0] == "remove" { // which tells no steps, and takes no time
		for i := range s.mishaps {
			s.mishaps[i].afterStep, s.mishaps[i].delay = false, s.mishaps[i].delay/8
		}
	}
	return s
}

// chooseCommand chooses one that takes out the dead member, if there is one.
func (s *chaosStory) chooseCommand(n uint64, rnd *rand.Rand) {
	if n == 0 {
		s.dead, s.stopped = "", false // beside whom nobody may be added
	}
	victim := s.dead
	if victim == "" {
		victim = s.target[rnd.IntN(len(s.target))]
	}
	without := slices.DeleteFunc(slices.Clone(s.target), func(name string) bool { return name == victim })
	first, second := fmt.Sprintf("m%d", s.members+1), fmt.Sprintf("m%d", s.members+2)
	switch {
	case n == 0:
		s.args, s.target = []string{"add", first}, append(s.target, first)
	case n == 1 && s.members > 1:
		s.args, s.target = []string{"remove", victim}, without // by its id: a name that is gone could be a mistake
	case n == 2 && s.dead != "" && !s.stopped:
		s.args = []string{"replace", victim, victim} // on the same host, whose disk is new
	case n == 3 && s.members == 5:
		s.args, s.target = []string{"apply"}, without[1:] // one less as well
	case n == 3:
		s.args, s.target = []string{"apply"}, append(without, first, second)
	default:
		s.args, s.target = []string{"replace", victim, first}, append(without, first)
	}
	slices.Sort(s.target)
}

// command is the whole command line, the same for every run of it.
func (s *chaosStory) command(t *testing.T, c *site) []string {
	var all []string
	for _, m := range c.Members {
		all = append(all, m.Name)
	}
	args := with(c.on(all...), "member")
	switch s.args[0] {
	case "add":
		return with(args, with(s.args, "--peer-urls="+c.host(s.args[1]).PeerURL, "--wait=1m")...)
	case "replace":
		return with(args, with(s.args, "--peer-urls="+c.host(s.args[2]).PeerURL, "--wait=1m", "--yes")...)
	case "apply":
		text := "members:\n"
		for _, name := range s.target {
			text += fmt.Sprintf("- {name: %s, peerURLs: [%q]}\n", name, c.host(name).PeerURL)
		}
		file := filepath.Join(t.TempDir(), "target.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return with(args, "apply", "--target="+file, "--no-backup", "--wait=1m", "--yes")
	}
	return with(args, "remove", c.id(s.args[1]), "--yes")
}

func (s *chaosStory) play(t *testing.T, rnd *rand.Rand, struck *tally) {
	c := newSite(t, s.version, s.members, s.hosts)
	w := c.write()
	w.flows(t)
	storm := newStorm(t, c, s.command(t, c), struck)
	t.Cleanup(func() { t.Logf("in the storm:\n%s", storm.said()) })
	if s.stopped {
		c.pause(s.dead)
		storm.patience = 15 * time.Second // each look of etcdha waits for the one that has stopped
	} else if s.dead != "" {
		c.kill(s.dead)
		if err := os.RemoveAll(c.host(s.dead).DataDir); err != nil {
			t.Fatal(err)
		}
		c.mayRun(s.dead) // as another member
	}
	c.operate()
	storm.blow(s.mishaps)

	eventually(t, "there is a quorum again", func() bool { return slices.ContainsFunc(c.running(), c.hasQuorum) })
	storm.recover()
	eventually(t, "all others are well again", func() bool { return c.allAnswer(s.dead) })
	if rnd.IntN(4) > 0 {
		storm.freeLock("") // else the last run waits for the lease of a dead one
	}
	start := time.Now()
	out, stderr, code := run(t, tool("etcdha"), storm.command...)
	if code != 0 {
		t.Fatalf("the same command, when all was well again: exit %d\n%s%s", code, out, stderr)
	}
	if got := c.voters(); !slices.Equal(got, s.target) || len(c.learners()) > 0 {
		t.Errorf("voters: %v, expected %v; learners: %v\n%s%s", got, s.target, c.learners(), out, stderr)
	}
	w.flows(t)
	w.stop(t)
	t.Logf("the last run took %v", time.Since(start).Round(time.Millisecond))
}
