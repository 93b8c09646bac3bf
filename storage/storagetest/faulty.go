package storagetest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/etcdha/etcdha/storage"
)

// Op is a kind of operation that a [Faulty] store counts.
type Op string

// The operations of a store, and all of them together.
const (
	Any    Op = "any"
	Put    Op = "put"
	Open   Op = "open"
	List   Op = "list"
	Delete Op = "delete"
)

// Faulty is a store in which chosen operations go wrong; see [Faulty.On]. All
// others reach the store below. It is safe for concurrent use.
//
// To let each operation of a run fail in turn, do the run once without faults,
// and ask Count how many there are.
type Faulty struct {
	below storage.Store

	mu     sync.Mutex
	counts map[Op]int
	plan   []planned
}

type planned struct {
	op    Op
	nth   int
	fault Fault
}

// NewFaulty returns a store that does all that s does, until told otherwise.
func NewFaulty(s storage.Store) *Faulty {
	return &Faulty{below: s, counts: map[Op]int{}}
}

// On lets fault happen to the nth operation of a kind, counted from 1, or to
// each if nth is 0. Of several for one operation the first planned happens.
// A fault that this operation cannot have is a panic.
func (f *Faulty) On(op Op, nth int, fault Fault) {
	if !fault.isFor(op) {
		panic(fmt.Sprintf("storagetest: %s cannot %s", op, fault.name))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = append(f.plan, planned{op, nth, fault})
}

func (f Fault) isFor(op Op) bool {
	can := map[Op]bool{Put: f.put != nil, Open: f.open != nil, List: f.list != nil, Delete: f.remove != nil}
	can[Any] = can[Put] && can[Open] && can[List] && can[Delete]
	return can[op]
}

// Count returns how many operations of a kind there have been.
func (f *Faulty) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// next counts an operation and returns what goes wrong with it.
func (f *Faulty) next(op Op) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op]++
	f.counts[Any]++
	for _, p := range f.plan {
		if (p.op == op || p.op == Any) && (p.nth == 0 || p.nth == f.counts[p.op]) {
			return p.fault
		}
	}
	return sound
}

// Put counts as one [Put].
func (f *Faulty) Put(ctx context.Context, key string, r io.Reader) error {
	return f.next(Put).put(ctx, f.below, key, r)
}

// Open counts as one [Open], however much is read.
func (f *Faulty) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	return f.next(Open).open(ctx, f.below, key)
}

// List counts as one [List], whether it is iterated or not.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return f.next(List).list(ctx, f.below, prefix)
}

// Delete counts as one [Delete].
func (f *Faulty) Delete(ctx context.Context, key string) error {
	return f.next(Delete).remove(ctx, f.below, key)
}

// Store returns f as a [storage.Locker], [storage.Sweeper] and [storage.Clock]
// too, where the store below is one. What these do is neither counted nor goes
// wrong.
func (f *Faulty) Store() storage.Store {
	locker, locks := f.below.(storage.Locker)
	sweeper, sweeps := f.below.(storage.Sweeper)
	clock, tells := f.below.(storage.Clock)
	switch {
	case locks && sweeps && tells:
		return struct {
			*Faulty
			storage.Locker
			storage.Sweeper
			storage.Clock
		}{f, locker, sweeper, clock}
	case locks && sweeps:
		return struct {
			*Faulty
			storage.Locker
			storage.Sweeper
		}{f, locker, sweeper}
	case locks && tells:
		return struct {
			*Faulty
			storage.Locker
			storage.Clock
		}{f, locker, clock}
	case sweeps && tells:
		return struct {
			*Faulty
			storage.Sweeper
			storage.Clock
		}{f, sweeper, clock}
	case locks:
		return struct {
			*Faulty
			storage.Locker
		}{f, locker}
	case sweeps:
		return struct {
			*Faulty
			storage.Sweeper
		}{f, sweeper}
	case tells:
		return struct {
			*Faulty
			storage.Clock
		}{f, clock}
	}
	return f
}

// String is that of the store below.
func (f *Faulty) String() string { return f.below.String() }
