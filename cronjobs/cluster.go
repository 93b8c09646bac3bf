package cronjobs

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// Pauses between tries of what has failed: each is twice the one before.
const (
	firstPause = 10 * time.Second
	maxPause   = 5 * time.Minute
)

// cluster is one cluster while its configuration stays as it is.
type cluster struct {
	d      *Daemon
	file   *config.File
	config config.Cluster
	since  time.Time // its configuration is as it is
	log    *slog.Logger

	accepting context.Context // ends first: no try begins any more
	refuse    context.CancelFunc
	working   context.Context // ends after the grace: what goes on is broken off
	abort     context.CancelFunc
	done      chan struct{} // closed when all has ended

	again chan struct{} // open at once what has failed to open
	look  chan struct{} // observe at once
	alone chan struct{} // has room for one of the jobs that must not run beside each other

	going sync.WaitGroup // tries and emergency backups that go on; added to under mu

	mu        sync.Mutex
	started   bool
	elector   elector
	here      bool // this instance is active
	trying    int  // tries that go on, but for those of health
	observed  status.Cluster
	troubles  []status.Trouble
	emergency *status.Emergency
	jobs      []*job // in the order of the configuration
	watcher   *watcher
}

func newCluster(d *Daemon, file *config.File, cc config.Cluster) *cluster {
	c := &cluster{d: d, file: file, config: cc, since: d.o.Now(), log: d.o.Log.With("cluster", cc.Name),
		done: make(chan struct{}), again: make(chan struct{}, 1), look: make(chan struct{}, 1),
		alone: make(chan struct{}, 1)}
	c.accepting, c.refuse = context.WithCancel(context.Background())
	c.watcher = &watcher{cluster: c}
	c.working, c.abort = context.WithCancel(context.Background())
	for _, j := range cc.Jobs {
		c.jobs = append(c.jobs, newJob(cc.Name, j))
	}
	return c
}

// start begins everything, once, unless it was stopped before.
func (c *cluster) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		c.started = true
		go c.run()
	}
}

func (c *cluster) run() {
	defer close(c.done)
	w := c.open()
	if w == nil {
		return
	}
	defer w.Close()
	e := c.d.elect(c.config, w, c.idle)
	c.mu.Lock()
	c.elector = e
	c.mu.Unlock()

	var wg sync.WaitGroup
	wg.Go(func() { c.observe(w) })
	if c.config.Local != "" {
		wg.Go(func() { c.watch(w) })
	}
	e.Run(c.working, func(ctx context.Context, t election.Term) { c.lead(ctx, w, t) })
	wg.Wait()
}

// open opens the worker, and returns nil if it was never possible.
func (c *cluster) open() Worker {
	for pause := firstPause; c.accepting.Err() == nil; pause = min(2*pause, maxPause) {
		w, err := c.d.o.Open(c.file, c.config)
		if err == nil {
			return w
		}
		c.log.Error("the cluster cannot be worked with", "error", err)
		c.unseen(err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.again:
		case <-c.accepting.Done():
		}
		timer.Stop()
	}
	return nil
}

// hurry tries at once again to open what could not be opened.
func (c *cluster) hurry() { signal(c.again) }

// signal does not wait: one that is pending is enough.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// stop ends everything: what goes on has the grace, the lock is given back last. It may
// be called several times, and returns when all has ended.
func (c *cluster) stop(grace time.Duration) {
	c.mu.Lock()
	c.refuse()
	if !c.started { // and never will be
		c.started = true
		close(c.done)
	}
	c.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		c.going.Wait()
		close(idle)
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		c.log.Warn("what still runs is broken off", "grace", grace)
	}
	c.abort()
	<-c.done
	<-idle
}

// begin is told before anything that the end waits for. It is false when that is near.
func (c *cluster) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accepting.Err() != nil {
		return false
	}
	c.going.Add(1)
	return true
}

// idle tells whether nothing runs that giving way would break off, and no record waits for a
// store, without which another instance would run its slot once more. A pause between tries
// is idle: another instance may have more luck.
func (c *cluster) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trying == 0 && !slices.ContainsFunc(c.jobs, func(j *job) bool { return len(j.unsaved) > 0 })
}

// active is who is, "" if that is not known.
func (c *cluster) active() string {
	c.mu.Lock()
	e := c.elector
	c.mu.Unlock()
	if e == nil {
		return ""
	}
	return e.Active()
}

// inherit takes over what old knew, after it was stopped: what people are shown until
// it is seen anew, records that no store has taken yet, and an outage that goes on.
func (c *cluster) inherit(old *cluster) {
	old.mu.Lock()
	defer old.mu.Unlock()
	c.observed, c.troubles = old.observed, old.troubles
	for _, j := range c.jobs {
		if before := old.job(j.Name); before != nil {
			j.last, j.failing, j.unsaved, j.told = before.last, before.failing, before.unsaved, before.told
		}
	}
	if c.config.Local == old.config.Local {
		watcher := *old.watcher
		watcher.cluster = c
		c.watcher, c.emergency = &watcher, old.emergency
	}
}

// job returns the job of that name, nil if it is not scheduled.
func (c *cluster) job(name config.JobName) *job {
	for _, j := range c.jobs {
		if j.Name == name {
			return j
		}
	}
	return nil
}

// sleep waits for d, and is false if ctx or the time of tries ends before.
func (c *cluster) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil && c.accepting.Err() == nil
	case <-ctx.Done():
	case <-c.accepting.Done():
	}
	return false
}
