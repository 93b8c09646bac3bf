package command

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

func followCommand() *cli.Command {
	return &cli.Command{
		Name:  "follow",
		Usage: "keep the apiserver of this host on the members of etcd, as they come and go",
		Description: `An agent for each control-plane node. What the members ask for has to settle before
anything is restarted, and one node restarts at a time. A member that is about to be
removed is left alone at once, and it is confirmed in etcd that it was. Without
quorum nothing is done. It ends with SIGTERM.`,
		Flags:  siteFlags(append(followFlags(), fileFlag())...),
		Action: connected(follow),
	}
}

const categoryAgent = "Agent"

// followFlags are those that only an agent has.
func followFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Value: apiserver.DefaultListen, Usage: "`HOST:PORT` for /healthz, /readyz and /metrics over HTTPS, with the apiserver's certificate, or unix:///PATH; empty for none", Category: categoryAgent},
		&cli.DurationFlag{Name: "period", Value: apiserver.DefaultPeriod, Usage: "`TIME` between two looks", Category: categoryAgent},
		&cli.DurationFlag{Name: "settle", Value: apiserver.DefaultSettle, Usage: "`TIME` for which the members have to ask for the same list", Category: categoryAgent},
	}
}

func checkFollowFlags(c *cli.Context) error {
	if c.Duration("period") <= 0 || c.Duration("settle") <= 0 {
		return fail.Usagef("--period and --settle must be more than nothing")
	}
	return nil
}

func follow(c *cli.Context) error {
	a, err := newAgent(c)
	if err != nil {
		return err
	}
	run, ctx := errgroup.WithContext(c.Context)
	if address := c.String("listen"); address != "" {
		l, err := a.Listen(address)
		if err != nil {
			return fmt.Errorf("--listen %s: %w", address, err)
		}
		run.Go(func() error { return a.Serve(ctx, l) })
	}
	run.Go(func() error { return a.Run(ctx) })
	err = run.Wait()
	a.Retire(c.Context)
	return err
}

// newAgent reads the flags and the file. What can never be followed is found now.
func newAgent(c *cli.Context) (*apiserver.Follower, error) {
	if err := checkFollowFlags(c); err != nil {
		return nil, err
	}
	name, err := fileName(c)
	if err != nil {
		return nil, err
	}
	f, err := readFollowed(name)
	if err != nil {
		return nil, err
	}
	if _, err := restartOf(c, f); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return apiserver.NewFollower(apiserver.FollowOptions{
		FS: hostRoot, File: name, Host: host,
		Open:         func(_ context.Context, f *etcdservers.File) (*apiserver.Local, error) { return openLocal(c, f) },
		UpdateConfig: configUpdate(c, f.Form),
		Period:       c.Duration("period"), Settle: c.Duration("settle"),
		Now: now, Sleep: sleep, Log: newLog(c),
	}), nil
}

// readFollowed reads a file that tells how an apiserver is run: by that it is known
// among the processes of the host.
func readFollowed(name string) (*etcdservers.File, error) {
	f, err := readServers(name)
	if err == nil && len(f.Args) == 0 {
		err = fail.WithHint(fail.Usagef("%s does not tell how an apiserver is run", name), "give its manifest or unit as --file")
	}
	return f, err
}

// openLocal connects to the etcd of the file.
func openLocal(c *cli.Context, f *etcdservers.File) (*apiserver.Local, error) {
	own, announced, err := addressesOf(f)
	if err != nil {
		return nil, err
	}
	copies, err := copiesDir(c)
	if err != nil {
		return nil, err
	}
	config, err := etcdOf(c, f, serversOf(f, copies))
	if err != nil {
		return nil, err
	}
	cluster := openCluster(config, etcdPrefix(f))
	return &apiserver.Local{
		Cluster: cluster, Registry: cluster.registry, Dialer: apiserver.NewDialer(f, c.Duration("command-timeout")),
		Addresses: own, Announced: announced, Secure: apiserver.Secure(f),
		Left: func() (bool, error) {
			_, left, err := (&apiserver.Site{Copies: copies}).Interrupted(f)
			return left, err
		},
		Site:  func(context.Context) (*apiserver.Site, error) { return newSite(c, f, cluster) },
		Close: cluster.Close,
	}, nil
}

// serversOf are those by which the etcd of the file is reached: its own, and behind them
// those from before a change that was killed. What cannot be told here is an error where
// that change is resumed.
func serversOf(f *etcdservers.File, copies string) []string {
	servers := slices.Clone(f.Servers)
	before, _, _ := (&apiserver.Site{Copies: copies}).Interrupted(f)
	for _, s := range before {
		if !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
	}
	return servers
}

// configUpdate writes a list to kubeadm's configuration in the cluster. What somebody
// has to do about it is logged once: it does not end by itself.
func configUpdate(c *cli.Context, form etcdservers.Form) func(context.Context, []string) error {
	log := newLog(c)
	told := make(map[string]bool)
	tell := func(what, hint string) {
		if hint == "" {
			log.Info(what)
		} else if !told[what] {
			log.Warn(what, "hint", hint)
		}
		told[what] = true
	}
	return func(ctx context.Context, servers []string) error {
		return updateKubeadm(ctx, c, form, servers, tell)
	}
}
