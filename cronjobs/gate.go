package cronjobs

import (
	"context"
	"slices"
	"sync"
)

// gate lets in so many at the same time, the others in the order in which they came.
type gate struct {
	mu     sync.Mutex
	limit  int
	inside int
	queue  []chan struct{} // each closed when its owner is let in
}

// enter waits until there is room. Its error is that of ctx.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	in := make(chan struct{})
	g.queue = append(g.queue, in)
	g.admit()
	g.mu.Unlock()
	select {
	case <-in:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.queue, in); i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
	} else { // let in meanwhile
		g.inside--
		g.admit()
	}
	return ctx.Err()
}

// leave makes room.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// resize changes how many are let in. Nobody is thrown out.
func (g *gate) resize(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = max(limit, 1)
	g.admit()
}

func (g *gate) admit() {
	for g.inside < g.limit && len(g.queue) > 0 {
		close(g.queue[0])
		g.queue = g.queue[1:]
		g.inside++
	}
}
