package membershiptest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync/atomic"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// ErrCrashed is what an operator gets who has crashed.
var ErrCrashed = errors.New("the operator has crashed")

// Operator is one of those who change the cluster, as a [membership.Client].
// [Cluster] is one itself.
type Operator struct {
	cluster *Cluster
	crashed atomic.Bool
}

// NewOperator makes one more operator.
func (c *Cluster) NewOperator() *Operator { return &Operator{cluster: c} }

// Crash ends the operator where it is, as a SIGKILL does: every call from now
// on fails without effect, and its lock ends only with its lease.
func (o *Operator) Crash() {
	o.crashed.Store(true)
	o.cluster.mu.Lock()
	defer o.cluster.mu.Unlock()
	if l := o.cluster.held; l != nil && l.operator == o {
		l.orphaned = true
	}
}

// Recover starts the operator again.
func (o *Operator) Recover() { o.crashed.Store(false) }

// enter locks the cluster and finds who answers at an endpoint. A member that
// is paused answers as it would: not in time.
func (o *Operator) enter(ctx context.Context, endpoint string) (*node, func(), error) {
	c := o.cluster
	if o.crashed.Load() {
		return nil, nil, ErrCrashed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	n := c.at(endpoint)
	switch {
	case n == nil:
		c.mu.Unlock()
		return nil, nil, fmt.Errorf("%s: connection refused", endpoint)
	case n.paused:
		c.mu.Unlock()
		return nil, nil, noAnswer(endpoint)
	}
	return n, c.mu.Unlock, nil
}

// noAnswer is the error of a request that nobody answers.
func noAnswer(endpoint string) error { return &timeoutError{endpoint} }

type timeoutError struct{ endpoint string }

func (e *timeoutError) Error() string { return e.endpoint + ": no answer in time" }

func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }

// at is the node that runs behind a client URL, or nil. A member that has taken
// the place of another on the same host is the one that is there.
func (c *Cluster) at(endpoint string) *node {
	var found *node
	for _, n := range c.nodes {
		if !slices.Contains(n.clientURLs, endpoint) {
			continue
		}
		if n.answersAs != nil {
			return n.answersAs
		}
		if n.runs && !n.unreachable && (found == nil || n.listed) {
			found = n
		}
	}
	return found
}

// led tells whether the node reaches the leader.
func (c *Cluster) led(n *node) bool { return c.leader != nil && n.works() && n.side == c.leader.side }

// Status implements [membership.Reader].
func (o *Operator) Status(ctx context.Context, endpoint string) (membership.Status, error) {
	c := o.cluster
	n, leave, err := o.enter(ctx, endpoint)
	if err != nil {
		return membership.Status{}, err
	}
	defer leave()
	s := membership.Status{
		ClusterID:   c.id,
		MemberID:    n.id,
		Version:     n.version,
		DBSize:      n.db,
		DBSizeInUse: n.inUse,
		RaftTerm:    n.term,
		RaftIndex:   n.applied,
		RaftApplied: n.applied,
		Revision:    n.revision,
		Learner:     n.listed && n.learner,
		Alarms:      slices.Clone(c.alarms),
		Latency:     n.latency,
		ClockAhead:  n.clockAhead,
	}
	if !olderThan(n.version, 3, 6, 0) {
		s.DBSizeQuota = n.quota
	}
	if c.led(n) && n.listed {
		s.Leader, s.RaftIndex = c.leader.id, c.committed
	} else {
		s.Errors = []string{"etcdserver: no leader"}
	}
	return s, nil
}

// errLearner is what a learner says to most requests.
func errLearner(endpoint string) error {
	return fmt.Errorf("%s: etcdserver: rpc not supported for learner", endpoint)
}

// Members implements [membership.Reader].
func (o *Operator) Members(ctx context.Context, endpoint string, linearizable bool) (membership.List, error) {
	c := o.cluster
	n, leave, err := o.enter(ctx, endpoint)
	if err != nil {
		return membership.List{}, err
	}
	defer leave()
	switch {
	case n.learner && n.listed:
		return membership.List{}, errLearner(endpoint)
	case linearizable && (!c.led(n) || !n.listed || n.lagging):
		return membership.List{}, noAnswer(endpoint)
	}
	return membership.List{ClusterID: c.id, MemberID: n.id, Members: slices.Clone(n.view)}, nil
}

// Hash implements [membership.Reader].
func (o *Operator) Hash(ctx context.Context, endpoint string, revision int64) (membership.Hash, error) {
	n, leave, err := o.enter(ctx, endpoint)
	if err != nil {
		return membership.Hash{}, err
	}
	defer leave()
	if n.learner && n.listed {
		return membership.Hash{}, errLearner(endpoint)
	}
	if revision == 0 {
		revision = n.revision
	}
	if revision > n.revision {
		return membership.Hash{}, fmt.Errorf("%s: etcdserver: mvcc: required revision is a future revision", endpoint)
	}
	sum := crc32.ChecksumIEEE(fmt.Append(nil, revision))
	if n.corrupt {
		sum ^= uint32(n.id)
	}
	return membership.Hash{Hash: sum, Revision: revision, CompactRevision: revision / 2}, nil
}

// Defragment implements [membership.Changer].
func (o *Operator) Defragment(ctx context.Context, endpoint string) error {
	n, leave, err := o.enter(ctx, endpoint)
	if err != nil {
		return err
	}
	defer leave()
	if n.learner && n.listed {
		return errLearner(endpoint)
	}
	n.db = n.inUse
	o.cluster.log = append(o.cluster.log, "defragment "+n.name)
	return nil
}

// Disarm implements [membership.Changer].
func (o *Operator) Disarm(ctx context.Context, endpoint string, alarm membership.Alarm) error {
	n, leave, err := o.enter(ctx, endpoint)
	if err != nil {
		return err
	}
	defer leave()
	if !o.cluster.led(n) {
		return noAnswer(endpoint)
	}
	o.cluster.alarms = slices.DeleteFunc(o.cluster.alarms, func(a membership.Alarm) bool { return a == alarm })
	return nil
}

// member is the listed node with that id, or nil.
func (c *Cluster) member(id quorum.ID) *node {
	for _, n := range c.nodes {
		if n.listed && n.id == id {
			return n
		}
	}
	return nil
}
