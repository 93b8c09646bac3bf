package apiserver

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sharedLock is the lock of several nodes.
type sharedLock chan struct{}

func (l sharedLock) Observe(context.Context) (*Membership, error) {
	return &Membership{ClusterID: 0xc1}, nil
}

func (l sharedLock) Lock(ctx context.Context, _ Holder, wait func(string)) (Lock, error) {
	for {
		select {
		case l <- struct{}{}:
			return l, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
			wait("another node")
		}
	}
}

func (l sharedLock) Held(time.Duration) error { return nil }

func (l sharedLock) Release(context.Context) error { <-l; return nil }

// Nodes that start at once restart one after the other. Each looks whether the
// other one is ready at that moment.
func TestNodesThatStartAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		lock := make(sharedLock, 1)
		nodes := []*node{newNode(t, three), newNode(t, three), newNode(t, three)}
		nodes[1].Broken = five[4:] // and has its old file back
		var moves sync.Mutex
		var all sync.WaitGroup
		for i, n := range nodes {
			start := n.Clock
			n.busy = make(map[int64]bool)
			catchUp := func(n *node, start time.Time) { n.pass(start.Add(time.Since(began)).Sub(n.Clock)) }
			s := n.site()
			s.Cluster = lock
			s.Sleep = func(_ context.Context, d time.Duration) error { time.Sleep(d); return nil }
			s.Now = func() time.Time {
				moves.Lock()
				defer moves.Unlock()
				catchUp(n, start)
				return n.Clock
			}
			s.Host = processes(func() ([]Process, error) {
				moves.Lock()
				defer moves.Unlock()
				return n.APIServers(t.Context())
			})
			s.Prober = probes(func(address string) error {
				moves.Lock()
				defer moves.Unlock()
				asked := n
				if address != s.Own {
					asked = nodes[(i+1)%len(nodes)]
				}
				catchUp(asked, start)
				return asked.answers()
			})
			f := n.file()
			all.Go(func() {
				if err := s.Rewire(t.Context(), f, five); (err == nil) == (i == 1) {
					t.Errorf("node %d: %v", i, err)
				}
				s.Now()
			})
		}
		all.Wait()
		busy := make(map[int64]int)
		for i, n := range nodes {
			want := five
			if i == 1 {
				want = three
			}
			n.wantFile(want)
			n.wantServing(want)
			if len(n.busy) < int((terminateTime + startTime).Seconds()) {
				t.Errorf("node %d restarted within %d seconds", i, len(n.busy))
			}
			for second := range n.busy {
				if busy[second]++; busy[second] > 1 {
					t.Errorf("two restart at %s", time.Unix(second, 0).UTC())
				}
			}
		}
	})
}

// probes is a prober that is a function.
type probes func(address string) error

func (p probes) Ready(_ context.Context, address string) error { return p(address) }

// processes is a host that is a function.
type processes func() ([]Process, error)

func (p processes) APIServers(context.Context) ([]Process, error) { return p() }

func (p processes) Addresses() ([]string, error) { return nil, nil }
