// Package membershiptest is an etcd cluster in memory, for tests of what
// changes memberships. It has the rules of etcd's server, the lax ones
// included: a change that the server would let pass and that costs quorum
// costs it here too, so that a test can fail.
//
// What always holds: nothing happens by itself. Its clock moves when somebody
// sleeps, elections take no time, and the same calls give the same cluster.
package membershiptest

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Cluster is a cluster in memory and a [membership.Client] of it.
type Cluster struct {
	Operator // who acts when a test needs only one

	// BeforeChange is called with each change, counted from 1; an error is
	// returned to the caller, and the change has no effect. AfterChange is
	// called when it has taken effect; its error is returned all the same.
	BeforeChange, AfterChange func(n int, step membership.Step) error
	// StartsAfter is when the etcd of an added member is started by whoever is
	// told to; 0: never by itself.
	StartsAfter time.Duration
	// CatchUp is how long a new member takes to catch up.
	CatchUp time.Duration

	mu        sync.Mutex
	now       time.Time
	id        uint64
	nodes     []*node // all that have ever been, in order of their ids
	leader    *node   // nil: there is no quorum
	term      uint64
	committed uint64
	revision  int64
	alarms    []membership.Alarm
	held      *lock
	changes   int
	later     []event
	log       []string
}

// event is what a test wants to happen at a time.
type event struct {
	at time.Time
	do func()
}

// node is one etcd, whether the cluster lists it or not.
type node struct {
	id         quorum.ID
	name       string // that it has, or will have
	peerURLs   []string
	clientURLs []string
	zone       string
	version    string

	listed    bool // it is a member
	learner   bool
	published bool // it has told the cluster its name

	runs     bool
	paused   bool
	lagging  bool // takes in nothing more
	behind   uint64
	side     int       // of a partition; who is on the same side reach each other
	since    time.Time // running and reachable since
	pausedAt time.Time
	addedAt  time.Time
	ready    time.Time // caught up by then

	term, applied uint64
	revision      int64
	view          []membership.Listed

	corrupt          bool
	db, inUse, quota int64
	latency          time.Duration
	clockAhead       *time.Duration
	answersAs        *node // a tunnel that leads elsewhere
	unreachable      bool  // nothing leads there
}

// works tells whether the node takes part in anything.
func (n *node) works() bool { return n.runs && !n.paused }

// acks tells whether the node counts for a commit.
func (n *node) acks() bool { return n.works() && !n.lagging }

// settle makes of the cluster what it becomes by itself, at once.
func (c *Cluster) settle() {
	c.elect()
	for _, n := range c.nodes {
		if c.leader == nil || n.side != c.leader.side || !n.works() {
			continue
		}
		if !n.listed {
			n.runs = false // it has been told that it was removed
			continue
		}
		n.term = c.term
		n.published = true
		if n.lagging || c.now.Before(n.ready) {
			continue
		}
		n.applied, n.revision = c.committed, c.revision
	}
	list := c.list()
	for _, n := range c.nodes {
		if c.leader != nil && n.side == c.leader.side && n.works() && n.listed {
			n.view = list
		}
	}
	c.renew()
}

// elect keeps the leader while it has a quorum, or finds the one that has.
func (c *Cluster) elect() {
	if c.leader != nil && c.leader.listed && c.leader.works() && c.quorate(c.leader.side) {
		return
	}
	c.leader = nil
	var best *node
	for _, n := range c.nodes {
		if n.listed && !n.learner && n.acks() && c.quorate(n.side) && (best == nil || n.applied > best.applied) {
			best = n
		}
	}
	if best != nil {
		c.lead(best)
	}
}

// lead makes a node the leader. It gives every lease a full TTL again, as etcd does.
func (c *Cluster) lead(n *node) {
	c.leader = n
	c.term++
	if c.held != nil && c.held.orphaned {
		c.held.deadline = c.now.Add(membership.LockTTL)
	}
}

// quorate tells whether a side of a partition can commit.
func (c *Cluster) quorate(side int) bool {
	voters, acks := 0, 0
	for _, n := range c.nodes {
		if n.listed && !n.learner {
			voters++
			if n.acks() && n.side == side {
				acks++
			}
		}
	}
	return acks >= quorum.Majority(voters)
}

// list is the member list of the cluster itself.
func (c *Cluster) list() []membership.Listed {
	var list []membership.Listed
	for _, n := range c.nodes {
		if !n.listed {
			continue
		}
		l := membership.Listed{ID: n.id, PeerURLs: slices.Clone(n.peerURLs), Learner: n.learner}
		if n.published {
			l.Name, l.ClientURLs = n.name, slices.Clone(n.clientURLs)
		}
		list = append(list, l)
	}
	return list
}

// newNode makes a node with an id that sorts and reads well, and is the same
// in every run.
func (c *Cluster) newNode(name string) *node {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "member %d", len(c.nodes)+1)
	return &node{
		id:      quorum.ID(uint64(0x11+len(c.nodes))<<56 | h.Sum64()>>8),
		name:    name,
		version: defaultVersion,
		latency: time.Millisecond,
	}
}

func (c *Cluster) insert(n *node) {
	c.nodes = append(c.nodes, n)
	slices.SortFunc(c.nodes, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
}

// Now is the time by the cluster's clock.
func (c *Cluster) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// tick is how often the cluster looks at its clock.
const tick = 100 * time.Millisecond

// Sleep moves the clock, and what happens by itself happens.
func (c *Cluster) Sleep(ctx context.Context, d time.Duration) error {
	for d > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.mu.Lock()
		c.now = c.now.Add(min(tick, d))
		due := c.due()
		c.startAdded()
		c.settle()
		c.mu.Unlock()
		for _, do := range due {
			do()
		}
		d -= tick
	}
	return ctx.Err()
}

// After does something once the clock has moved by d.
func (c *Cluster) After(d time.Duration, do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.later = append(c.later, event{c.now.Add(d), do})
}

func (c *Cluster) due() (do []func()) {
	c.later = slices.DeleteFunc(c.later, func(e event) bool {
		if e.at.After(c.now) {
			return false
		}
		do = append(do, e.do)
		return true
	})
	return do
}

func (c *Cluster) startAdded() {
	for _, n := range c.nodes {
		if c.StartsAfter > 0 && n.listed && !n.published && !n.runs && !n.addedAt.IsZero() && !c.now.Before(n.addedAt.Add(c.StartsAfter)) {
			c.run(n)
		}
	}
}
