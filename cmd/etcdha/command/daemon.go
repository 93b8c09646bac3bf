package command

import (
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/internal/fail"
)

// configPeriod is how often the configuration is looked at for changes. Kubernetes
// itself takes up to a minute to bring a changed ConfigMap to a pod.
const configPeriod = 10 * time.Second

func daemonCommand() *cli.Command {
	return &cli.Command{
		Name:  "daemon",
		Usage: "run backups, verification, rehearsals and more on schedules, for many clusters",
		Description: `Run it on every control-plane node: for each cluster, one instance is active, and
another one takes over when it fails. The configuration is read again when it
changes, and on SIGHUP; one that is wrong changes nothing. docs/daemon.md says more.`,
		Flags:       slices.Concat([]cli.Flag{configFlag()}, daemonFlags(), electionFlags()),
		Action:      daemon,
		Subcommands: []*cli.Command{daemonCheckCommand(), daemonManifestCommand()},
	}
}

func configFlag() cli.Flag {
	return &cli.StringFlag{Name: "config", Usage: "`FILE` with clusters, stores and schedules; docs/daemon-config.md has every key", EnvVars: []string{"ETCDHA_CONFIG"}}
}

func daemonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "once", Usage: "run this `JOB` now, with its tries, and end: for CronJobs"},
		&cli.StringSliceFlag{Name: "cluster", Usage: "with --once: `NAME` of the cluster, may be repeated (default: all that have the job)"},
		&cli.DurationFlag{Name: "grace", Value: cronjobs.DefaultGrace, Usage: "`TIME` for running jobs to come to their end when the daemon is to end"},
		&cli.StringFlag{Name: "instance", Usage: "`NAME` of this daemon among those with the same configuration (default: host name)", EnvVars: []string{"ETCDHA_INSTANCE"}},
	}
}

const categoryElection = "Leader election, as with Kubernetes' own components"

func electionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "leader-elect", Value: true, Usage: "run the jobs of a cluster only while this instance is its leader", Category: categoryElection},
		&cli.DurationFlag{Name: "leader-elect-lease-duration", Value: election.DefaultLeaseDuration, Usage: "`TIME` after the last renewal until another instance may lead; whole seconds", Category: categoryElection},
		&cli.DurationFlag{Name: "leader-elect-renew-deadline", Value: election.DefaultRenewDeadline, Usage: "`TIME` without renewal after which a leader stops its jobs", Category: categoryElection},
		&cli.DurationFlag{Name: "leader-elect-retry-period", Value: election.DefaultRetryPeriod, Usage: "`TIME` between two tries to lead, or to renew", Category: categoryElection},
	}
}

func daemon(c *cli.Context) error {
	if c.Args().Present() {
		return fail.WithHint(fail.Usagef("no command %q", c.Args().First()), "%s --help lists them", c.Command.HelpName)
	}
	s, err := newService(c)
	if err != nil {
		return err
	}
	if c.IsSet("once") { // also to nothing, by a variable that is empty
		return s.once(c, config.JobName(c.String("once")))
	}
	if len(given(c, "cluster")) > 0 {
		return fail.WithHint(fail.Usagef("--cluster is for --once"), "the daemon runs what the file says for every cluster in it")
	}
	return s.run(c.Context)
}

func configPath(c *cli.Context) (string, error) {
	if path := c.String("config"); path != "" {
		return path, nil
	}
	return "", fail.WithHint(fail.Usagef("no configuration given"), "--config FILE, or ETCDHA_CONFIG; deploy/config.example.yaml is one to begin with")
}
