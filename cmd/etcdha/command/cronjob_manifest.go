package command

import (
	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/cronjobs/manifest"
)

func cronjobCommand() *cli.Command {
	return &cli.Command{
		Name:        "cronjob",
		Usage:       "run the jobs of a configuration by Kubernetes' own CronJobs",
		Action:      group,
		Subcommands: []*cli.Command{cronjobManifestCommand()},
	}
}

func cronjobManifestCommand() *cli.Command {
	return &cli.Command{
		Name:  "manifest",
		Usage: "print a CronJob for each job of each cluster",
		Description: `Each runs "etcdha daemon --once JOB --cluster NAME" at the times of its schedule.
There are none for defrag and health, which take a daemon; nor is there jitter, or an
emergency backup when quorum is lost. Nothing is installed, and nothing secret
is printed: what the file refers to is mounted from Secrets or from the node.

  etcdha cronjob manifest --config etcdha.yaml --image IMAGE | kubectl apply -f -

docs/kubernetes.md says where files have to be, and why each setting is as it is.`,
		Flags:  manifestFlags(),
		Action: func(c *cli.Context) error { return printManifest(c, manifest.CronJobs) },
	}
}
