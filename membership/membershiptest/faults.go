package membershiptest

import (
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// with calls f with the node of that name or id, and lets the cluster settle.
// A name that a replaced member shares with its successor means the one that
// is listed. A name that nobody has is a mistake of the test.
func (c *Cluster) with(name string, f func(n *node)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.find(name))
	c.settle()
}

func (c *Cluster) find(name string) *node {
	var found *node
	for _, n := range c.nodes {
		if (n.name == name || n.id.String() == name) && (found == nil || n.listed) {
			found = n
		}
	}
	if found == nil {
		panic(fmt.Sprintf("the test knows no member %s", name))
	}
	return found
}

// run starts the etcd of a node, which catches up with what it has missed.
func (c *Cluster) run(n *node) {
	n.runs, n.paused, n.since = true, false, c.now
	if !n.published {
		n.ready = c.now.Add(c.CatchUp)
	}
}

// Start starts the etcd of a member: for the first time, or again.
func (c *Cluster) Start(name string) { c.with(name, c.run) }

// Stop ends the etcd of a member. Its data stays.
func (c *Cluster) Stop(name string) { c.with(name, func(n *node) { n.runs = false }) }

// Pause stops the process of a member without ending it: connections stay, and
// nothing answers.
func (c *Cluster) Pause(name string) {
	c.with(name, func(n *node) { n.paused, n.pausedAt = true, c.now })
}

// Resume lets a paused member go on.
func (c *Cluster) Resume(name string) {
	c.with(name, func(n *node) { n.paused, n.since = false, c.now })
}

// Lag keeps a member by that many entries behind: it takes in nothing more
// until Heal.
func (c *Cluster) Lag(name string, entries uint64) {
	c.with(name, func(n *node) {
		n.lagging = true
		n.applied = c.committed - min(entries, c.committed)
	})
}

// Partition cuts the named members off from all others, not from each other.
func (c *Cluster) Partition(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	side := 1 + slices.MaxFunc(c.nodes, func(a, b *node) int { return a.side - b.side }).side
	for _, name := range names {
		c.find(name).side = side
	}
	c.settle()
}

// Heal ends every partition and every lag.
func (c *Cluster) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.side != 0 {
			n.side, n.since = 0, c.now
		}
		n.lagging = false
	}
	c.settle()
}

// Corrupt changes what a member holds, and raises the alarm that says so.
func (c *Cluster) Corrupt(name string) {
	c.with(name, func(n *node) { n.corrupt = true })
	c.Alarm(name, membership.Corrupt)
}

// Alarm raises an alarm of a member.
func (c *Cluster) Alarm(name string, t membership.AlarmType) {
	c.with(name, func(n *node) {
		if a := (membership.Alarm{MemberID: n.id, Type: t}); !slices.Contains(c.alarms, a) {
			c.alarms = append(c.alarms, a)
		}
	})
}

// Alarmed tells whether any alarm is on, with which etcd takes no writes.
func (c *Cluster) Alarmed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.alarms) > 0
}

// AnswerAs makes the client URLs of one member lead to another.
func (c *Cluster) AnswerAs(name, other string) {
	c.with(name, func(n *node) { n.answersAs = c.find(other) })
}

// Write is a client's write of so many keys. It tells whether the cluster has
// acknowledged it.
func (c *Cluster) Write(keys int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil || len(c.alarms) > 0 {
		return false
	}
	c.commit(uint64(keys))
	c.revision += int64(keys)
	c.settle()
	return true
}

// commit appends entries to the log. A member that lags falls further behind.
func (c *Cluster) commit(entries uint64) { c.committed += entries }

// HasQuorum tells whether the cluster can commit now.
func (c *Cluster) HasQuorum() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader != nil
}

// Leader is the name of the leader, "" if there is none.
func (c *Cluster) Leader() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil {
		return ""
	}
	return c.leader.name
}

// ID is the id of the member of that name.
func (c *Cluster) ID(name string) quorum.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(name).id
}

// Endpoints are the client URLs of the members that have any.
func (c *Cluster) Endpoints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var urls []string
	for _, n := range c.nodes {
		if n.listed && n.published {
			urls = append(urls, n.clientURLs...)
		}
	}
	return urls
}

// Zones are the zones of the members by name.
func (c *Cluster) Zones() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	zones := make(map[string]string)
	for _, n := range c.nodes {
		if n.zone != "" {
			zones[n.name] = n.zone
		}
	}
	return zones
}

// Changes are the changes that took effect, in words and in order.
func (c *Cluster) Changes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

// String is the members in words, such as "m1 voter leader, m2 voter stopped".
func (c *Cluster) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ""
	for _, n := range c.nodes {
		if !n.listed {
			continue
		}
		if s != "" {
			s += ", "
		}
		s += n.name + " " + n.words(c)
	}
	return s
}

func (n *node) words(c *Cluster) string {
	s := "voter"
	if n.learner {
		s = "learner"
	}
	for _, w := range []struct {
		word string
		is   bool
	}{
		{"leader", n == c.leader},
		{"never-started", !n.published && !n.runs},
		{"stopped", n.published && !n.runs},
		{"paused", n.runs && n.paused},
		{"lagging", n.lagging},
		{"cut", n.side != 0},
		{"corrupt", n.corrupt},
	} {
		if w.is {
			s += " " + w.word
		}
	}
	return s
}
