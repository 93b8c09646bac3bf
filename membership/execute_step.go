package membership

import (
	"context"
	"errors"
	"fmt"
	"time"
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
	if r.lock == nil { // also for an alarm that is so new that nobody has seen it
		p.NoLock = noLock(r.last, p.Step)
		if err := r.permit(p); err != nil {
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
	r.readmitRemoved(ctx, p.Step)
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
