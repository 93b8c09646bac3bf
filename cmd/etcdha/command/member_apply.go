package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage/seal"
)

func memberApplyCommand() *cli.Command {
	own := []cli.Flag{
		&cli.StringFlag{Name: "target", Usage: "`FILE` that says what the cluster should be; - is stdin"},
		&cli.BoolFlag{Name: "no-backup", Usage: "take no backup before the first step", Category: categoryStep},
		spoolFlag(),
	}
	return &cli.Command{
		Name:  "apply",
		Usage: "make the cluster what a file says, one step at a time",
		Description: `The file is YAML: members, each with name, peerURLs, and if you like zone and
learner. With a store configured, a verified backup is taken before the first step.
After a crash, a timeout, or what somebody else has done, the same command goes on
where the cluster is.`,
		Flags:  stepFlags(slices.Concat(own, startFlags(waitFlag()), removalFlags(), sealFlags(), storeFlagsFor("`URL` or directory that gets the backup; may be repeated"))...),
		Action: memberApply,
	}
}

func memberApply(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	target, err := readTarget(c)
	if err != nil {
		return err
	}
	ch := &change{
		c: c, goal: membership.Reach(target), shows: allKinds, zones: target.Zones(),
		executor: membership.Executor{Wait: c.Duration("wait")},
	}
	if c.Bool("dry-run") {
		return ch.run()
	}
	if ch.executor.Backup, err = backupBefore(c); err != nil {
		return err
	}
	return ch.run()
}

func readTarget(c *cli.Context) (membership.Target, error) {
	file := c.String("target")
	if file == "" {
		return membership.Target{}, fail.WithHint(fail.Usagef("member apply needs --target"), "docs/membership.md shows such a file")
	}
	read := func() ([]byte, error) { return os.ReadFile(file) }
	if file == "-" {
		read = func() ([]byte, error) { return io.ReadAll(c.App.Reader) }
	}
	data, err := read()
	if err != nil {
		return membership.Target{}, fail.As(fail.ErrUsage, fmt.Errorf("read --target: %w", err))
	}
	target, err := membership.ParseTarget(data)
	if err != nil {
		return target, fmt.Errorf("--target %s: %w", file, err)
	}
	return target, nil
}

// backupBefore returns what takes a verified backup before the first step, or
// nil if none is taken. What its flags get wrong is found now, not then.
func backupBefore(c *cli.Context) (func(context.Context) error, error) {
	if c.Bool("no-backup") {
		if len(given(c, "store")) > 0 {
			return nil, fail.Usagef("--store and --no-backup contradict each other")
		}
		return nil, nil
	}
	if len(c.StringSlice("store")) == 0 {
		return func(context.Context) error {
			fmt.Fprintln(c.App.ErrWriter, "no backup is taken first: no store is configured (--store or ETCDHA_STORE)")
			return nil
		}, nil
	}
	o, err := backupOptions(c)
	if err != nil {
		return nil, err
	}
	config, err := connection(c, o.Log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		fmt.Fprintln(c.App.ErrWriter, "-> take a backup")
		kept, err := takeBackup(ctx, config, o)
		for _, backup := range kept {
			fmt.Fprintf(c.App.ErrWriter, "   backup %s\n", backup)
		}
		return fail.WithHint(err, "--no-backup goes without one")
	}, nil
}

// backupOptions are what the flags ask of the backup, with its stores open.
func backupOptions(c *cli.Context) (snapshot.SaveOptions, error) {
	o := snapshot.SaveOptions{
		SpoolDir: c.String("spool-dir"), LiveHash: snapshot.LiveAuto,
		Now: now, Random: random, Log: newLog(c), Version: c.App.Version, Progress: newProgress(c, "backup"),
	}
	o.Seal.Compression, o.Seal.Level = seal.Compression(c.String("compress")), c.Int("compress-level")
	if err := sealing(c, &o); err != nil {
		return o, err
	}
	if err := o.Seal.Check(); err != nil {
		return o, fail.As(fail.ErrUsage, err)
	}
	_, lost, err := openStores(c, &o)
	return o, errors.Join(err, lost)
}

// takeBackup saves a backup, and says what was kept where. Tests have no real member.
var takeBackup = func(ctx context.Context, config etcdclient.Config, o snapshot.SaveOptions) ([]string, error) {
	cluster, err := snapshot.Connect(ctx, config, o.Log)
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	if o.Member, err = cluster.Choose(ctx, false); err != nil {
		return nil, err
	}
	saved, err := snapshot.Save(ctx, o)
	var kept []string
	if saved != nil {
		for _, stored := range saved.Stores {
			if stored.Err == nil {
				kept = append(kept, fmt.Sprintf("%s in %s", stored.Backup.ID, stored.Catalog.Store))
			}
		}
	}
	return kept, err
}
