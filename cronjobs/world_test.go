package cronjobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/notify"
	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// world is everything outside of the daemons: what a job does, the stores, who is active.
// Its time is that of a bubble, in which a day takes milliseconds.
type world struct {
	t *testing.T

	mu      sync.Mutex
	acts    []*act
	kept    []keptRecord
	newest  map[string]*status.Record // of a job of a cluster
	events  []notify.Event
	ran     []status.Record
	looks   map[string][]time.Time // by cluster
	asked   map[config.JobName]int
	open    map[string]int // workers by cluster
	opened  []string
	ballots map[string]*ballot

	// What happens; nil is nothing.
	do     func(ctx context.Context, cluster string, r Run) (string, error)
	last   func(cluster string) error
	add    func(r status.Record) (kept bool, err error)
	opens  func(c config.Cluster) error
	member func() (*LocalMember, error)
	save   func(ctx context.Context) (string, error)

	emergencies []status.Backup
}

// act is one call of Do.
type act struct {
	cluster, instance string
	run               Run
	from, to          time.Time
	err               error
}

type keptRecord struct {
	status.Record
	at time.Time
}

// tell runs a story that begins at a time.
func tell(t *testing.T, begin string, story func(w *world)) {
	t.Helper()
	start, err := time.Parse(time.RFC3339, begin)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(start))
		story(&world{t: t, newest: make(map[string]*status.Record), looks: make(map[string][]time.Time), asked: make(map[config.JobName]int),
			open: make(map[string]int), ballots: make(map[string]*ballot)})
	})
}

// node is one instance in the world.
type node struct {
	*Daemon
	w    *world
	name string

	mu    sync.Mutex
	file  config.File
	err   error
	ahead time.Duration // its clock
	dead  chan struct{} // closed when it was killed
	end   context.CancelFunc
	ended chan struct{}
}

// node makes an instance with a configuration, which does not run yet.
func (w *world) node(name string, clusters ...config.Cluster) *node {
	n := &node{w: w, name: name, dead: make(chan struct{}), ended: make(chan struct{}),
		file: config.File{Path: "etcdha.yaml", Concurrency: 4, Clusters: clusters}}
	d, err := New(Options{Instance: name, Version: "v1", Load: n.load, Open: n.open,
		Now: n.now, Log: slog.New(slog.DiscardHandler), Ran: n.ran, Tell: n.tell})
	if err != nil {
		w.t.Fatal(err)
	}
	n.Daemon = d
	d.elect = n.elect
	return n
}

// start makes an instance that runs.
func (w *world) start(name string, clusters ...config.Cluster) *node {
	n := w.node(name, clusters...)
	n.run()
	return n
}

func (n *node) run() {
	ctx, end := context.WithCancel(context.Background())
	n.end = end
	go func() {
		defer close(n.ended)
		if err := n.Run(ctx); err != nil {
			n.w.t.Errorf("Run: %v", err)
		}
	}()
}

// stop ends an instance in an orderly way.
func (n *node) stop() {
	n.end()
	<-n.ended
}

// kill cuts an instance off: from then on it changes nothing in the world.
func (n *node) kill() {
	n.o.Grace = time.Nanosecond
	close(n.dead)
	n.stop()
}

// now is the clock of the instance.
func (n *node) now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.ahead).Round(0)
}

func (n *node) setClock(ahead time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ahead = ahead
}

func (n *node) killed() bool {
	select {
	case <-n.dead:
		return true
	default:
		return false
	}
}

// configure changes the file, and reloads it.
func (n *node) configure(change func(f *config.File)) error {
	n.mu.Lock()
	n.file.Clusters = slices.Clone(n.file.Clusters)
	change(&n.file)
	n.mu.Unlock()
	return n.Reload()
}

func (n *node) load() (*config.File, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return nil, n.err
	}
	f := n.file
	return &f, nil
}

func (n *node) open(_ *config.File, c config.Cluster) (Worker, error) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	if n.w.opens != nil {
		if err := n.w.opens(c); err != nil {
			return nil, err
		}
	}
	n.w.opened = append(n.w.opened, c.Name)
	n.w.open[c.Name]++
	return &worker{node: n, cluster: c.Name}, nil
}

func (n *node) ran(r status.Record) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.w.ran = append(n.w.ran, r)
}

func (n *node) tell(e notify.Event) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	if !n.killed() {
		n.w.events = append(n.w.events, e)
	}
}

func (n *node) elect(c config.Cluster, _ Worker, _ func() bool) elector {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	if b := n.w.ballots[c.Name]; b != nil {
		return &voter{ballot: b, node: n}
	}
	return always{n.name}
}

// of returns the status of a cluster.
func (n *node) of(cluster string) status.Cluster {
	for _, c := range n.Fleet().Clusters {
		if c.Name == cluster {
			return c
		}
	}
	n.w.t.Fatalf("no cluster %s", cluster)
	return status.Cluster{}
}

// change changes what happens.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// named makes a cluster of jobs.
func named(name string, jobs ...config.Job) config.Cluster {
	return config.Cluster{Name: name, Endpoints: []string{"https://" + name + ":2379"}, Jobs: jobs}
}

// job makes one that has no jitter, and an hour for each run.
func (w *world) job(name config.JobName, spec string) config.Job {
	return zoned(w.t, name, spec, time.UTC)
}

func zoned(t *testing.T, name config.JobName, spec string, zone *time.Location) config.Job {
	t.Helper()
	s, err := schedule.Parse(spec, zone)
	if err != nil {
		t.Fatal(err)
	}
	return config.Job{Name: name, Spec: spec, Schedule: s, Deadline: time.Hour}
}

// until waits for a time of the day of now, or of the next day.
func (w *world) until(clock string) {
	w.t.Helper()
	at, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		w.t.Fatal(err)
	}
	now := time.Now().UTC()
	next := time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	time.Sleep(next.Sub(now))
	synctest.Wait()
}

// records are those of a job in the order in which they were kept, in words.
func (w *world) records(job config.JobName) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, r := range w.kept {
		if r.Job != job {
			continue
		}
		s := fmt.Sprintf("%s by %s", r.Slot.Format("02T15:04"), r.Instance)
		if r.Missed > 0 {
			s += fmt.Sprintf(", %d missed", r.Missed)
		}
		if r.Attempts > 1 {
			s += fmt.Sprintf(", %d tries", r.Attempts)
		}
		if !r.Passed {
			s += fmt.Sprintf(", %s: %s", r.Kind, r.Error)
		}
		words = append(words, s)
	}
	return words
}

// tries are the calls of a job, in words.
func (w *world) tries(job config.JobName) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, a := range w.acts {
		if a.run.Job == job {
			words = append(words, fmt.Sprintf("%s for %s by %s", a.from.UTC().Format("15:04:05"), a.run.Slot.Format("15:04"), a.instance))
		}
	}
	return words
}

// told are the events, in words.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, e := range w.events {
		words = append(words, fmt.Sprintf("%s %s %s: %s", e.Time.UTC().Format("15:04:05"), e.Instance, e.Kind, e.Text))
	}
	return words
}

// same compares what was with what should have been.
func (w *world) same(what string, got, want []string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// takes makes each run last for some time.
func takes(d time.Duration) func(context.Context, string, Run) (string, error) {
	return func(ctx context.Context, _ string, _ Run) (string, error) {
		select {
		case <-time.After(d):
			return "done", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
