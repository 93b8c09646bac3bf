package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// attempt counts what went wrong with a step.
type attempt struct {
	step     Step
	since    time.Time
	failures int
}

// maxFailures is how often a step may fail without a trace and without saying
// that this passes.
const maxFailures = 3

// take takes a step that is permitted and waits until its effect is seen. It may
// return nil without an effect: look and try again.
func (r *run) take(ctx context.Context, p Planned) error {
	if r.lock == nil {
		if err := r.permitLockless(p.Step); err != nil {
			return err
		}
	} else if r.lock.Held(actTimeout) != nil {
		return nil
	}
	if !sameSteps([]Step{r.attempt.step}, []Step{p.Step}) {
		r.attempt = attempt{step: p.Step, since: r.Now()}
		r.Reporter.Doing(p)
	}
	changeErr := r.change(ctx, p.Step)
	o, seen, err := r.see(ctx, p.Step, changeErr)
	switch {
	case err != nil:
		return errors.Join(changeErr, err)
	case seen:
		return r.finish(ctx, p, o)
	}
	return r.again(ctx, changeErr)
}

func (r *run) change(ctx context.Context, s Step) error {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	return r.Client.Change(ctx, r.last.leaderEndpoint(), s)
}

// see looks for the effect of a step: for a while if the change was acknowledged, else
// once, since it may have taken effect all the same.
func (r *run) see(ctx context.Context, s Step, changeErr error) (*Observation, bool, error) {
	for began := r.Now(); ; {
		o, err := r.observe(ctx)
		switch {
		case err != nil:
			return nil, false, err
		case o.took(s):
			return o, true, nil
		case changeErr != nil || r.Now().Sub(began) >= patience:
			return o, false, nil
		}
		r.Reporter.Waiting(s, "its effect is not seen yet")
		if err := r.Sleep(ctx, pause); err != nil {
			return nil, false, fmt.Errorf("wait for the effect of %s: %w", s, err)
		}
	}
}

var errNoEffect = errors.New("it was acknowledged, but its effect is not seen")

// again waits a moment after a step that left no trace, or gives up.
func (r *run) again(ctx context.Context, cause error) error {
	if cause == nil {
		cause = errNoEffect
	}
	s := r.attempt.step
	passes := errors.Is(cause, ErrUnhealthy) || errors.Is(cause, ErrNotReady)
	if !passes {
		r.attempt.failures++
	}
	if r.attempt.failures >= maxFailures || passes && r.Now().Sub(r.attempt.since) >= patience {
		return fmt.Errorf("%s: %w", s, cause)
	}
	r.Reporter.Waiting(s, cause.Error())
	if err := r.Sleep(ctx, pause); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}

// finish tells everybody that a step has taken effect.
func (r *run) finish(ctx context.Context, p Planned, o *Observation) error {
	r.attempt = attempt{}
	r.done(p, o)
	return r.tell(ctx, newEvent(string(p.Step.Kind), p.Step, o))
}

func (r *run) tell(ctx context.Context, event Event) error {
	if r.OnStep == nil {
		return nil
	}
	if err := r.OnStep(ctx, event); err != nil {
		return fmt.Errorf("tell the automation of %s %s: %w", event.Step, event.Member.Name, err)
	}
	return nil
}

// healing is the wait for a new member.
type healing struct {
	planned Planned
	since   time.Time
}

// heal waits a moment for a new member to come.
func (r *run) heal(ctx context.Context, p Planned) error {
	m := r.last.member(p.Step.ID)
	if r.healing == nil || r.healing.planned.Step.ID != p.Step.ID {
		r.healing = &healing{p, r.Now()}
		r.Reporter.Doing(p)
		if m != nil && !m.Started() {
			if err := r.tell(ctx, newEvent(EventStart, p.Step, r.last)); err != nil {
				return err
			}
		}
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
// that never started is taken out again.
func (r *run) giveUp(ctx context.Context, waited Step) error {
	late := fmt.Errorf("wait for %s: after %s, %s", waited.Name, r.Wait, r.last.missing(r.last.member(waited.ID)))
	g, _ := r.goal.(goal)
	s, found := g.giveUp(r.last)
	if !found {
		return fail.WithHint(late, "it stays a learner, which does not vote; the same command goes on from here")
	}
	for !r.last.took(s) {
		err := r.ensureLock(ctx, s)
		if err == nil {
			_, err = r.observe(ctx)
		}
		p := judge(r.last, s)
		if err == nil {
			err = r.permit(p)
		}
		if err == nil {
			err = r.take(ctx, p)
		}
		if err != nil {
			return errors.Join(late, err)
		}
	}
	return fmt.Errorf("%w; it was taken out again", late)
}
