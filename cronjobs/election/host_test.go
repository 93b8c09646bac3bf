package election_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/election"
)

// host is where instances of one name run, one after the other.
type host struct {
	w    *world
	self election.Instance

	mu     sync.Mutex
	frozen chan struct{} // closed when it goes on; nil: it does
	cut    bool
	busy   bool          // giving way would break something off
	faint  bool          // renewals of its entry on the list are lost, and nothing else is
	slow   time.Duration // requests take up to this
	now    *process
}

// process is one instance. It is a [election.Registry].
type process struct {
	*host
	elector *election.Elector
	stop    context.CancelFunc
	ended   chan struct{}
	dead    bool // killed
	alarmed bool // was told that an alarm allows no lock, and of none since
	saw     bool // was told of a lock, or had one
}

// start runs an instance on a host.
func (w *world) start(h *host) *process {
	p := &process{host: h, ended: make(chan struct{})}
	ctx, stop := context.WithCancel(w.t.Context())
	p.stop = stop
	p.elector = election.New(election.Options{
		Cluster: "production", Self: h.self.Name, Registry: p, Idle: p.idle,
		Now: time.Now, Log: slog.New(w.log),
	})
	h.mu.Lock()
	h.now = p
	h.mu.Unlock()
	w.note("%s starts", h.self.Name)
	w.running.Go(func() {
		defer close(p.ended)
		p.elector.Run(ctx, p.lead)
	})
	return p
}

func (p *process) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.busy
}

func (w *world) host(name string, member uint64) *host {
	h := &host{w: w, self: election.Instance{Name: name, Member: member}}
	w.hosts = append(w.hosts, h)
	return h
}

// kill ends an instance at once: nothing that it does has an effect any more.
func (h *host) kill() {
	h.w.note("%s is killed", h.self.Name)
	h.mu.Lock()
	p := h.now
	p.dead, h.now = true, nil
	h.mu.Unlock()
	h.thaw()
	p.stop()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for t := range p.w.terms {
		if t.host == p {
			delete(p.w.terms, t)
		}
	}
}

// end lets an instance end by itself.
func (h *host) end() {
	h.w.note("%s is ended", h.self.Name)
	h.thaw()
	h.now.stop()
	<-h.now.ended
	h.now = nil
}

// freeze stops the instance as SIGSTOP does.
func (h *host) freeze() {
	h.w.note("%s is frozen", h.self.Name)
	h.mu.Lock()
	h.frozen = make(chan struct{})
	h.mu.Unlock()
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	for t := range h.w.terms {
		t.excused = t.excused || t.host.host == h
	}
}

func (h *host) thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen != nil {
		h.w.note("%s goes on", h.self.Name)
		close(h.frozen)
		h.frozen = nil
	}
}

func (h *host) set(what string, change func()) {
	h.w.note("%s: %s", h.self.Name, what)
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// gate holds whatever an instance does up while it is frozen, and is an error once it is dead.
func (p *process) gate() error {
	for {
		p.mu.Lock()
		frozen, dead := p.frozen, p.dead
		p.mu.Unlock()
		switch {
		case dead:
			return errors.New("killed")
		case frozen == nil:
			return nil
		}
		<-frozen
	}
}

// lead is active: it acts again and again, and needs some time to stop.
func (p *process) lead(ctx context.Context, t election.Term) {
	if p.gate() != nil {
		return
	}
	own := &term{host: p, unlocked: t.Unlocked}
	p.w.begin(own)
	defer p.w.end(own)
	p.w.mu.Lock()
	stop := time.Duration(p.w.r.Int64N(int64(spare - time.Second)))
	p.w.mu.Unlock()
	var ended time.Time
	for {
		if p.gate() != nil {
			return
		}
		if ctx.Err() != nil && ended.IsZero() {
			ended = time.Now()
		}
		if !ended.IsZero() && time.Since(ended) >= stop {
			return
		}
		if t.MayAct() == nil {
			p.w.act(own)
		}
		time.Sleep(250 * time.Millisecond)
	}
}
