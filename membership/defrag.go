package membership

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// DefragOptions say how to defragment a cluster.
type DefragOptions struct {
	Client  Client
	Observe ObserveOptions
	Who     string // holder of the lock
	Log     *slog.Logger
	Sleep   func(context.Context, time.Duration) error
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
// others are no quorum. The only voter there is has nobody to wait for.
//
// etcd does not defragment learners. After an error it can simply be called
// again: a db that has no free space left takes little time.
func Defrag(ctx context.Context, o DefragOptions) error {
	d := &defrag{options: o, led: make(map[quorum.ID]bool), done: make(map[quorum.ID]bool)}
	d.run = &run{Executor: Executor{
		Client: o.Client, Endpoints: o.Observe.Endpoints, Zones: o.Observe.Zones,
		Who: o.Who, Reporter: d, Now: o.Observe.Now, Sleep: o.Sleep,
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
	warned  string // last
}

func (d *defrag) Waiting(_ Step, why string) { d.warn("waiting: " + why) }

func (d *defrag) warn(text string) {
	if text != d.warned {
		d.warned = text
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
	for m := d.next(o); m != nil; m = d.next(o) {
		if err := d.check(o, m); err != nil {
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
		if m = d.next(o); m == nil {
			return nil
		}
		if err := d.check(o, m); err != nil {
			return err
		}
		if err := d.one(ctx, o, m); err != nil {
			return err
		}
		if o, err = d.observe(ctx); err != nil {
			return err
		}
	}
	return nil
}

// next is the voter to defragment next: the leader only if it is the last.
func (d *defrag) next(o *Observation) *Member {
	var leader *Member
	for _, m := range o.listed() {
		switch {
		case m.Learner || d.done[m.ID]:
		case m.ID == o.Leader:
			leader = m
		default:
			return m
		}
	}
	return leader
}

// check refuses to take a member out of service, if only for a while, that the
// cluster cannot miss.
func (d *defrag) check(o *Observation, m *Member) error {
	state := o.State()
	for _, other := range state.Members {
		if !other.Able() {
			label := o.Member(other.ID).Label()
			return fail.WithHint(fail.Unsafef("%s is not healthy, so that %s must not stop serving", label, m.Label()),
				"etcdha member status says what it lacks")
		}
	}
	left := state.Lose(m.ID).Count()
	switch {
	case left.Tolerates() >= 0:
		return nil
	case left.Voters == 1:
		d.warn(fmt.Sprintf("%s is the only voter: nothing is served while it is rewritten", m.Label()))
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
			return d.moveLeader(ctx, o.step(quorum.MoveLeader, next))
		}
	}
	p := DefragProgress{Member: m.Label(), Leader: d.led[m.ID], Before: m.Status.DBSize}
	d.options.Progress(p)
	d.options.Log.Info("defragmenting", "member", m.Label(), "endpoint", m.Endpoint, "bytes", p.Before)
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

func (d *defrag) moveLeader(ctx context.Context, s Step) error {
	for !d.last.took(s) {
		p := judge(d.last, s)
		err := d.permit(p)
		if err == nil {
			err = d.take(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
