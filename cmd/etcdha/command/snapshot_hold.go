package command

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

func holdCommand() *cli.Command {
	return &cli.Command{
		Name:      "hold",
		Usage:     "keep a backup from being pruned until it is released",
		ArgsUsage: "ID",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "reason", Usage: "`WHY`, for whoever finds the hold"},
		}, storeFlags(), connectionFlags()),
		Action: func(c *cli.Context) error {
			catalog, b, err := heldBackup(c)
			if err != nil {
				return err
			}
			if err := catalog.Hold(c.Context, b, holdRecord(c), random); err != nil {
				return err
			}
			fmt.Fprintf(c.App.Writer, "%s is held: no prune removes it\n", b.ID)
			printNext(c.App.Writer, "etcdha snapshot release %s%s   when it may go again", b.ID, storeArgs(c))
			return nil
		},
	}
}

func releaseCommand() *cli.Command {
	return &cli.Command{
		Name:      "release",
		Usage:     "end the holds of a backup",
		ArgsUsage: "ID",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "reason", Usage: "`WHY`, for the record"},
		}, storeFlags(), connectionFlags()),
		Action: func(c *cli.Context) error {
			catalog, b, err := heldBackup(c)
			if err != nil {
				return err
			}
			if !b.Held() {
				return fail.Usagef("backup %s is not held", b.ID)
			}
			if err := catalog.Release(c.Context, b, holdRecord(c)); err != nil {
				return err
			}
			fmt.Fprintf(c.App.Writer, "%s is released: retention decides again\n", b.ID)
			return nil
		},
	}
}

func heldBackup(c *cli.Context) (*snapshot.Catalog, *snapshot.Backup, error) {
	id, err := oneArg(c, "ID")
	if err != nil {
		return nil, nil, err
	}
	catalog, err := openCatalog(c)
	if err != nil {
		return nil, nil, err
	}
	b, err := catalog.Resolve(c.Context, id, liveOf(c, newLog(c)))
	return catalog, b, err
}

func holdRecord(c *cli.Context) snapshot.Hold {
	return snapshot.Hold{Time: now(), Reason: c.String("reason"), Etcdha: c.App.Version}
}
