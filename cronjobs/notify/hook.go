package notify

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

const (
	// maxWaiting events wait for a webhook: more than that nobody reads.
	maxWaiting = 100
	// maxAge is for how long an event is news.
	maxAge = time.Hour
	// The pause after a try that failed doubles from one to the other.
	firstPause = time.Second
	maxPause   = 5 * time.Minute
)

var (
	errTooMany = errors.New("too many events wait for it")
	errGone    = errors.New("it is not in the configuration any more")
)

// waiting is an event in the queue of one webhook.
type waiting struct {
	Event
	told time.Time
}

// hook is one webhook. It gets events one at a time, in the order in which they were told.
type hook struct {
	*Notifier
	name    string
	started bool          // guarded by the notifier
	gone    chan struct{} // closed when it is not in the configuration any more

	mu     sync.Mutex
	config config.Webhook
	events []waiting
	wake   chan struct{} // has an element when there may be events
}

func newHook(n *Notifier, c config.Webhook) *hook {
	return &hook{Notifier: n, name: c.Name, config: c, gone: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (h *hook) use(c config.Webhook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.config = c
}

// leave drops what waits.
func (h *hook) leave() {
	close(h.gone)
	for {
		w, ok := h.pop()
		if !ok {
			return
		}
		h.ended(w, errGone)
	}
}

// queue adds an event. The oldest one makes room for it.
func (h *hook) queue(e Event) {
	h.mu.Lock()
	var dropped []waiting
	if len(h.events) == maxWaiting {
		dropped, h.events = h.events[:1:1], h.events[1:]
	}
	h.events = append(h.events, waiting{Event: e, told: h.o.Now()})
	h.mu.Unlock()
	for _, w := range dropped {
		h.ended(w, errTooMany)
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *hook) pop() (waiting, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return waiting{}, false
	}
	w := h.events[0]
	h.events = h.events[1:]
	return w, true
}

// ended counts an event that is done with, and logs one that nobody got.
func (h *hook) ended(w waiting, err error) {
	h.o.Done(h.name, err)
	if err != nil {
		h.o.Log.Error("a webhook was not told", "webhook", h.name, "event", w.Kind, "cluster", w.Cluster, "job", w.Job, "error", err)
	}
}

// run sends until ctx ends and nothing waits any more, or the webhook is gone.
func (h *hook) run(ctx, hard context.Context) {
	soft, cancel := context.WithCancel(ctx) // ends also with the webhook
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-h.gone:
			cancel()
		case <-ended:
		}
	}()
	for {
		w, ok := h.pop()
		if ok {
			h.ended(w, h.deliver(soft, hard, w))
			continue
		}
		select {
		case <-soft.Done():
			return
		case <-h.wake:
		}
	}
}

// deliver tries until the webhook has taken the event, will never take it, or it is too
// old. When soft ends there is one more try, unless the webhook is gone.
func (h *hook) deliver(soft, hard context.Context, w waiting) error {
	pause := firstPause
	for {
		last := soft.Err() != nil
		err := h.try(hard, w.Event)
		var again *retry
		if last || !errors.As(err, &again) {
			return err
		}
		age := h.o.Now().Sub(w.told)
		if again.after > maxAge-age { // it would not be news any more: what is overloaded may be well before
			again.after = maxPause
		}
		wait := max(pause, again.after)
		if age+wait > maxAge {
			return err
		}
		h.o.Log.Warn("a webhook could not be told yet", "webhook", h.name, "event", w.Kind, "again", wait, "error", err)
		pause = min(2*pause, maxPause)
		_ = h.o.Sleep(soft, wait) // it fails when soft ends
		if h.left() {
			return errGone
		}
	}
}

func (h *hook) left() bool {
	select {
	case <-h.gone:
		return true
	default:
		return false
	}
}
