package cronjobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// Days of schedules with all that can go wrong: instances that are killed, stopped and
// started, a lock that changes hands, jobs that fail and jobs that last, stores that are
// away or lose their answers, a configuration that changes. Afterwards each slot was run once,
// or is reported as missed once, nothing has overlapped, and all goes on.
func TestRandomDays(t *testing.T) {
	days := []struct{ name, zone, start string }{
		{"an ordinary day", "UTC", "2026-06-10T00:00:00Z"},
		{"the day that has 23 hours", "Europe/Berlin", "2026-03-28T20:00:00Z"},
		{"the day that has 25 hours", "Europe/Berlin", "2026-10-24T20:00:00Z"},
		{"a shift of half an hour", "Australia/Lord_Howe", "2026-04-04T06:00:00Z"},
		{"a midnight that is skipped", "Africa/Cairo", "2026-04-23T14:00:00Z"},
	}
	for _, day := range days {
		t.Run(day.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				randomStory(t, seed, day.zone, day.start, 30*time.Hour, []config.Job{
					zonedIn(t, config.Snapshot, "0 * * * *", day.zone), zonedIn(t, config.VerifySample, "30 2 * * *", day.zone),
					zonedIn(t, config.Prune, "*/20 * * * *", day.zone), zonedIn(t, config.Defrag, "15 1,2,3,4 * * *", day.zone),
					zonedIn(t, config.Health, "*/5 * * * *", day.zone),
				})
			}
		})
	}
	t.Run("a month of weeks", func(t *testing.T) {
		t.Parallel()
		for seed := range uint64(2) {
			randomStory(t, seed, "America/New_York", "2026-10-15T00:00:00Z", 31*24*time.Hour, []config.Job{
				zonedIn(t, config.Snapshot, "@daily", "America/New_York"), zonedIn(t, config.Verify, "30 1 * * 0", "America/New_York"),
				zonedIn(t, config.Rehearse, "30 2 * * sun", "America/New_York"), zonedIn(t, config.Prune, "@every 9h", "UTC"),
			})
		}
	})
}

func zonedIn(t *testing.T, name config.JobName, spec, zone string) config.Job {
	t.Helper()
	z, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return zoned(t, name, spec, z)
}

// chaos is a story that chance tells.
type chaos struct {
	*world
	seed     uint64
	clusters []config.Cluster
	length   time.Duration

	dice  sync.Mutex
	r     *rand.Rand
	down  bool // the stores
	quiet bool // nothing goes wrong any more

	nodes map[string]*node // nil: it is down
}

func randomStory(t *testing.T, seed uint64, zone, start string, length time.Duration, jobs []config.Job) {
	t.Helper()
	if t.Failed() {
		return // one story is enough to look into
	}
	tell(t, start, func(w *world) {
		c := &chaos{world: w, seed: seed, length: length, r: rand.New(rand.NewPCG(seed, 2)), nodes: make(map[string]*node)}
		for _, name := range []string{"c1", "c2"} {
			of := slices.Clone(jobs)
			for i := range of {
				of[i].Jitter = time.Duration(c.n(4)) * time.Minute
			}
			c.clusters = append(c.clusters, named(name, of...))
			w.ballot(name)
		}
		w.do, w.add, w.last = c.work, c.keeps, func(string) error { return c.store() }
		c.tell()
		if t.Failed() {
			t.Logf("this was seed %d in %s", seed, zone)
		}
	})
}

func (c *chaos) n(n int) int {
	c.dice.Lock()
	defer c.dice.Unlock()
	return c.r.IntN(n)
}

func (c *chaos) chance(percent int) bool { return c.n(100) < percent }

