// Package notify tells webhooks about failures and recoveries.
//
// An event is sent until the webhook has taken it or it is too old to be of use. What waits
// is bounded; what is dropped is counted and logged. A webhook's URL and headers are secret
// and appear nowhere.
package notify

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Kind is what an event is about.
type Kind string

// Kinds.
const (
	Failure   Kind = "failure"   // a job has failed that did not fail before
	Recovery  Kind = "recovery"  // it succeeds again
	Emergency Kind = "emergency" // a member has no leader: told then, and of each emergency backup
)

// Event is what a webhook gets, as JSON.
type Event struct {
	Kind     Kind      `json:"kind"`
	Time     time.Time `json:"time"`
	Instance string    `json:"instance"`
	Cluster  string    `json:"cluster"`
	Job      string    `json:"job,omitempty"`
	Text     string    `json:"text"` // one line for people; chat services show it
	Error    string    `json:"error,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	Since    time.Time `json:"since,omitzero"` // of a recovery: when it began to fail
}

// Options are what a notifier works with.
type Options struct {
	Now  func() time.Time
	Log  *slog.Logger
	Done func(webhook string, err error) // each event that was sent or dropped, for metrics; may be nil
	// Sleep waits between tries. Default: a timer.
	Sleep func(context.Context, time.Duration) error
}

// Notifier sends events.
type Notifier struct {
	o          Options
	client     *http.Client
	tryTimeout time.Duration

	mu      sync.Mutex
	hooks   []*hook
	changed chan struct{} // has an element after Use
}

// New returns a notifier of no webhook yet.
func New(o Options) *Notifier {
	if o.Sleep == nil {
		o.Sleep = pauseFor
	}
	if o.Done == nil {
		o.Done = func(string, error) {}
	}
	return &Notifier{o: o, client: newClient(), tryTimeout: tryTimeout, changed: make(chan struct{}, 1)}
}

// Use replaces the webhooks, those of a new configuration. What waits for one of the same
// name goes on; what waits for one that is gone is dropped.
func (n *Notifier) Use(hooks []config.Webhook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.hooks
	n.hooks = nil
	for _, c := range hooks {
		i := slices.IndexFunc(old, func(h *hook) bool { return h.name == c.Name })
		if i < 0 {
			n.hooks = append(n.hooks, newHook(n, c))
			continue
		}
		old[i].use(c)
		n.hooks = append(n.hooks, old[i])
	}
	for _, h := range old {
		if !slices.Contains(n.hooks, h) {
			h.leave()
		}
	}
	select {
	case n.changed <- struct{}{}:
	default: // somebody will look already
	}
}

// Tell queues an event for every webhook. It does not wait.
func (n *Notifier) Tell(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hooks {
		h.queue(e)
	}
}

// Run sends until ctx ends, and then what waits once more, within grace. What is told
// after that is not sent.
func (n *Notifier) Run(ctx context.Context, grace time.Duration) {
	defer n.client.CloseIdleConnections()
	// A try that goes on when ctx ends may come to its end.
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var all sync.WaitGroup
	for ctx.Err() == nil {
		for _, h := range n.unstarted() {
			all.Go(func() { h.run(ctx, hard) })
		}
		select {
		case <-ctx.Done():
		case <-n.changed:
		}
	}
	end := time.AfterFunc(grace, cancel)
	defer end.Stop()
	all.Wait()
}

// unstarted returns the webhooks that nobody runs yet, once each.
func (n *Notifier) unstarted() []*hook {
	n.mu.Lock()
	defer n.mu.Unlock()
	var fresh []*hook
	for _, h := range n.hooks {
		if !h.started {
			h.started = true
			fresh = append(fresh, h)
		}
	}
	return fresh
}

// pauseFor sleeps by a timer.
func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
