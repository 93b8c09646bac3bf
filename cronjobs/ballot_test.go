package cronjobs

import (
	"context"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/election"
)

// ballot is the election of one cluster, in which the test decides.
type ballot struct {
	lock    chan struct{} // has room for one
	mu      sync.Mutex
	wanted  string
	changed chan struct{}
}

func (w *world) ballot(cluster string) *ballot {
	b := &ballot{lock: make(chan struct{}, 1), changed: make(chan struct{})}
	w.ballots[cluster] = b
	return b
}

// give makes an instance the active one, as soon as the one before has stopped.
func (b *ballot) give(instance string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = instance
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *ballot) look() (string, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wanted, b.changed
}

// leaseLeft is for how long the lock of a killed instance stays.
const leaseLeft = 15 * time.Second

type voter struct {
	*ballot
	node  *node
	taken func(string)
}

func (*voter) Trouble() (time.Time, error) { return time.Time{}, nil }

func (v *voter) Taken(tell func(string)) { v.taken = tell }

func (v *voter) Active() string {
	wanted, _ := v.look()
	return wanted
}

func (v *voter) Run(ctx context.Context, lead func(context.Context, election.Term)) {
	for ctx.Err() == nil {
		wanted, changed := v.look()
		if wanted != v.node.name {
			if wanted != "" && v.taken != nil {
				v.taken(wanted)
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		select {
		case v.lock <- struct{}{}:
			v.term(ctx, lead)
			<-v.lock
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (v *voter) term(ctx context.Context, lead func(context.Context, election.Term)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			wanted, changed := v.look()
			if wanted != v.node.name {
				cancel()
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}()
	lead(ctx, election.Term{MayAct: ctx.Err})
	if v.node.killed() {
		time.Sleep(leaseLeft)
	}
}