// work is what jobs do: most are quick, some last longer than their slot, some fail.
func (c *chaos) work(ctx context.Context, cluster string, r Run) (string, error) {
	d := time.Duration(c.n(120)) * time.Second
	if c.chance(5) && !c.quieted() {
		d = time.Duration(c.n(180)) * time.Minute
	}
	if _, err := takes(d)(ctx, cluster, r); err != nil {
		return "", err
	}
	if c.quieted() {
		return "done", nil
	}
	switch c.n(20) {
	case 0:
		return "", fail.Verificationf("damaged")
	case 1, 2:
		return "", errors.New("refused")
	}
	return "done", nil
}

func (c *chaos) quieted() bool {
	c.dice.Lock()
	defer c.dice.Unlock()
	return c.quiet
}

var errDown = errors.New("the store is down")

func (c *chaos) store() error {
	c.dice.Lock()
	defer c.dice.Unlock()
	if c.down {
		return errDown
	}
	return nil
}

// keeps takes a record, or does not, or does and its answer is lost.
func (c *chaos) keeps(status.Record) (bool, error) {
	if err := c.store(); err != nil {
		return false, err
	}
	if c.quieted() {
		return true, nil
	}
	switch c.n(20) {
	case 0:
		return false, errors.New("connection refused")
	case 1:
		return true, errors.New("connection reset")
	}
	return true, nil
}

func (c *chaos) tell() {
	names := []string{"a", "b", "c"}
	for _, name := range names {
		c.nodes[name] = c.start(name, c.clusters...)
	}
	for end := time.Now().Add(c.length); time.Now().Before(end); {
		time.Sleep(time.Duration(c.n(int(c.length / 60))))
		name := names[c.n(len(names))]
		switch n := c.nodes[name]; {
		case c.chance(40):
			c.ballots[c.clusters[c.n(2)].Name].give(append(names, "")[c.n(4)])
		case c.chance(25):
			c.dice.Lock()
			c.down = !c.down
			c.dice.Unlock()
		case n == nil:
			c.nodes[name] = c.start(name, c.clusters...)
		case c.chance(40):
			c.nodes[name] = nil
			n.kill()
		case c.chance(40):
			c.nodes[name] = nil
			n.stop()
		default:
			if err := n.configure(func(f *config.File) { f.Concurrency = 1 + c.n(3); f.SpoolDir += "/x" }); err != nil {
				c.t.Error(err)
			}
		}
	}
	c.calm(names)
	c.judge()
}

// calm lets everything come to rest with one instance.
func (c *chaos) calm(names []string) {
	c.dice.Lock()
	c.down, c.quiet = false, true
	c.dice.Unlock()
	for _, name := range names[1:] {
		if n := c.nodes[name]; n != nil {
			n.stop()
		}
	}
	if c.nodes["a"] == nil {
		c.nodes["a"] = c.start("a", c.clusters...)
	}
	for _, b := range c.ballots {
		b.give("a")
	}
	time.Sleep(4 * time.Hour)
	synctest.Wait()
	c.goesOn(c.nodes["a"])
	c.nodes["a"].stop()
}

// goesOn checks that no job has come to a standstill.
func (c *chaos) goesOn(n *node) {
	for _, s := range n.Fleet().Clusters {
		for i, j := range s.Jobs {
			latest := c.clusters[0].Jobs[i].Schedule.Latest(time.Now().Add(-10 * time.Minute))
			if j.Last == nil || j.Last.Slot.Before(latest) && j.Last.Finished.Before(latest) { // else it was missed by a long run
				if !c.ever(s.Name, j.Name) && j.Name != config.Snapshot && !j.Next.IsZero() {
					continue // nobody knows of a slot that was missed before the first record
				}
				c.t.Errorf("%s of %s stands still: last %+v, the newest slot is %s", j.Name, s.Name, j.Last, latest)
			}
			if !j.Next.After(time.Now().Add(-time.Minute)) {
				c.t.Errorf("%s of %s is next at %s", j.Name, s.Name, j.Next)
			}
		}
	}
}

