package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/cmd/etcdha/jobs"
	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/cronjobs/metrics"
	"github.com/etcdha/etcdha/cronjobs/notify"
	"github.com/etcdha/etcdha/cronjobs/page"
	"github.com/etcdha/etcdha/cronjobs/server"
	shown "github.com/etcdha/etcdha/cronjobs/status"
)

// service is a daemon with all that shows it.
type service struct {
	log      *slog.Logger
	watch    *configWatch
	jobs     jobs.Options
	election electionTimes

	daemon  *cronjobs.Daemon
	metrics *metrics.Metrics
	notify  *notify.Notifier
	grace   time.Duration
	single  bool // it runs one job, once

	first *config.File // that the daemon has started with
}

// lastWords is how long events wait for their webhooks when the daemon has ended. The
// next instance tells again of what goes on failing.
const lastWords = 5 * time.Second

type electionTimes struct{ lease, renew, retry time.Duration }

func newService(c *cli.Context) (*service, error) {
	path, err := configPath(c)
	if err != nil {
		return nil, err
	}
	level := slog.LevelInfo
	if c.IsSet("once") { // what has come of it is printed
		level = slog.LevelWarn
	}
	s := &service{log: newLogFrom(c, level), watch: &configWatch{path: path}, grace: c.Duration("grace"), single: c.IsSet("once")}
	if s.jobs, err = workerOptions(c, s.log); err != nil {
		return nil, err
	}
	s.election = electionTimes{c.Duration("leader-elect-lease-duration"), c.Duration("leader-elect-renew-deadline"), c.Duration("leader-elect-retry-period")}
	if err := election.Check(s.election.lease, s.election.renew, s.election.retry); err != nil {
		return nil, err
	}
	s.metrics = metrics.New(s.fleet)
	s.notify = notify.New(notify.Options{Now: now, Log: s.log, Done: s.metrics.Notified})
	o := cronjobs.Options{
		Instance: s.jobs.Instance, Version: c.App.Version,
		Load: s.load, Open: s.open, Grace: s.grace,
		Now: now, Log: s.log, Ran: s.metrics.Ran, Tell: s.notify.Tell,
	}
	if c.Bool("leader-elect") {
		o.Elect = s.elect
	}
	s.daemon, err = cronjobs.New(o)
	return s, several(err)
}

func workerOptions(c *cli.Context, log *slog.Logger) (jobs.Options, error) {
	etcd, err := ownEtcd(c)
	if err != nil {
		return jobs.Options{}, err
	}
	instance := c.String("instance")
	if instance == "" {
		if instance, err = os.Hostname(); err != nil {
			return jobs.Options{}, err
		}
	}
	return jobs.Options{Instance: instance, Etcd: etcd, Stores: jobs.NewStores(), Version: c.App.Version, Random: random, Now: now, Log: log}, nil
}

// fleet is asked only when there is a daemon.
func (s *service) fleet() shown.Fleet { return s.daemon.Fleet() }

// load reads the configuration for the daemon, and for what is beside it.
func (s *service) load() (*config.File, error) {
	f, err := s.watch.read()
	if err != nil {
		return nil, err
	}
	s.notify.Use(f.Webhooks)
	s.metrics.Use(f.Webhooks)
	if s.first == nil {
		s.first = f
	}
	served, asked := s.first.Server, f.Server
	served.Line, asked.Line = 0, 0
	if served != asked {
		s.log.Warn("what is served stays as it was: a change of server takes a restart of the daemon", "file", f.Path)
	}
	return f, nil
}

func (s *service) open(f *config.File, c config.Cluster) (cronjobs.Worker, error) {
	w, err := s.worker(f, c)
	if err != nil { // an interface of a nil pointer would not be nil
		return nil, err
	}
	return w, nil
}

func (s *service) worker(f *config.File, c config.Cluster) (*jobs.Worker, error) {
	o := s.jobs
	o.SpoolDir = f.SpoolDir
	return jobs.New(c, o)
}

func (s *service) elect(c config.Cluster, _ cronjobs.Worker, idle func() bool) *election.Elector {
	self := s.jobs.Instance
	if s.single {
		self += election.OnceSuffix
	}
	return election.New(election.Options{
		Cluster: c.Name, Self: self, Idle: idle,
		Registry: jobs.NewRegistry(c, jobs.RegistryOptions{
			Instance: self, LeaseDuration: s.election.lease, RetryPeriod: s.election.retry, Now: now,
		}),
		LeaseDuration: s.election.lease, RenewDeadline: s.election.renew, RetryPeriod: s.election.retry,
		Now: now, Log: s.log,
	})
}

// run runs the daemon until ctx ends. What shows it stays until the last job has come
// to its end.
func (s *service) run(ctx context.Context) error {
	showing, hide := context.WithCancel(context.WithoutCancel(ctx))
	defer hide()
	working, stop := context.WithCancel(ctx)
	defer stop()
	var beside errgroup.Group
	if o := s.server(); o.Config.Listen != "" {
		l, err := server.Listen(o)
		if err != nil {
			return fmt.Errorf("listen at %s: %w", o.Config.Listen, err)
		}
		beside.Go(func() error {
			defer stop() // one that nobody can look at is started anew by whoever runs it
			return server.Serve(showing, l, o)
		})
	}
	beside.Go(func() error { s.notify.Run(showing, lastWords); return nil })
	beside.Go(func() error { s.follow(working); return nil })
	err := s.daemon.Run(working)
	hide()
	return errors.Join(err, beside.Wait())
}

func (s *service) server() server.Options {
	return server.Options{
		Config: s.first.Server, Page: page.Handler(s.fleet), Metrics: s.metrics.Handler(),
		Ready: s.daemon.Ready, Healthy: s.healthy, Now: now, Log: s.log,
	}
}

// healthy takes the locks that jobs take: where one is never given back, it does not answer.
func (s *service) healthy() error {
	s.fleet()
	return nil
}

// follow reads the configuration again when it has changed, and on SIGHUP, which ends
// other commands.
func (s *service) follow(ctx context.Context) {
	signal.Ignore(syscall.SIGHUP)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Ignore(syscall.SIGHUP) // also while the last jobs come to their end
	look := time.NewTicker(configPeriod)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			s.log.Info("reading the configuration again: SIGHUP")
		case <-look.C:
			if !s.watch.changed() {
				continue
			}
			s.log.Info("reading the configuration again: it has changed")
		}
		_ = s.daemon.Reload() // it logs and shows why the old one stays
	}
}
