package command

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
)

func getCommand() *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "write a backup as the plain snapshot that etcdutl takes",
		ArgsUsage: "ID FILE",
		Flags:     slices.Concat(storeFlags(), connectionFlags()),
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return fail.WithHint(fail.Usagef("snapshot get takes two arguments: ID FILE"), "etcdha snapshot get latest snapshot.db")
			}
			catalog, err := openCatalog(c)
			if err != nil {
				return err
			}
			catalog.Progress = newProgress(c, "fetch")
			log := newLog(c)
			b, err := catalog.Resolve(c.Context, c.Args().First(), liveOf(c, log))
			if err != nil {
				return err
			}
			file := c.Args().Get(1)
			if err := catalog.Get(c.Context, b, file); err != nil {
				return fmt.Errorf("get %s: %w", b.ID, err)
			}
			fmt.Fprintf(c.App.Writer, "%s written to %s, every byte as the manifest says\n", b.ID, file)
			printNext(c.App.Writer, "etcdha snapshot verify %s", quote(file))
			return nil
		},
	}
}