// ever tells whether a job has left a record.
func (c *chaos) ever(cluster string, job config.JobName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.kept, func(r keptRecord) bool { return r.Cluster == cluster && r.Job == job })
}

// judge compares what was done with what has to be.
func (c *chaos) judge() {
	for _, cluster := range c.clusters {
		for _, job := range cluster.Jobs {
			if job.Name != config.Health {
				c.judgeRecords(cluster.Name, job)
			}
		}
		c.judgeActs(cluster)
	}
	c.judgeConcurrency()
}

// judgeRecords checks that each slot since the first record has one, or is counted as
// missed in exactly one.
func (c *chaos) judgeRecords(cluster string, job config.Job) {
	var records []keptRecord
	for _, r := range c.kept {
		if r.Cluster == cluster && r.Job == job.Name {
			records = append(records, r)
		}
	}
	slices.SortFunc(records, func(a, b keptRecord) int { return a.Slot.Compare(b.Slot) })
	for i, r := range records {
		if !job.Schedule.Latest(r.Slot).Equal(r.Slot) {
			c.t.Errorf("%s of %s: there is no slot %s", job.Name, cluster, r.Slot)
		}
		if i == 0 {
			continue
		}
		if want := job.Schedule.Between(records[i-1].Slot, r.Slot, 1000); r.Missed != want {
			c.t.Errorf("%s of %s: the record of %s by %s says %d missed since that of %s by %s, want %d", job.Name, cluster,
				r.Slot, r.Instance, r.Missed, records[i-1].Slot, records[i-1].Instance, want)
		}
	}
	for _, a := range c.acts {
		if a.cluster != cluster || a.run.Job != job.Name {
			continue
		}
		for _, r := range records {
			if !r.Slot.Before(a.run.Slot) && r.at.Before(a.from) {
				c.t.Errorf("%s of %s: slot %s was begun by %s at %s, and there was a record of %s", job.Name, cluster, a.run.Slot, a.instance, a.from, r.Slot)
			}
		}
		if begin := a.run.Slot; a.from.Before(begin) {
			c.t.Errorf("%s of %s: slot %s was begun too early, at %s", job.Name, cluster, begin, a.from)
		}
	}
}

// judgeActs checks that one instance at most acts for a cluster, and that nothing overlaps
// that must not.
func (c *chaos) judgeActs(cluster config.Cluster) {
	var of []*act
	for _, a := range c.acts {
		if a.cluster == cluster.Name {
			of = append(of, a)
		}
	}
	slices.SortFunc(of, func(a, b *act) int { return a.from.Compare(b.from) })
	alone := func(j config.JobName) bool { return j == config.Snapshot || j == config.Defrag }
	for i, a := range of {
		for _, b := range of[i+1:] {
			if !b.from.Before(a.to) {
				continue
			}
			what := fmt.Sprintf("%s by %s from %s to %s and %s by %s from %s", a.run.Job, a.instance, a.from, a.to, b.run.Job, b.instance, b.from)
			switch {
			case a.instance != b.instance:
				c.t.Errorf("%s: two instances act: %s", cluster.Name, what)
			case a.run.Job == b.run.Job || alone(a.run.Job) && alone(b.run.Job):
				c.t.Errorf("%s: they overlap: %s", cluster.Name, what)
			}
		}
	}
}

// judgeConcurrency checks that no instance runs more than it may: four, or less after a reload.
func (c *chaos) judgeConcurrency() {
	type edge struct {
		at   time.Time
		by   int
		node string
	}
	var edges []edge
	for _, a := range c.acts {
		if a.run.Job != config.Health {
			edges = append(edges, edge{a.from, 1, a.instance}, edge{a.to, -1, a.instance})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	inside := make(map[string]int)
	for _, e := range edges {
		if inside[e.node] += e.by; inside[e.node] > 4 {
			c.t.Errorf("%s runs %d at %s", e.node, inside[e.node], e.at)
		}
	}
}
