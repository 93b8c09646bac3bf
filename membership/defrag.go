package membership

import (
	"context"
	"fmt"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// DefragOptions say how to defragment a cluster.
type DefragOptions struct {
	Client  Client
	Observe ObserveOptions
	Who     string // holder of the lock
	// MayAct is asked before each member stops serving, and before the leader is moved.
	// Its error ends it. May be nil.
	MayAct func() error
	// Progress is told what happens, for people.
	Progress func(DefragProgress)
}

// DefragProgress is one member that is being defragmented, or only a warning.
type DefragProgress struct {
	Member        string
	Leader        bool // it led until now
	Done          bool
	Before, After int64 // size of its db in bytes
	Warning       string
}

// Defrag defragments every voter, one at a time, the leader last and after it
// has given up the lead. A member serves nothing meanwhile; that is why it is
// refused ([fail.ErrUnsafe]) while anybody else is not healthy, and if the
// others are no quorum. The only voter there is has nobody to wait for. Nor is
// it refused while a NOSPACE alarm is on: nothing is written then anyway, and
// this is the way out. A member that is not healthy itself is left out.
//
// etcd does not defragment learners. After an error it can simply be called
// again: a db that has no free space left takes little time.
func Defrag(ctx context.Context, o DefragOptions) error {
	if o.Observe.Sleep == nil {
		o.Observe.Sleep = sleep
	}
	d := &defrag{options: o, led: make(map[quorum.ID]bool), done: make(map[quorum.ID]bool), warned: make(map[string]bool)}
	d.run = &run{Executor: Executor{
		Client: o.Client, Endpoints: o.Observe.Endpoints, Zones: o.Observe.Zones,
		Who: o.Who, Reporter: d, Now: o.Observe.Now, Sleep: o.Observe.Sleep,
	}}
	defer d.unlock(ctx)
	if err := d.all(ctx); err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	return nil
}

// defrag is one call of Defrag. It hears of its own waits as a [Reporter].
type defrag struct {
	*run
	silent
	options DefragOptions
	led     map[quorum.ID]bool
	done    map[quorum.ID]bool
	warned  map[string]bool // of what, in words
}

func (d *defrag) Waiting(_ Step, why string) { d.warn("waiting: " + why) }

func (d *defrag) warn(text string) {
	if !d.warned[text] {
		d.warned[text] = true
		d.options.Progress(DefragProgress{Warning: text})
	}
}

func (d *defrag) all(ctx context.Context) error {
	o, err := d.observe(ctx)
	if err != nil {
		return err
	}
	for _, m := range o.listed() {
		if m.Learner {
			d.warn(fmt.Sprintf("%s is a learner, which etcd does not defragment", m.Label()))
		}
	}
	for {
		m, err := d.pick(o)
		if err != nil || m == nil {
			return err
		}
		if err := d.ensureLock(ctx, Step{}); err != nil {
			return err
		}
		if d.lock == nil {
			d.warn("an alarm is on, so that etcd cannot keep other operators out meanwhile: see that there are none")
		}
		if o, err = d.observe(ctx); err != nil { // nobody else changes it from here on
			return err
		}
		if m, err = d.pick(o); err != nil || m == nil {
			return err
		}
		if err := d.one(ctx, o, m); err != nil {
			return err
		}
		if o, err = d.back(ctx, m); err != nil {
			return err
		}
	}
}

// back gives a member that was rewritten time to catch up before the next one
// stops serving.
func (d *defrag) back(ctx context.Context, m *Member) (*Observation, error) {
	for began := d.Now(); ; {
		o, err := d.observe(ctx)
		if err != nil || o.able(m.ID) || d.Now().Sub(began) >= patience {
			return o, err
		}
		d.warn("waiting: " + m.Label() + " is catching up")
		if err := d.Sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("wait for %s: %w", m.Label(), err)
		}
	}
}

// pick is the member to defragment next, if the cluster can miss it; nil if all
// have had their turn.
func (d *defrag) pick(o *Observation) (*Member, error) {
	if o.Leader == 0 {
		return nil, fail.WithHint(fail.Unsafef("no leader answers, so that nobody must stop serving"), "etcdha member status says what is left")
	}
	m := d.next(o)
	if m == nil {
		return nil, nil
	}
	return m, d.check(o, m)
}

// next is the voter to defragment next: the leader only if it is the last.
func (d *defrag) next(o *Observation) *Member {
	var next *Member
	for _, m := range o.listed() {
		switch {
		case m.Learner || d.done[m.ID]:
		case !o.able(m.ID):
			d.warn(fmt.Sprintf("%s is not defragmented: it is not healthy (%s)", m.Label(), o.Health(m)))
		case next == nil || next.ID == o.Leader:
			next = m
		}
	}
	return next
}

// check refuses to take a member out of service, if only for a while, that the
// cluster cannot miss.
func (d *defrag) check(o *Observation, m *Member) error {
	state := o.State()
	left := state.Lose(m.ID).Count()
	for _, other := range state.Members {
		if other.ID != m.ID && !other.Able() && !o.Alarmed(NoSpace) {
			return fail.WithHint(fail.Unsafef("%s is not healthy, so that %s must not stop serving", o.Label(other.ID), m.Label()),
				"etcdha member status says what it lacks")
		}
	}
	switch {
	case left.Tolerates() >= 0:
		return nil
	case left.Voters == 1:
		d.warn(fmt.Sprintf("%s is the only voter: nothing is served while it is rewritten", m.Label()))
		return nil
	case o.Alarmed(NoSpace):
		d.warn(fmt.Sprintf("without %s there is no quorum: nothing is served while it is rewritten; nothing is written anyway while the db is full", m.Label()))
		return nil
	}
	return fail.WithHint(fail.Unsafef("without %s there is no quorum: %s", m.Label(), left),
		"add a voter first: etcdha member add NAME --peer-urls=URL --wait 10m")
}

// one defragments a member, or takes the lead from it: then it is no longer the
// leader in the next round.
func (d *defrag) one(ctx context.Context, o *Observation, m *Member) error {
	if m.ID == o.Leader {
		if next := o.healthiest(anyone); next != nil {
			d.led[m.ID] = true
			return d.moveLeader(ctx, m, o.step(quorum.MoveLeader, next))
		}
	}
	p := DefragProgress{Member: m.Label(), Leader: d.led[m.ID], Before: m.Status.DBSize}
	if d.lock != nil && d.lock.Held(actTimeout) != nil {
		return nil // the next round takes it anew, and looks
	}
	if err := d.mayAct(m); err != nil {
		return err
	}
	d.options.Progress(p)
	if err := d.Client.Defragment(ctx, m.Endpoint); err != nil {
		return fmt.Errorf("%s: %w", m.Label(), err)
	}
	d.done[m.ID] = true
	s, err := d.Client.Status(ctx, m.Endpoint)
	if err != nil {
		return fmt.Errorf("%s after it was defragmented: %w", m.Label(), err)
	}
	p.Done, p.After = true, s.DBSize
	d.options.Progress(p)
	return nil
}

func (d *defrag) mayAct(m *Member) error {
	if d.options.MayAct == nil {
		return nil
	}
	if err := d.options.MayAct(); err != nil {
		return fmt.Errorf("%s: %w", m.Label(), err)
	}
	return nil
}

// moveLeader asks before each attempt whether it may: attempts take their time.
func (d *defrag) moveLeader(ctx context.Context, leader *Member, s Step) error {
	for !d.last.took(s) {
		p := judge(d.last, s)
		err := d.permit(p)
		if err == nil {
			err = d.mayAct(leader)
		}
		if err == nil {
			err = d.take(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
