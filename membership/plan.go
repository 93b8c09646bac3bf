package membership

import (
	"errors"
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/membership/quorum"
)

// Goal is what the membership of a cluster is to become.
type Goal interface {
	// Steps returns the steps that remain, in order, for what was observed;
	// none if the goal is reached. A member that is not there yet has the id 0
	// in them and is known by its peer URLs. What the goal asks for but cannot
	// mean, such as a member that does not exist, is a usage error.
	Steps(o *Observation) ([]Step, error)
}

// Planned is a step of a plan and what it is expected to do to quorum.
type Planned struct {
	Step                  Step
	Before, During, After quorum.Count
	Refusal               *quorum.Refusal // why quorum would be at risk; nil if it is not
	Hazard                *Hazard         // which bug of the versions in play it would meet; nil if none
	NoLock                error           // why nobody can be kept out meanwhile, where that matters; nil if it can be done
	Warnings              []string        // what it costs, though it is safe

	keeps func(quorum.Member) bool // whom the goal wants to stay; nil: nobody
}

// Refused is why the step must not be taken, or nil.
func (p Planned) Refused() error {
	switch {
	case p.Refusal != nil:
		return p.Refusal
	case p.Hazard != nil:
		return p.Hazard
	}
	return p.NoLock
}

// Destructive tells whether the step takes away what only a new member, filled
// anew, can bring back.
func (p Planned) Destructive() bool { return p.Step.Kind == quorum.Remove }

// MakePlan plays the steps out and judges each where it would be taken. What has
// to be waited for (heal) is assumed to come.
func MakePlan(o *Observation, steps []Step) []Planned {
	var plan []Planned
	for i, s := range steps {
		s.ID = o.idOf(s)
		p := judge(o, s)
		o = o.play(s)
		p.Step.ID = steps[i].ID // a new member has none yet
		p.After = o.State().Count()
		p.Warnings = warnings(p, i == len(steps)-1)
		plan = append(plan, p)
	}
	return plan
}

// judge says what a step would do to what was observed.
func judge(o *Observation, s Step) Planned {
	state := o.State()
	p := Planned{Step: s, Before: state.Count()}
	p.During = p.Before
	if s.Kind == quorum.Heal {
		return p
	}
	p.During = quorum.During(state, s.Step)
	if refusal, ok := errors.AsType[*quorum.Refusal](quorum.Check(state, s.Step)); ok {
		p.Refusal = refusal
	}
	if hazard, ok := errors.AsType[*Hazard](CheckVersions(o, s)); ok {
		p.Hazard = hazard
	}
	if len(o.Alarms) > 0 {
		p.NoLock = noLock(o, s)
	}
	return p
}

// noLock refuses a step that is only safe while nobody else acts. An alarm, be
// it NOSPACE or CORRUPT, keeps etcd from giving leases, and so from locks. It is no
// reason to refuse other steps: they may be its cure.
func noLock(o *Observation, s Step) error {
	if !o.State().NeedsLock(s.Step) {
		return nil
	}
	return fmt.Errorf("%s: an alarm is on, so that etcd cannot keep other operators out meanwhile", s)
}

// decider is a goal that names one step at a time. A plan comes from asking it
// again and again, with each step played out; so a fresh look after any step
// gives the rest of the same plan.
type decider interface {
	// settle fixes what the words of the goal mean (a name, "best") in what was
	// observed first, for after a step they could mean another member.
	settle(o *Observation) (decider, error)
	// next is the first step that remains; false if there is none.
	next(o *Observation) (Step, bool, error)
}

type goal struct{ decider }

// maxSteps is more than any plan needs: no cluster has so many members.
const maxSteps = 500

var errEndless = errors.New("the plan does not come to an end")

func (g goal) Steps(o *Observation) ([]Step, error) {
	d, err := g.settle(o)
	if err != nil {
		return nil, err
	}
	var steps []Step
	observed := o.Members
	for len(steps) < maxSteps {
		s, more, err := d.next(o)
		if err != nil || !more {
			return steps, err
		}
		o = o.play(s)
		if !slices.ContainsFunc(observed, func(m Member) bool { return m.ID == s.ID }) {
			s.ID = 0
		}
		steps = append(steps, s)
	}
	return nil, errEndless
}

// settled is the goal with its words fixed.
func (g goal) settled(o *Observation) (Goal, error) {
	d, err := g.settle(o)
	return goal{d}, err
}

// Notes say what people should know about a goal, in what was observed before its
// first step, though it does not keep the goal from being reached: that the member
// to take out is not there.
func Notes(g Goal, o *Observation) []string {
	if known, ok := g.(goal); ok {
		if d, ok := known.decider.(interface {
			notes(*Observation) []string
		}); ok {
			return d.notes(o)
		}
	}
	return nil
}

// keeps tells whether the goal wants a member that is there to stay.
func (g goal) keeps(m quorum.Member) bool {
	d, ok := g.decider.(interface{ keeps(quorum.Member) bool })
	return ok && d.keeps(m)
}

// giveUp is what to take back if a new member does not come in time.
func (g goal) giveUp(o *Observation) (Step, bool) {
	if d, ok := g.decider.(interface {
		giveUp(*Observation) (Step, bool)
	}); ok {
		return d.giveUp(o)
	}
	return Step{}, false
}
