package cronjobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/cronjobs/notify"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// DefaultGrace is how long a clean shutdown waits for runs that go on.
const DefaultGrace = 30 * time.Second

// Options are what a daemon works with.
type Options struct {
	Instance string // name of this one among the others
	Version  string
	// Load reads the configuration: at the start, and again when it may have changed. Its
	// error keeps the one in use, and is the end of New.
	Load func() (*config.File, error)
	// Open returns the worker of a cluster. It is called again when the cluster's
	// configuration has changed, after the old one was closed. Its error is trouble of that
	// cluster alone; it is tried again after growing pauses and with each reload.
	Open func(*config.File, config.Cluster) (Worker, error)
	// Elect returns who decides whether this instance is active for the cluster; nil: it
	// always is. idle tells whether no job runs but health, which nobody waits for.
	Elect func(c config.Cluster, w Worker, idle func() bool) *election.Elector
	Grace time.Duration // default DefaultGrace
	Now   func() time.Time
	Log   *slog.Logger
	// Ran is told each run that came to its end, also those of health that leave no
	// record, for metrics. May be nil.
	Ran func(status.Record)
	// Tell is told what somebody should hear of: failures and recoveries. May be nil.
	Tell func(notify.Event)
}

// elector is what a daemon needs of an [election.Elector].
type elector interface {
	Run(ctx context.Context, lead func(context.Context, election.Term))
	Active() string
	// Taken sets whom Run tells who else has the lock.
	Taken(tell func(who string))
	// Trouble is why this instance cannot take part, and since when.
	Trouble() (since time.Time, err error)
}

// Daemon runs the jobs of all clusters of a configuration.
type Daemon struct {
	o     Options
	elect func(config.Cluster, Worker, func() bool) elector // tests have one of their own
	gate  gate

	reloading sync.Mutex // one reload at a time

	mu       sync.Mutex
	running  bool
	ended    bool // no cluster is started any more
	file     *config.File
	loaded   time.Time
	fault    string // why the newest configuration was not taken
	clusters []*cluster
}

// New reads the configuration. Nothing runs yet.
func New(o Options) (*Daemon, error) {
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Ran == nil {
		o.Ran = func(status.Record) {}
	}
	if o.Tell == nil {
		o.Tell = func(notify.Event) {}
	}
	d := &Daemon{o: o}
	d.elect = d.electWith
	file, err := o.Load()
	if err != nil {
		return nil, err // it names file and lines
	}
	d.file, d.loaded = file, o.Now()
	d.gate.resize(file.Concurrency)
	for _, c := range file.Clusters {
		d.clusters = append(d.clusters, newCluster(d, file, c))
	}
	return d, nil
}

// electWith asks the options who elects.
func (d *Daemon) electWith(c config.Cluster, w Worker, idle func() bool) elector {
	if d.o.Elect != nil {
		if e := d.o.Elect(c, w, idle); e != nil {
			return e
		}
	}
	return always{d.o.Instance}
}

// always elects the only instance that there is.
type always struct{ instance string }

func (a always) Active() string { return a.instance }

func (always) Taken(func(string)) {}

func (always) Trouble() (time.Time, error) { return time.Time{}, nil }

func (a always) Run(ctx context.Context, lead func(context.Context, election.Term)) {
	lead(ctx, election.Term{MayAct: ctx.Err})
}

// Run runs jobs until ctx ends, which is no error. Runs that go on then have the grace to
// come to their end, are broken off after it, and are waited for. It is called once.
func (d *Daemon) Run(ctx context.Context) error {
	d.mu.Lock()
	d.running = true
	for _, c := range d.clusters {
		c.start()
	}
	d.mu.Unlock()
	d.o.Log.Info("the daemon has started", "instance", d.o.Instance, "version", d.o.Version)
	<-ctx.Done()

	d.mu.Lock()
	d.ended = true
	clusters := d.clusters
	d.mu.Unlock()
	stopAll(clusters, d.o.Grace)
	d.reloading.Lock() // a reload may still wait for clusters of the old configuration
	defer d.reloading.Unlock()
	d.o.Log.Info("the daemon has ended", "instance", d.o.Instance)
	return nil
}

// stopAll stops clusters at the same time, and waits for them.
func stopAll(clusters []*cluster, grace time.Duration) {
	var wg sync.WaitGroup
	for _, c := range clusters {
		wg.Go(func() { c.stop(grace) })
	}
	wg.Wait()
}
