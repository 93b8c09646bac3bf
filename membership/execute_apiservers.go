package membership

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Apiservers are the kube-apiservers that use the cluster. Members are withdrawn
// from them before they are removed.
type Apiservers interface {
	// Withdraw asks that no apiserver uses these members any more. It returns nil when
	// that was seen of each apiserver, and a [*StillUsed] while it was not. It is
	// called again and again, also right before each removal. [ErrAlarmed] says that
	// they cannot be told.
	Withdraw(ctx context.Context, clusterID uint64, members []Listed) error
	// Readmit takes that back: for members that were removed, or that stay after all.
	// Some of them may never have been told of.
	Readmit(ctx context.Context, ids []quorum.ID) error
}

// StillUsed says which apiservers have not been seen to do without members that
// are about to be removed.
type StillUsed struct {
	Members []string // by name
	Hosts   []string // of the apiservers
	// Type is what somebody has to do where nothing follows by itself, a line each, in order.
	Type []string
}

func (e *StillUsed) Error() string {
	return fmt.Sprintf("%s may still be used by the kube-apiservers of %s", strings.Join(e.Members, ", "), strings.Join(e.Hosts, ", "))
}

// hint is what to do when that lasts. Without the command, which marks the members
// while it waits, the lists would keep them.
func (e *StillUsed) hint() string {
	if len(e.Type) == 0 {
		return "on each of these hosts, etcdha apiserver show tells what it uses; --unconfirmed HOST goes on without one"
	}
	return "repeat the command, and while it waits, " + strings.Join(e.Type, "; then ")
}

// departure is what apiservers have to do with the removals of a run.
type departure struct {
	members  []Listed  // that are waited for
	since    time.Time // when that began, or an apiserver has followed
	left     int       // the fewest apiservers that still used a member
	failures int       // in a row

	marked  map[quorum.ID]Listed // to be readmitted in the end
	warning string               // on the first step, of what was seen in this look
}

// withdrawn tells whether the first step may be taken as far as apiservers are
// concerned. If not, they have been told, and time has passed: look again. What they
// have confirmed is good for this look only, since their lists may change.
func (r *run) withdrawn(ctx context.Context, plan []Planned) (bool, error) {
	d := &r.departure
	d.warning = ""
	removal, members := r.leaving(plan)
	if r.Apiservers == nil || len(members) == 0 {
		return true, nil
	}
	if !slices.EqualFunc(d.members, members, func(a, b Listed) bool { return a.ID == b.ID }) {
		d.members, d.since, d.left, d.failures = members, r.Now(), 0, 0
	}
	for _, m := range members {
		d.marked[m.ID] = m // also if the answer is lost
	}
	asked := r.Now()
	err := r.Apiservers.Withdraw(ctx, r.last.ClusterID, members)
	switch used, is := errors.AsType[*StillUsed](err); {
	case err == nil:
		d.failures = 0
		return r.Now().Sub(asked) < doubtTime, nil // what was observed before may be old
	case errors.Is(err, ErrAlarmed), is && len(r.last.Alarms) > 0:
		return r.goUntold(removal)
	case is:
		return false, r.awaitApiservers(ctx, removal, used)
	}
	d.failures++
	if d.failures >= lockAttempts || ctx.Err() != nil || errors.Is(err, fail.ErrUnsafe) {
		return false, fmt.Errorf("withdraw %s from the kube-apiservers: %w", removal.Name, err)
	}
	r.Reporter.Waiting(removal, err.Error())
	return false, r.Sleep(ctx, pause)
}

// leaving are the members to withdraw before the first step, and the removal that it
// is about, if that step removes one or moves the leader away for it: it, and those
// whose removal directly follows, so that apiservers restart once for all of them.
// One that has never told a client URL is used by nobody.
func (r *run) leaving(plan []Planned) (removal Step, members []Listed) {
	for _, p := range plan {
		m := r.last.member(p.Step.ID)
		used := m != nil && len(m.ClientURLs) > 0
		switch {
		case p.Step.Kind == quorum.MoveLeader:
		case p.Step.Kind != quorum.Remove, len(members) == 0 && !used:
			return removal, members
		case used:
			if len(members) == 0 {
				removal = p.Step
			}
			members = append(members, m.Listed)
		}
	}
	return removal, members
}

// awaitApiservers waits a moment for apiservers that still use a member. As long as
// one after the other follows, that may take any time.
func (r *run) awaitApiservers(ctx context.Context, s Step, used *StillUsed) error {
	d := &r.departure
	d.failures = 0
	if d.left == 0 || len(used.Hosts) < d.left { // one that comes back is no progress
		d.left, d.since = len(used.Hosts), r.Now()
	}
	if r.Now().Sub(d.since) >= r.Wait {
		return fail.WithHint(fmt.Errorf("%s: after %s, %w", s, r.Wait, used), "%s", used.hint())
	}
	r.Reporter.Waiting(s, strings.Join(append([]string{used.Error()}, used.Type...), "\n"))
	if err := r.Sleep(ctx, pause); err != nil {
		return fmt.Errorf("%s: wait until no kube-apiserver uses it: %w", s, err)
	}
	return nil
}

// goUntold is for an alarm, in which nobody can be told anything, or say what it
// uses. The removal may be its cure: of a member that is not able, apiservers only
// lose a server that does not serve them.
func (r *run) goUntold(s Step) (bool, error) {
	if r.last.able(s.ID) {
		return false, fail.WithHint(fail.Unsafef("%s: an alarm is on, so that the kube-apiservers that use it cannot be told", s),
			"cure the alarm first: etcdha alarm list says what is on")
	}
	r.departure.warning = "an alarm is on, so that the kube-apiservers cannot be told: they lose a server that does not serve"
	return true, nil
}

// readmit takes back marks of members that were removed, or that stay.
func (r *run) readmit(ctx context.Context, ids ...quorum.ID) error {
	if len(ids) == 0 {
		return nil
	}
	var names []string
	for _, id := range ids {
		names = append(names, r.departure.marked[id].Label())
		delete(r.departure.marked, id)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	if err := r.Apiservers.Readmit(ctx, ids); err != nil {
		return fmt.Errorf("let kube-apiservers use %s again: %w", strings.Join(names, ", "), err)
	}
	return nil
}

// readmitRemoved takes back the mark of a member that was removed. If that fails,
// the mark means nothing: ids do not come again.
func (r *run) readmitRemoved(ctx context.Context, s Step) {
	if _, marked := r.departure.marked[s.ID]; marked && s.Kind == quorum.Remove {
		_ = r.readmit(ctx, s.ID)
	}
}

// readmitAll ends what is under way with apiservers, also when ctx has ended.
func (r *run) readmitAll(ctx context.Context) error {
	return r.readmit(ctx, slices.Sorted(maps.Keys(r.departure.marked))...)
}
