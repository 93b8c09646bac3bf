package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/restore/rehearsal"
	"github.com/etcdha/etcdha/snapshot"
)

func rehearseCommand() *cli.Command {
	return &cli.Command{
		Name:      "rehearse",
		Usage:     "restore into a throwaway cluster, compare every member, discard it",
		ArgsUsage: "FILE|ID",
		Flags: slices.Concat([]cli.Flag{
			&cli.IntFlag{Name: "members", Value: 3, Usage: "`N` members: 1, 3 or 5"},
			&cli.StringFlag{Name: "etcd", Usage: "etcd `BINARY` to run (default: the etcd built into etcdha)"},
			&cli.BoolFlag{Name: "kubernetes", Usage: "rehearse the restore with a bumped revision too"},
			&cli.BoolFlag{Name: "keep", Usage: "leave the cluster running until interrupted"},
			writeOutFlag(), spoolFlag(),
		}, storeFlags(), connectionFlags()),
		Action: rehearse,
	}
}

func rehearse(c *cli.Context) error {
	etcd, err := ownEtcd(c)
	if err != nil {
		return err
	}
	log := newLog(c)
	src, err := sourceArg(c, log)
	if err != nil {
		return err
	}
	o := rehearsal.Options{
		Members: c.Int("members"), Command: etcd, Dir: c.String("spool-dir"), Kubernetes: c.Bool("kubernetes"),
		Now: now, Random: random, Log: log,
	}
	var recovered time.Duration
	if people(c) {
		showRehearsal(c, src, &o, &recovered)
	}
	if c.Bool("keep") {
		o.Keep = func(ctx context.Context, cluster *throwaway.Cluster) error { return keep(ctx, c, cluster) }
	}
	checks, logs, err := rehearseSource(c.Context, src, o)
	if err != nil {
		return err
	}
	for _, name := range logs {
		log.Info("member log kept", "file", name)
	}
	// An interrupt that ended --keep comes after the rehearsal.
	err = src.record(context.WithoutCancel(c.Context), snapshot.ReportRehearsal, checks, c.App.Version)
	if done, jsonErr := asJSON(c, verifyOutput{Snapshot: src.name, Passed: checks.Err() == nil, Checks: checks}); done {
		return errors.Join(err, jsonErr)
	}
	if checks.ContentErr() == nil {
		printRehearsed(c, src, recovered)
	}
	return err
}

// showRehearsal prints each stage as it is done, and measures how long it took
// until the snapshot was restored.
func showRehearsal(c *cli.Context, src *source, o *rehearsal.Options, recovered *time.Duration) {
	start := now()
	fmt.Fprintf(c.App.Writer, "Rehearsing %s with %d members\n", src.name, o.Members)
	o.OnCheck = func(check snapshot.Check) {
		printCheck(c.App.Writer, check)
		if !strings.HasPrefix(check.Name, "bumped") {
			*recovered = now().Sub(start)
		}
	}
}

// rehearseSource climbs the ladder and then restores for real.
func rehearseSource(ctx context.Context, src *source, o rehearsal.Options) (snapshot.Checks, []string, error) {
	in, err := src.verify(ctx, o.Dir)
	if err != nil {
		return nil, nil, err
	}
	defer in.close()
	return rehearsal.RunVerified(ctx, in.Verification, in.plain, in.size, o)
}

func printRehearsed(c *cli.Context, src *source, took time.Duration) {
	w := c.App.Writer
	fmt.Fprintf(w, "\n%s in %.1f s: a recovery takes about as long, and the deciding\n", paint(w, green, "Restored and compared"), took.Seconds())
	printNext(w, "etcdha restore %s --data-dir DIR --name NAME --initial-cluster NAME=PEER-URL,...%s", quote(src.name), storeArgs(c))
}

// keep shows how to reach the cluster and waits for the interrupt.
func keep(ctx context.Context, c *cli.Context, cluster *throwaway.Cluster) error {
	config := cluster.Config()
	fmt.Fprintf(c.App.Writer, "\nThe throwaway cluster runs until Ctrl-C, and then it is gone:\n\n  etcdctl --endpoints=%s \\\n    --cacert=%s --cert=%s --key=%s \\\n    get / --prefix --keys-only --limit=10\n",
		strings.Join(config.Endpoints, ","), quote(config.CACert), quote(config.Cert), quote(config.Key))
	<-ctx.Done()
	return nil
}
