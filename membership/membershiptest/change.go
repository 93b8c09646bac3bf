package membershiptest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// settled is how long a member has to be connected until the server counts it.
const settled = 5 * time.Second

// Change implements [membership.Changer] with the checks of etcd's server and
// no others.
func (o *Operator) Change(ctx context.Context, endpoint string, step membership.Step) error {
	c := o.cluster
	_, leave, err := o.enter(ctx, endpoint)
	if err != nil {
		return err
	}
	c.changes++
	number := c.changes
	leave()
	if c.BeforeChange != nil {
		if err := c.BeforeChange(number, step); err != nil {
			return err
		}
	}
	n, leave, err := o.enter(ctx, endpoint) // the hook may have changed much
	if err != nil {
		return err
	}
	err = c.change(n, endpoint, step)
	leave()
	if err == nil && c.AfterChange != nil {
		err = c.AfterChange(number, step)
	}
	return err
}

func (c *Cluster) change(n *node, endpoint string, step membership.Step) error {
	if n.learner {
		return errLearner(endpoint)
	}
	target := c.member(step.ID)
	if target == nil && step.Kind != quorum.AddLearner {
		return fmt.Errorf("%s: %w", endpoint, membership.ErrNotFound)
	}
	if err := c.mayChange(n, target, step); err != nil {
		return fmt.Errorf("%s: %w", endpoint, err)
	}
	if !c.led(n) {
		return noAnswer(endpoint)
	}
	if step.Kind == quorum.MoveLeader && (!target.acks() || !c.led(target)) {
		return noAnswer(endpoint)
	}
	c.apply(target, step)
	c.log = append(c.log, step.String())
	c.settle()
	return nil
}

// mayChange is what the member that is asked checks.
func (c *Cluster) mayChange(n, target *node, step membership.Step) error {
	switch step.Kind {
	case quorum.AddLearner:
		return c.mayAdd(n, step)
	case quorum.Promote:
		return c.mayPromote(target)
	case quorum.Remove:
		return c.mayRemove(n, target)
	case quorum.Update:
		if c.taken(step.PeerURLs, target) {
			return membership.ErrExists
		}
	case quorum.MoveLeader:
		if n != c.leader {
			return membership.ErrNotLeader
		}
		if target.learner {
			return fmt.Errorf("etcdserver: bad leader transferee")
		}
	default:
		return fmt.Errorf("%s is no change", step.Kind)
	}
	return nil
}

func (c *Cluster) mayAdd(n *node, step membership.Step) error {
	voters, learners := 0, 0
	for _, m := range c.nodes {
		if m.listed && m.learner {
			learners++
		} else if m.listed {
			voters++
		}
	}
	switch {
	case voters > 1 && c.connected(n) < quorum.Majority(voters+1):
		return membership.ErrUnhealthy
	case c.taken(step.PeerURLs, nil):
		return membership.ErrExists
	case learners > 0:
		return membership.ErrLearners
	}
	return nil
}

// mayPromote asks for nine tenths of the leader's log and not for a sign of life.
func (c *Cluster) mayPromote(target *node) error {
	if !target.learner {
		return membership.ErrNotLearner
	}
	if c.leader != nil && float64(target.applied) < 0.9*float64(c.committed) {
		return membership.ErrNotReady
	}
	voters, started := 1, 1
	for _, m := range c.nodes {
		if m.listed && !m.learner {
			voters++
			if m.published {
				started++
			}
		}
	}
	if started < quorum.Majority(voters) {
		return membership.ErrNotStarted
	}
	return nil
}

func (c *Cluster) mayRemove(n, target *node) error {
	if target.learner {
		return nil
	}
	voters, started := 0, 0
	for _, m := range c.nodes {
		if m.listed && !m.learner {
			voters++
			if m != target && m.published {
				started++
			}
		}
	}
	switch {
	case started < quorum.Majority(voters-1):
		return membership.ErrNotStarted
	case target != n && c.activeSince(n, target).IsZero():
		return nil // in the server's eyes it is down
	case c.connected(n)-1 < 1+(voters-1)/2:
		return membership.ErrUnhealthy
	}
	return nil
}

// taken tells whether another member than the given one has any of the URLs.
func (c *Cluster) taken(urls []string, by *node) bool {
	return slices.ContainsFunc(c.nodes, func(n *node) bool {
		return n.listed && n != by && slices.ContainsFunc(urls, func(u string) bool { return slices.Contains(n.peerURLs, u) })
	})
}

// connected counts the voters, itself included, that n has seen for long enough.
func (c *Cluster) connected(n *node) int {
	count := 0
	for _, m := range c.nodes {
		if !m.listed || m.learner {
			continue
		}
		since := c.activeSince(n, m)
		if m == n || !since.IsZero() && !since.After(c.now.Add(-settled)) {
			count++
		}
	}
	return count
}

// activeSince is since when n sees another node; a paused one is seen until
// reading from its connections times out.
func (c *Cluster) activeSince(n, other *node) time.Time {
	if !other.runs || other.side != n.side || other.paused && c.now.Sub(other.pausedAt) > settled {
		return time.Time{}
	}
	if n.since.After(other.since) {
		return n.since
	}
	return other.since
}

func (c *Cluster) apply(target *node, step membership.Step) {
	c.commit(1)
	switch step.Kind {
	case quorum.AddLearner:
		n := c.newNode(step.Name)
		n.listed, n.learner = true, true
		n.peerURLs, n.clientURLs = slices.Clone(step.PeerURLs), clientURLs(step.PeerURLs)
		n.addedAt = c.now
		n.db, n.inUse, n.quota = c.leader.db, c.leader.inUse, c.leader.quota
		c.insert(n)
	case quorum.Promote:
		target.learner = false
	case quorum.Remove:
		target.listed = false
	case quorum.Update:
		target.peerURLs = slices.Clone(step.PeerURLs)
		if losesLearner(c.leader.version) {
			target.learner = false
		}
	case quorum.MoveLeader:
		c.lead(target)
	}
}

// clientURLs are those that usually go with peer URLs.
func clientURLs(peerURLs []string) []string {
	var urls []string
	for _, u := range peerURLs {
		urls = append(urls, strings.Replace(u, ":2380", ":2379", 1))
	}
	return urls
}

// losesLearner tells whether MemberUpdate makes a voter of a learner.
func losesLearner(version string) bool {
	return olderThan(version, 3, 5, 31) || !olderThan(version, 3, 6, 0) && olderThan(version, 3, 6, 12)
}

func olderThan(version string, major, minor, patch int) bool {
	var v [3]int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2])
	return slices.Compare(v[:], []int{major, minor, patch}) < 0
}
