package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// healing is the wait for a new member.
type healing struct {
	planned Planned
	since   time.Time
}

// heal waits a moment for a new member to come.
func (r *run) heal(ctx context.Context, p Planned) error {
	m := r.last.member(p.Step.ID)
	if r.healing == nil || r.healing.planned.Step.ID != p.Step.ID {
		r.Reporter.Doing(p)
		if m != nil && !m.Started() {
			if err := r.tell(ctx, newEvent(EventStart, p.Step, r.last)); err != nil {
				return err
			}
		}
		r.healing = &healing{p, r.Now()} // the automation may have taken long
	}
	if r.Now().Sub(r.healing.since) >= r.Wait {
		return r.giveUp(ctx, p.Step)
	}
	r.Reporter.Waiting(p.Step, r.last.missing(m))
	if err := r.Sleep(ctx, pause); err != nil {
		return fmt.Errorf("wait for %s: %w", p.Step.Name, err)
	}
	return nil
}

// endHealing tells that the member has come, when it has.
func (r *run) endHealing(remaining []Step) {
	h := r.healing
	if h == nil || len(remaining) > 0 && remaining[0].Kind == quorum.Heal && remaining[0].ID == h.planned.Step.ID {
		return
	}
	r.healing = nil
	if r.last.able(h.planned.Step.ID) {
		r.done(h.planned, r.last)
	}
}

// done tells that a step is done, with which the rest of its plan remains.
func (r *run) done(p Planned, o *Observation) {
	r.notes = nil
	r.Reporter.Done(p, o)
	if len(r.told) > 0 {
		r.told = r.told[1:]
	}
}

// missing is what a member still lacks to be counted on.
func (o *Observation) missing(m *Member) string {
	switch {
	case m == nil:
		return "it is not there"
	case !m.Started() && len(o.Foreign) > 0:
		f := o.Foreign[0]
		return fmt.Sprintf("its etcd has not been started in this cluster yet; %s is of another one, %x", f.Endpoint, f.ClusterID)
	case !m.Started():
		return "its etcd has not been started yet"
	case m.Err != nil:
		return m.Err.Error()
	case !m.CaughtUp && o.Lag(m) > 0:
		return fmt.Sprintf("it is %d entries behind the leader", o.Lag(m))
	}
	return "it has not caught up yet"
}

// giveUp is the end of the wait for a new member. Where the goal says so, one
// that never started is taken out again. The last look may be old by now: whether
// it has come, or at least started, is asked anew each time.
func (r *run) giveUp(ctx context.Context, waited Step) error {
	g, _ := r.goal.(goal)
	late := r.late(waited)
	var removal Step
	for {
		err := r.ensureLock(ctx, waited)
		if err == nil {
			_, err = r.observe(ctx)
		}
		if err != nil {
			return errors.Join(late, err)
		}
		if removal.ID != 0 && r.last.took(removal) {
			return fmt.Errorf("%w; it was taken out again", late)
		}
		if r.last.able(waited.ID) {
			return nil
		}
		s, found := g.giveUp(r.last)
		if !found {
			return fail.WithHint(r.late(waited), "%s", r.last.lateHint(waited))
		}
		removal = s
		if err := r.takeBack(ctx, s); err != nil {
			return errors.Join(late, err)
		}
	}
}

func (r *run) late(waited Step) error {
	return fmt.Errorf("wait for %s: after %s, %s", waited.Name, r.Wait, r.last.missing(r.last.member(waited.ID)))
}

func (o *Observation) lateHint(waited Step) string {
	if m := o.member(waited.ID); m != nil && !m.Learner {
		return "if it is to begin anew where it is, stop its etcd: then the same command replaces it"
	}
	return "it stays a learner, which does not vote; the same command goes on from here"
}

// takeBack tries once to take a step that undoes another.
func (r *run) takeBack(ctx context.Context, s Step) error {
	p := judge(r.last, s)
	if err := r.permit(p); err != nil {
		return err
	}
	return r.take(ctx, p)
}
