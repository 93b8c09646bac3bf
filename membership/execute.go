package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

const (
	// DefaultWait is how long a new member may take to be started and to catch up.
	DefaultWait = 10 * time.Minute
	// actTimeout is how long one change may take. The lock must outlast it.
	actTimeout = AnswerTimeout
	// patience is for what passes by itself: an election, and the five seconds that
	// members must have been connected for etcd to count on them. It is several of each.
	patience = 30 * time.Second
	// doubtTime is several election timeouts, which are a second each by default.
	doubtTime = 5 * time.Second
	// pause is between two looks at a cluster.
	pause = time.Second
)

// Executor takes the steps to a goal, one at a time. It observes before each
// and plans anew, so that it never acts on what was, and it may end at any
// point: the same call goes on from there.
type Executor struct {
	Client    Client
	Endpoints []string
	Zones     map[string]string // by name of member
	Who       string            // who changes the membership, for others who want to
	// Wait bounds the wait for each new member, and that for each kube-apiserver
	// to do without a member that is removed. Default: DefaultWait.
	Wait time.Duration
	// ForceUnsafe is why steps that are refused are to be taken all the same.
	ForceUnsafe string
	// Backup is called once, after the approval and before the first step. No
	// lock is held meanwhile: it may take long. May be nil.
	Backup func(context.Context) error
	// OnStep is told each step that took effect, and when an etcd has to be
	// started. Its error ends the run. May be nil.
	OnStep func(context.Context, Event) error
	// Approve is asked once with the whole plan, and again if the plan comes to
	// take out a member that it did not have to take out before. Its error
	// ends the run. May be nil.
	Approve func([]Planned) error
	// Apiservers are told before a member that they may use is removed, and waited
	// for. May be nil.
	Apiservers Apiservers
	Reporter   Reporter // may be nil
	Now        func() time.Time
	Sleep      func(context.Context, time.Duration) error // default: a timer
}

// Reporter is told how a run goes, for people.
type Reporter interface {
	// Observed is called when there is a plan, and when it has changed otherwise than
	// by its first step being done. A goal that is reached has an empty plan, which
	// is not told; see [Notes].
	Observed(o *Observation, plan []Planned)
	// Doing is called before a step. Its warnings say if it is forced, and more than
	// those of the plan if kube-apiservers could not be told.
	Doing(p Planned)
	// Waiting is called with what the step waits for, before each new look. Between
	// two there is a second, and as long as the members that do not answer take. A
	// second line and those after it are what somebody has to do for it.
	Waiting(s Step, why string)
	// Done is called after a step, with what was observed then.
	Done(p Planned, o *Observation)
}

type silent struct{}

func (silent) Observed(*Observation, []Planned) {}
func (silent) Doing(Planned)                    {}
func (silent) Waiting(Step, string)             {}
func (silent) Done(Planned, *Observation)       {}

// Run takes the steps that remain to the goal and returns what was observed
// last, also with an error if anything was.
//
// A refused step is an unsafe error with a [*quorum.Refusal] or a [*Hazard] in
// it. A new member that does not come in time is an ordinary error; if the goal
// is [Add], one that never started is taken out again. So is a [*StillUsed].
func (e *Executor) Run(ctx context.Context, goal Goal) (*Observation, error) {
	r := &run{Executor: *e, goal: goal, approved: make(map[quorum.ID]bool), departure: departure{marked: make(map[quorum.ID]Listed)}}
	if r.Wait == 0 {
		r.Wait = DefaultWait
	}
	if r.Reporter == nil {
		r.Reporter = silent{}
	}
	if r.Sleep == nil {
		r.Sleep = sleep
	}
	defer r.unlock(ctx)
	plan, err := r.plan(ctx)
	if err == nil && len(plan) > 0 {
		err = r.prepare(ctx, plan)
	}
	for err == nil && len(plan) > 0 {
		if err = r.ensureLock(ctx, plan[0].Step); err == nil {
			plan, err = r.advance(ctx)
		}
	}
	if readmitErr := r.readmitAll(ctx); readmitErr != nil {
		err = errors.Join(err, readmitErr)
	}
	return r.last, err
}

// run is one call of Run.
type run struct {
	Executor
	goal     Goal
	last     *Observation
	told     []Step // what remains of the plan that the reporter knows
	changed  bool   // the plan is another than was expected
	approved map[quorum.ID]bool
	notes    []string // on the goal, until the first step is done
	lock     Lock     // nil where an alarm makes it impossible
	healing  *healing
	attempt  attempt
	refused  attempt // since when the first step is
	cluster  uint64  // the id of the cluster that was seen first; 0 before that

	departure departure
}

