package membershiptest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

const defaultVersion = "3.6.16"

// New makes the cluster of a description; see [Parse].
func New(t testing.TB, description string) *Cluster {
	t.Helper()
	c, err := Parse(description)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Parse makes a cluster of a description: a line a member, with its name, what
// it is, and what else differs from an ordinary member.
//
//	m1 leader zone=a version=3.6.16
//	m2 stopped
//	m4 learner never-started
//
// Words: voter, learner, leader, stopped, paused, cut (from the others),
// unreachable (for clients), lagging, never-started, ghost (removed, and still
// running), corrupt, nospace.
// Values: zone, version, id (hexadecimal), peer, client (URLs), db, inuse,
// quota (sizes), latency, clock (durations), behind (entries). A line "cluster"
// has the values id, term, index and revision. A # begins a comment.
func Parse(description string) (*Cluster, error) {
	c := &Cluster{
		now:       time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC),
		id:        0xcdf818194e3a8c32,
		term:      4,
		committed: 100_000,
		revision:  90_000,
		CatchUp:   2 * time.Second,
	}
	c.cluster = c
	for i, line := range strings.Split(description, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		parse := c.parseMember
		if fields[0] == "cluster" {
			parse = c.parseCluster
		}
		if err := parse(fields); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if len(c.nodes) == 0 {
		return nil, fmt.Errorf("no members")
	}
	list := c.list()
	for _, n := range c.nodes {
		if n.published {
			n.view = list
		}
	}
	c.term-- // the first election
	if l := c.leader; l != nil && (!l.listed || l.learner || !l.acks() || !c.quorate(l.side)) {
		return nil, fmt.Errorf("%s cannot lead", l.name)
	}
	if c.leader != nil {
		c.lead(c.leader)
	}
	c.settle()
	return c, nil
}

func (c *Cluster) parseCluster(fields []string) error {
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		base := 10
		if key == "id" {
			base = 16
		}
		number, err := strconv.ParseUint(value, base, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		switch key {
		case "id":
			c.id = number
		case "term":
			c.term = number
		case "index":
			c.committed = number
		case "revision":
			c.revision = int64(number)
		default:
			return fmt.Errorf("unknown value %s", key)
		}
	}
	return nil
}

func (c *Cluster) parseMember(fields []string) error {
	n := c.newNode(fields[0])
	host := fmt.Sprintf("192.0.2.%d", len(c.nodes)+1)
	n.peerURLs, n.clientURLs = []string{"https://" + host + ":2380"}, []string{"https://" + host + ":2379"}
	n.listed, n.published, n.runs = true, true, true
	n.since = c.now.Add(-time.Hour)
	n.term, n.applied, n.revision = c.term, c.committed, c.revision
	n.db, n.inUse, n.quota = 24<<20, 18<<20, 2<<30
	for _, f := range fields[1:] {
		var err error
		if key, value, ok := strings.Cut(f, "="); ok {
			err = n.set(key, value)
		} else {
			err = c.describe(n, f)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	n.applied -= min(n.behind, n.applied)
	if n.behind > 0 {
		n.lagging = true
	}
	c.insert(n)
	return nil
}

func (c *Cluster) describe(n *node, word string) error {
	switch word {
	case "voter":
	case "learner":
		n.learner = true
	case "leader":
		c.leader = n
	case "stopped":
		n.runs = false
	case "paused":
		n.paused, n.pausedAt = true, c.now.Add(-time.Hour)
	case "cut":
		n.side = 1 + len(c.nodes)
	case "lagging":
		n.behind = 1000
	case "never-started":
		n.published, n.runs, n.applied, n.addedAt = false, false, 0, c.now
	case "ghost":
		n.listed, n.side = false, 1+len(c.nodes)
	case "unreachable":
		n.unreachable = true
	case "corrupt":
		n.corrupt = true
		c.alarms = append(c.alarms, membership.Alarm{MemberID: n.id, Type: membership.Corrupt})
	case "nospace":
		c.alarms = append(c.alarms, membership.Alarm{MemberID: n.id, Type: membership.NoSpace})
	default:
		return fmt.Errorf("unknown word")
	}
	return nil
}

func (n *node) set(key, value string) error {
	switch key {
	case "zone":
		n.zone = value
	case "version":
		n.version = value
	case "peer":
		n.peerURLs = strings.Split(value, ",")
	case "client":
		n.clientURLs = strings.Split(value, ",")
	case "id":
		id, err := strconv.ParseUint(value, 16, 64)
		n.id = quorum.ID(id)
		return err
	case "behind":
		behind, err := strconv.ParseUint(value, 10, 64)
		n.behind = behind
		return err
	case "db":
		return parseSize(value, &n.db)
	case "inuse":
		return parseSize(value, &n.inUse)
	case "quota":
		return parseSize(value, &n.quota)
	case "latency":
		d, err := time.ParseDuration(value)
		n.latency = d
		return err
	case "clock":
		d, err := time.ParseDuration(value)
		n.clockAhead = &d
		return err
	default:
		return fmt.Errorf("unknown value")
	}
	return nil
}

func parseSize(s string, to *int64) error {
	bytes, err := humanize.ParseBytes(s)
	*to = int64(bytes)
	return err
}
