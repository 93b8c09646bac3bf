package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/etcdha/etcdha/internal/fail"
)

// answer is what a server says.
type answer struct {
	server string
	Server
	err error
}

// answers are those of the servers of the new list and of the present one.
type answers struct {
	clusterID uint64
	all       []answer
}

// unproven says so if no server of the present list answers, so that nobody can tell
// whether they are of the same cluster. After a disaster that is as it should be.
func (a answers) unproven(present []string) string {
	if slices.ContainsFunc(a.all, func(a answer) bool { return a.err == nil && containsServer(present, a.server) }) {
		return ""
	}
	return "; none of the present list answers: whether that was the same cluster is not known"
}

// permitted is an error unless the change may be made as things are now.
func (c *change) permitted(ctx context.Context) error {
	if err := c.unchanged(); err != nil {
		return err
	}
	if err := replaceable(c.path); err != nil {
		return err
	}
	a, err := c.askServers(ctx)
	if err != nil {
		return err
	}
	if err := c.agreed(ctx, a); err != nil {
		return err
	}
	return c.spareable(ctx)
}

// agreed looks at the members, as they are under the lock. The lock is worth
// something only if it is that of the servers' own cluster. A member that is to be
// removed, or that may not serve yet, comes into no list: whoever has withdrawn it
// may have been told already that nobody uses it.
func (c *change) agreed(ctx context.Context, a answers) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	m, err := c.Cluster.Observe(ctx)
	if err != nil {
		return fmt.Errorf("observe the members: %w", err)
	}
	if m.ClusterID != a.clusterID {
		return fail.Unsafef("the lock is of cluster %s, and the servers are of %s", formatID(m.ClusterID), formatID(a.clusterID))
	}
	for _, added := range a.all {
		if containsServer(c.file.Servers, added.server) {
			continue
		}
		i := slices.IndexFunc(m.Members, func(m Member) bool { return m.ID == added.MemberID })
		switch {
		case i >= 0 && m.Members[i].Withdrawn:
			return fail.WithHint(fail.Unsafef("%s is withdrawn", m.Members[i].Label()), "it is about to be removed: leave %s out", added.server)
		case i >= 0 && m.Members[i].Learner:
			return fail.Unsafef("%s is a learner", m.Members[i].Label())
		}
	}
	if c.Recheck == nil {
		return nil
	}
	return c.Recheck(m)
}

// askServers asks the servers of the new list and of the present one. Each that is
// added has to answer, and be of use; of those that stay, one that is down is left
// to the client, which goes around it.
func (c *change) askServers(ctx context.Context) (answers, error) {
	all := c.askAll(ctx, slices.Concat(c.servers, c.file.Servers))
	if err := ctx.Err(); err != nil {
		return answers{}, err
	}
	var id uint64
	for _, a := range all {
		inNew, inOld := containsServer(c.servers, a.server), containsServer(c.file.Servers, a.server)
		if !inNew || inOld && a.err != nil {
			continue
		}
		if err := fit(a); err != nil && !inOld {
			return answers{}, fail.As(fail.ErrUnsafe, fmt.Errorf("a new server cannot serve the apiserver: %w", err))
		}
		if id = cmp.Or(id, a.ClusterID); id != a.ClusterID {
			return answers{}, fail.Unsafef("the new servers are of different clusters: %s is of %s, others of %s", a.server, formatID(a.ClusterID), formatID(id))
		}
	}
	if id == 0 {
		return answers{}, fail.As(fail.ErrUnsafe, fmt.Errorf("none of the servers answers: %w", all[0].err))
	}
	return answers{clusterID: id, all: all}, sameCluster(all, c.file.Servers, id)
}

// askAll asks each server once, all at the same time.
func (c *change) askAll(ctx context.Context, servers []string) []answer {
	var answers []answer
	for _, s := range servers {
		if !slices.ContainsFunc(answers, func(a answer) bool { return parseServer(a.server) == parseServer(s) }) {
			answers = append(answers, answer{server: s})
		}
	}
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i].Server, answers[i].err = c.Dialer.Ask(ctx, answers[i].server) })
	}
	all.Wait()
	return answers
}

// fit tells whether an apiserver can use a server.
func fit(a answer) error {
	switch {
	case a.err != nil && !strings.Contains(a.err.Error(), a.server):
		return fmt.Errorf("%s: %w", a.server, a.err)
	case a.err != nil:
		return a.err
	case a.Learner:
		return fmt.Errorf("%s is a learner", a.server)
	case !a.Leader:
		return fmt.Errorf("%s knows no leader", a.server)
	}
	return nil
}

// sameCluster refuses a list that would show the apiserver other data.
func sameCluster(answers []answer, present []string, id uint64) error {
	var other *answer
	for i, a := range answers {
		if a.err != nil || !containsServer(present, a.server) {
			continue
		}
		if a.ClusterID == id {
			return nil
		}
		other = &answers[i]
	}
	if other == nil {
		return nil // none of them answers any more
	}
	return fail.WithHint(fail.Unsafef("the new servers are of another cluster, %s; %s is of %s", formatID(id), other.server, formatID(other.ClusterID)),
		"apiservers of one control plane must not see different data: to move them on purpose, stop them all and change their files with --offline")
}

// spareable refuses to restart the only apiserver that is ready, where there are
// others, and one whose process or readiness cannot be seen: nobody could tell
// afterwards whether it is back.
func (c *change) spareable(ctx context.Context) error {
	own := c.Prober.Ready(ctx, c.Own)
	if own != nil && !errors.Is(own, ErrNotReady) && !c.neverReady {
		return cmp.Or(ctx.Err(), fail.As(fail.ErrUnsafe, fmt.Errorf("tell whether this apiserver is ready: %w", own)))
	}
	if err := c.visible(ctx, own == nil); err != nil || len(c.Others) == 0 {
		return err
	}
	c.Reporter.Doing("look for another apiserver that is ready")
	errs := make([]error, len(c.Others))
	var all sync.WaitGroup
	for i, address := range c.Others {
		all.Go(func() { errs[i] = c.Prober.Ready(ctx, address) })
	}
	all.Wait()
	i := slices.Index(errs, nil)
	switch {
	case i >= 0:
		c.Reporter.Done(c.Others[i] + " is ready")
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case own != nil: // there is nothing to lose
		c.Reporter.Done("none, but this one is not ready either")
		return nil
	}
	return fail.WithHint(fail.As(fail.ErrUnsafe, fmt.Errorf("no other apiserver is ready: %w", errors.Join(errs...))),
		"this is the last one that serves; bring another one back first")
}

// visible refuses to go on where the restart could not be seen.
func (c *change) visible(ctx context.Context, ready bool) error {
	processes, err := c.processes(ctx)
	if err != nil || len(processes) > 0 || !ready {
		return err
	}
	return fail.WithHint(fail.Unsafef("kube-apiserver answers at %s, but no process with the flags of %s is to be seen here", c.Own, c.file.Path),
		"in a container, etcdha needs the host's processes (hostPID)")
}
