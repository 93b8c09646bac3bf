package command

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/quorum"
)

// toDoOn is what somebody has to do for an apiserver that uses one of the members;
// "" where its agent does it.
func toDoOn(e *apiserver.Endpoint, all []apiserver.Endpoint, marks []apiserver.Withdrawal) string {
	r := e.Report
	if r == nil {
		return fmt.Sprintf("on %s: etcdha apiserver rewire --from-members", e.Label())
	}
	rewire := "etcdha apiserver rewire"
	if slices.ContainsFunc(all, func(o apiserver.Endpoint) bool {
		return o.Report != nil && o.Report.Host == r.Host && o.Report.File != r.File
	}) {
		rewire += " --file " + quote(r.File) // there are several on that host
	}
	stacked := r.Topology == apiserver.Stacked &&
		slices.ContainsFunc(marks, func(w apiserver.Withdrawal) bool { return slices.Contains(r.Members, w.ID) })
	switch {
	case stacked:
		return fmt.Sprintf("on %s: %s --topology external; or, if that host leaves with its member, --unconfirmed %s here", e.Label(), rewire, quote(r.Host))
	case r.Followed(now()):
		return ""
	case r.Agent:
		return fmt.Sprintf("on %s, whose agent has not reported since %s: %s --from-members", e.Label(), r.At.UTC().Format(time.RFC3339), rewire)
	}
	return fmt.Sprintf("on %s: %s --from-members", e.Label(), rewire)
}

// checkExcused refuses a host that no apiserver has, once: it may be mistyped, and
// then the wait would go on for the one that was meant.
func (u *users) checkExcused(ctx context.Context) error {
	if u.excusedKnown || len(u.excused) == 0 {
		return nil
	}
	u.excusedKnown = true
	endpoints, err := u.registry.Endpoints(ctx)
	if err != nil || len(endpoints) == 0 {
		return nil // what there is to say of that is said when they are asked
	}
	var known []string
	for _, e := range endpoints {
		if label := e.Label(); !slices.Contains(known, label) {
			known = append(known, label)
		}
	}
	for _, host := range u.excused {
		if !slices.ContainsFunc(endpoints, func(e apiserver.Endpoint) bool { return e.Called(host) }) {
			return fail.WithHint(fail.Usagef("--unconfirmed %s: no kube-apiserver has this name or address", quote(host)), "there are %s", strings.Join(known, ", "))
		}
	}
	return nil
}

// foresee says what a removal would wait for. It changes nothing.
func (u *users) foresee(ctx context.Context, clusterID uint64, members []membership.Listed) error {
	if len(members) == 0 {
		return nil
	}
	endpoints, err := u.endpoints(ctx)
	if err != nil || len(endpoints) == 0 {
		return err
	}
	marks, err := u.marks(ctx, members)
	if err != nil {
		return err
	}
	for _, m := range unmarked(members, marks, now()) {
		m.Revision = math.MaxInt64 // what is yet to be marked was confirmed by nobody
		marks = append(marks, m)
	}
	if used := u.stillUsed(endpoints, clusterID, marks); used != nil {
		fmt.Fprintf(u.stderr, "it would wait until %s is not used by the kube-apiservers of %s\n", strings.Join(used.Members, ", "), strings.Join(used.Hosts, ", "))
		for _, line := range used.Type {
			fmt.Fprintf(u.stderr, "  %s\n", line)
		}
	}
	return nil
}

// forget takes away what excused hosts have reported, unless they are still named: they
// have left for good, and would be waited for again with every removal.
func (u *users) forget(ctx context.Context) {
	if len(u.excused) == 0 {
		return
	}
	endpoints, err := u.registry.Endpoints(ctx)
	for _, e := range endpoints {
		if err == nil && e.Address == "" && slices.ContainsFunc(u.excused, e.Called) {
			err = u.registry.Forget(ctx, *e.Report)
		}
	}
	if err != nil {
		fmt.Fprintf(u.stderr, "the reports of %s could not be deleted: %v\n", strings.Join(u.excused, ", "), err)
	}
}

// removed are the members that a plan takes out and that apiservers may use.
func removed(o *membership.Observation, plan []membership.Planned) []membership.Listed {
	var members []membership.Listed
	for _, p := range plan {
		if m := o.Member(p.Step.ID); p.Step.Kind == quorum.Remove && m != nil && len(m.ClientURLs) > 0 {
			members = append(members, m.Listed)
		}
	}
	return members
}

// findWithdrawn looks for members that are withdrawn from apiservers: by a command
// that waits, or by one that was killed.
func findWithdrawn(ctx context.Context, s *memberSession, o *membership.Observation) []membership.Finding {
	if !o.HasQuorum {
		return nil
	}
	marks, _, err := s.client.Registry(s.endpoints).Withdrawals(ctx)
	if err != nil {
		return nil // the user may lack the right; it is about something else
	}
	var found []membership.Finding
	for _, mark := range marks {
		m := o.Member(quorum.ID(mark.ID))
		if m == nil || m.Ghost {
			continue
		}
		found = append(found, membership.Finding{
			Severity: membership.Notice, Code: "withdrawn", Member: m.Label(),
			Text:   fmt.Sprintf("%s is withdrawn from kube-apiservers by %s since %s", m.Label(), mark.Who, mark.Since.UTC().Format(time.RFC3339)),
			Remedy: "if nobody waits for that any more: etcdha member remove " + quote(m.Label()) + "; interrupted while it waits, it takes the mark back",
		})
	}
	return found
}
