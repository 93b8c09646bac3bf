package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/quorum"
)

// What --apiservers may be.
const (
	apiserversAuto = "auto"
	apiserversNone = "none"
)

// removalFlags are those of commands that remove members which kube-apiservers may use.
func removalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "apiservers", Value: apiserversAuto, Usage: "`auto`: if Kubernetes is kept in this etcd, a member is removed once no kube-apiserver uses it; none: without asking", Category: categoryStep},
		&cli.StringSliceFlag{Name: "unconfirmed", Usage: "go on without the kube-apiserver of this `HOST`, a name or an address; may be repeated", Category: categoryStep},
	}
}

func checkApiservers(c *cli.Context) error {
	switch value := c.String("apiservers"); {
	case !c.IsSet("apiservers") && !c.IsSet("unconfirmed"):
		return nil
	case value != apiserversAuto && value != apiserversNone:
		return fail.Usagef("--apiservers %q: auto or none", value)
	case slices.ContainsFunc(c.StringSlice("unconfirmed"), empty):
		return fail.Usagef("--unconfirmed: its value is empty")
	case value == apiserversNone && c.IsSet("unconfirmed"):
		return fail.Usagef("--unconfirmed and --apiservers none contradict each other: with none, no apiserver is asked")
	}
	return nil
}

// markFresh is how old a mark may be when a run begins that takes it over: the same
// command was killed a moment ago. Since an older one, apiservers may have come to use
// the member again, by hand or with another disk.
const markFresh = 5 * time.Minute

// users are the kube-apiservers that use the members of an etcd, as the executor
// of changes sees them.
type users struct {
	registry apiserver.Registry
	excused  []string // by name or address of the host
	began    time.Time
	stderr   io.Writer
	marked   map[quorum.ID]bool

	excusedKnown, noneSaid bool
}

// apiserversOf returns those of the flags, nil with none.
func apiserversOf(c *cli.Context, s *memberSession) *users {
	if c.String("apiservers") != apiserversAuto {
		return nil
	}
	return newUsers(s.client.Registry(s.endpoints), c.StringSlice("unconfirmed"), c.App.ErrWriter)
}

func newUsers(registry apiserver.Registry, excused []string, stderr io.Writer) *users {
	return &users{registry: registry, excused: excused, began: now(), stderr: stderr, marked: make(map[quorum.ID]bool)}
}

// Withdraw implements [membership.Apiservers]. A mark that is there, from a run that
// was just killed, stays: who has followed it need not do so again.
func (u *users) Withdraw(ctx context.Context, clusterID uint64, members []membership.Listed) error {
	endpoints, err := u.endpoints(ctx)
	if err != nil || len(endpoints) == 0 {
		return asAlarm(err)
	}
	marks, err := u.mark(ctx, members)
	if err != nil {
		return asAlarm(err)
	}
	if used := u.stillUsed(endpoints, clusterID, marks); used != nil {
		return used
	}
	return nil
}

// endpoints are the apiservers that there are. Where none is known, as in an etcd for
// events, nobody can be asked, and that is said once.
func (u *users) endpoints(ctx context.Context) ([]apiserver.Endpoint, error) {
	endpoints, err := u.registry.Endpoints(ctx)
	switch {
	case errors.Is(err, fail.ErrUnsafe):
		return nil, fail.WithHint(err, "--apiservers none does not ask for them; then see by hand that none uses a member that goes")
	case err != nil, len(endpoints) > 0, u.noneSaid:
		return endpoints, err
	}
	u.noneSaid = true
	if kept, err := u.registry.Kubernetes(ctx); err == nil && kept {
		fmt.Fprintln(u.stderr, "Kubernetes is kept here, but no kube-apiserver is known: nothing is asked")
	}
	return nil, nil
}

// stillUsed says who has not been seen to do without a member since its mark, nil if
// everybody has.
func (u *users) stillUsed(endpoints []apiserver.Endpoint, clusterID uint64, marks []apiserver.Withdrawal) *membership.StillUsed {
	used := &membership.StillUsed{}
	waiting := make(map[*apiserver.Endpoint]bool)
	for _, mark := range marks {
		somebody := false
		for i := range endpoints {
			if len(apiserver.Unconfirmed(endpoints[i:i+1], clusterID, mark, u.excused)) > 0 {
				waiting[&endpoints[i]], somebody = true, true
			}
		}
		if somebody {
			used.Members = append(used.Members, mark.Name)
		}
	}
	for i := range endpoints {
		e := &endpoints[i]
		if !waiting[e] {
			continue
		}
		if label := e.Label(); !slices.Contains(used.Hosts, label) {
			used.Hosts = append(used.Hosts, label)
		}
		if line := toDoOn(e, endpoints, marks); line != "" && !slices.Contains(used.Type, line) {
			used.Type = append(used.Type, line)
		}
	}
	if len(used.Hosts) == 0 {
		return nil
	}
	return used
}

// mark marks the members that have no fresh mark, and returns the marks of all.
func (u *users) mark(ctx context.Context, members []membership.Listed) ([]apiserver.Withdrawal, error) {
	marks, err := u.marks(ctx, members)
	if err != nil || len(marks) == len(members) {
		return marks, err
	}
	missing := unmarked(members, marks, now())
	for _, m := range missing {
		u.marked[quorum.ID(m.ID)] = true // also if the answer is lost
	}
	if err := u.registry.Withdraw(ctx, missing...); err != nil {
		return nil, fmt.Errorf("mark members that are to be removed: %w", err)
	}
	return u.marks(ctx, members)
}

// unmarked are new marks for those members that have none.
func unmarked(members []membership.Listed, marks []apiserver.Withdrawal, at time.Time) []apiserver.Withdrawal {
	var missing []apiserver.Withdrawal
	for _, m := range members {
		if !slices.ContainsFunc(marks, func(w apiserver.Withdrawal) bool { return w.ID == uint64(m.ID) }) {
			missing = append(missing, apiserver.Withdrawal{ID: uint64(m.ID), Name: m.Label(), Who: operator(), Since: at})
		}
	}
	return missing
}

// marks returns the fresh marks that the members have.
func (u *users) marks(ctx context.Context, members []membership.Listed) ([]apiserver.Withdrawal, error) {
	all, _, err := u.registry.Withdrawals(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which members are withdrawn: %w", err)
	}
	var marks []apiserver.Withdrawal
	for _, m := range members {
		for _, w := range all {
			if w.ID != uint64(m.ID) {
				continue
			}
			u.marked[m.ID] = true
			if w.Name = m.Label(); !w.Since.Before(u.began.Add(-markFresh)) {
				marks = append(marks, w)
			}
		}
	}
	return marks, nil
}

// asAlarm says in the words of the executor that nothing can be written.
func asAlarm(err error) error {
	if errors.Is(err, apiserver.ErrAlarmed) {
		return fmt.Errorf("%w: %w", membership.ErrAlarmed, err)
	}
	return err
}

// Readmit implements [membership.Apiservers].
func (u *users) Readmit(ctx context.Context, ids []quorum.ID) error {
	var marked []uint64
	for _, id := range ids {
		if u.marked[id] {
			marked = append(marked, uint64(id))
		}
	}
	return u.registry.Readmit(ctx, marked...)
}