// prepare asks for approval and takes the backup. No lock is held meanwhile:
// people take their time to answer. A plan that would be refused on the way is not
// begun: it would only leave the cluster half way. An alarm is another matter: the
// steps that need no lock may be its cure, so that it refuses only the first one.
func (r *run) prepare(ctx context.Context, plan []Planned) error {
	for i, p := range plan {
		if i > 0 {
			p.NoLock = nil
		}
		if err := r.permit(p); err != nil {
			return err
		}
	}
	if err := r.approve(plan); err != nil {
		return err
	}
	if r.Backup == nil {
		return nil
	}
	if err := r.Backup(ctx); err != nil {
		return fmt.Errorf("take a backup before the first step: %w", err)
	}
	return nil
}

// advance takes the first of the steps that remain, or waits a moment for what
// it needs. It observes under the lock, so that nobody acts between that and the
// step. It returns the plan that it followed, which is empty at the end.
func (r *run) advance(ctx context.Context) ([]Planned, error) {
	plan, err := r.plan(ctx)
	if err != nil || len(plan) == 0 {
		return nil, err
	}
	p := plan[0]
	if !sameSteps([]Step{r.refused.step}, []Step{p.Step}) {
		r.refused = attempt{}
	}
	if p.Step.Kind == quorum.Heal {
		return plan, r.heal(ctx, p)
	}
	if refusal := p.Refused(); refusal == nil {
		r.refused = attempt{}
	} else if !r.stands(p.Step) {
		r.Reporter.Waiting(p.Step, refusal.Error())
		return plan, r.Sleep(ctx, pause)
	}
	if err := r.permit(p); err != nil {
		return plan, err
	}
	for _, p := range plan {
		if p.Destructive() && !r.approved[p.Step.ID] {
			return plan, r.approve(plan) // and look again
		}
	}
	if r.changed && p.Destructive() {
		// A member that does not answer for a moment is no reason to remove it
		// sooner: what changes the plan has to be seen twice.
		return plan, r.Sleep(ctx, pause)
	}
	if ready, err := r.withdrawn(ctx, plan); err != nil || !ready {
		return plan, err
	}
	if warning := r.departure.warning; warning != "" {
		p.Warnings = append(p.Warnings, warning)
	}
	return plan, r.take(ctx, p)
}

// stands tells whether a step on the way has been unsafe for a while: right after
// a step, members need a moment to follow a new leader. Force is for what does not pass.
func (r *run) stands(s Step) bool {
	if r.refused.since.IsZero() {
		r.refused = attempt{step: s, since: r.Now()}
	}
	return r.Now().Sub(r.refused.since) >= doubtTime
}

// permit refuses what is not safe.
func (r *run) permit(p Planned) error {
	err := p.Refused()
	if err == nil || r.ForceUnsafe != "" {
		return nil
	}
	return withRemedy(fail.As(fail.ErrUnsafe, err), p)
}

// approve asks for the plan as it is, and remembers whom it takes out.
func (r *run) approve(plan []Planned) error {
	if r.Approve != nil {
		if err := r.Approve(plan); err != nil {
			return err
		}
	}
	for _, p := range plan {
		if p.Destructive() {
			r.approved[p.Step.ID] = true
		}
	}
	return nil
}

// plan observes, and returns the steps that remain.
func (r *run) plan(ctx context.Context) ([]Planned, error) {
	o, err := r.observe(ctx)
	if err != nil {
		return nil, err
	}
	if r.notes == nil {
		r.notes = Notes(r.goal, o)
	}
	if g, ok := r.goal.(goal); ok {
		if r.goal, err = g.settled(o); err != nil {
			return nil, err
		}
	}
	steps, err := r.goal.Steps(o)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 && !o.HasQuorum {
		return nil, lostQuorum(o)
	}
	plan := MakePlan(o, steps)
	r.annotate(plan)
	r.endHealing(steps)
	r.changed = !sameSteps(steps, r.told)
	if len(plan) > 0 && r.changed {
		r.Reporter.Observed(o, plan)
	}
	r.told = steps
	return plan, nil
}

// annotate adds what only the run knows: notes on its goal, whom that keeps, and
// what is forced.
func (r *run) annotate(plan []Planned) {
	g, _ := r.goal.(goal)
	for i := range plan {
		p := &plan[i]
		p.keeps = g.keeps
		if i == 0 {
			p.Warnings = append(p.Warnings, r.notes...)
		}
		if err := p.Refused(); err != nil && r.ForceUnsafe != "" {
			p.Warnings = append(p.Warnings, fmt.Sprintf("UNSAFE, and forced (%s): %v", r.ForceUnsafe, err))
		}
	}
}
