package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// users are the kube-apiservers that use the members of an etcd, as the executor
// of changes sees them.
type users struct {
	registry apiserver.Registry
	excused  []string // by name or address of the host
	marked   map[quorum.ID]bool
}

// apiserversOf returns those of the flags, nil with none.
func apiserversOf(c *cli.Context, s *memberSession) membership.Apiservers {
	if c.String("apiservers") != apiserversAuto {
		return nil
	}
	return &users{s.client.Registry(s.endpoints), c.StringSlice("unconfirmed"), make(map[quorum.ID]bool)}
}

// Withdraw implements [membership.Apiservers]. A mark that is there, from a run that
// was killed, stays: who has followed it need not do so again.
func (u *users) Withdraw(ctx context.Context, clusterID uint64, members []membership.Listed) error {
	endpoints, err := u.registry.Endpoints(ctx)
	if err != nil || len(endpoints) == 0 {
		return asAlarm(err)
	}
	marks, err := u.mark(ctx, members)
	if err != nil {
		return asAlarm(err)
	}
	used := &membership.StillUsed{}
	waiting := make(map[string]bool)
	for _, mark := range marks {
		unconfirmed := apiserver.Unconfirmed(endpoints, clusterID, mark, u.excused)
		if len(unconfirmed) > 0 {
			used.Members = append(used.Members, mark.Name)
		}
		for _, e := range unconfirmed {
			waiting[e.Label()] = true
		}
	}
	for _, e := range endpoints {
		if label := e.Label(); waiting[label] && !slices.Contains(used.Hosts, label) {
			used.Hosts = append(used.Hosts, label)
			used.Type = append(used.Type, toDoOn(e, marks)...)
		}
	}
	if len(used.Hosts) == 0 {
		return nil
	}
	return used
}

// mark marks the members that are not marked yet, and returns the marks of all.
func (u *users) mark(ctx context.Context, members []membership.Listed) ([]apiserver.Withdrawal, error) {
	marks, err := u.marks(ctx, members)
	if err != nil || len(marks) == len(members) {
		return marks, err
	}
	var missing []apiserver.Withdrawal
	for _, m := range members {
		if !slices.ContainsFunc(marks, func(w apiserver.Withdrawal) bool { return w.ID == uint64(m.ID) }) {
			missing = append(missing, apiserver.Withdrawal{ID: uint64(m.ID), Name: m.Label(), Who: operator(), Since: now()})
		}
		u.marked[m.ID] = true // also if the answer is lost
	}
	if err := u.registry.Withdraw(ctx, missing...); err != nil {
		return nil, fmt.Errorf("mark members that are to be removed: %w", err)
	}
	return u.marks(ctx, members)
}

// marks returns the marks that the members have.
func (u *users) marks(ctx context.Context, members []membership.Listed) ([]apiserver.Withdrawal, error) {
	all, _, err := u.registry.Withdrawals(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which members are withdrawn: %w", err)
	}
	var marks []apiserver.Withdrawal
	for _, m := range members {
		for _, w := range all {
			if w.ID == uint64(m.ID) {
				w.Name = m.Label()
				marks = append(marks, w)
				u.marked[m.ID] = true
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

// toDoOn is what somebody has to do for an apiserver that uses one of the members;
// nothing where its agent does it.
func toDoOn(e apiserver.Endpoint, marks []apiserver.Withdrawal) []string {
	r := e.Report
	stacked := r != nil && r.Topology == apiserver.Stacked &&
		slices.ContainsFunc(marks, func(w apiserver.Withdrawal) bool { return slices.Contains(r.Members, w.ID) })
	switch {
	case stacked:
		return []string{fmt.Sprintf("on %s: etcdha apiserver rewire --topology external; or, if that host leaves with its member, --unconfirmed %s here", e.Label(), quote(r.Host))}
	case r != nil && r.Agent:
		return nil
	}
	return []string{fmt.Sprintf("on %s: etcdha apiserver rewire --from-members", e.Label())}
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
