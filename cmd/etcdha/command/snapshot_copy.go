package command

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

func copyCommand() *cli.Command {
	return &cli.Command{
		Name:      "copy",
		Usage:     "copy backups into another store, byte for byte, proven on the way",
		ArgsUsage: "ID|--all",
		Description: `What is there already is not copied again, so that the same command goes on after
an interruption, and keeps two stores alike when it is repeated.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "all backups of the cluster, of all its lives, or of the one in --cluster NAME/LINEAGE"},
			&cli.StringFlag{Name: "to", Usage: "`URL` or directory of the store that gets them"},
		}, storeFlags(), connectionFlags()),
		Action: runCopy,
	}
}

func runCopy(c *cli.Context) error {
	if c.Bool("all") == (c.NArg() == 1) || c.NArg() > 1 || len(given(c, "to")) != 1 {
		return fail.WithHint(fail.Usagef("snapshot copy takes one ID, or --all, and --to URL"), "etcdha snapshot copy latest --to s3://bucket/prefix")
	}
	catalog, err := openCatalog(c)
	if err != nil {
		return err
	}
	to, err := openStore(c, c.String("to"), true)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	backups, err := toCopy(c, catalog)
	var unreadable *problemsError
	if err != nil && !errors.As(err, &unreadable) {
		return err
	}
	if slices.ContainsFunc(backups, func(b *snapshot.Backup) bool { return b.Encryption == nil }) {
		warnUnencrypted(newLog(c), c.String("to"), to)
	}
	if copyErr := copyBackups(c, catalog, backups, to); copyErr != nil {
		return copyErr
	}
	if err == nil {
		printNext(c.App.Writer, "etcdha snapshot list%s", argsForStore(c, c.String("to")))
	}
	return err
}

// problemsError says which backups could not be copied for want of a readable
// manifest. All others are copied.
type problemsError struct{ problems []snapshot.Problem }

func (e *problemsError) Error() string {
	p := e.problems[0]
	return fmt.Sprintf("%d backups are not readable and were not copied, such as %s: %v", len(e.problems), p.ID, p.Err)
}

func (e *problemsError) Unwrap() error { return e.problems[0].Err }

func toCopy(c *cli.Context, catalog *snapshot.Catalog) ([]*snapshot.Backup, error) {
	if !c.Bool("all") {
		b, err := catalog.Resolve(c.Context, c.Args().First(), liveOf(c, newLog(c)))
		return []*snapshot.Backup{b}, err
	}
	backups, problems, err := catalog.List(c.Context)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return backups, &problemsError{problems}
	}
	if len(backups) == 0 {
		return nil, noBackups(c.Context, newLog(c), catalog)
	}
	return backups, nil
}

// copyBackups copies one after the other. What is wrong with one backup keeps
// no other from its copy; a store that does not answer ends it.
func copyBackups(c *cli.Context, catalog *snapshot.Catalog, backups []*snapshot.Backup, to storage.Store) error {
	w := c.App.Writer
	var failed []error
	for _, b := range backups {
		catalog.Progress = newProgress(c, "copy")
		copied, err := catalog.Copy(c.Context, b, to)
		switch {
		case err != nil && (errors.Is(err, storage.ErrUnavailable) || c.Err() != nil):
			return errors.Join(append(failed, err)...)
		case err != nil:
			fmt.Fprintf(w, "  %s  %s\n", paint(w, red, "FAIL"), b.ID)
			failed = append(failed, err)
		case copied.Damaged != nil:
			fmt.Fprintf(w, "  %s  %s  %s, but without records that are damaged\n", paint(w, yellow, "part"), b.ID,
				map[bool]string{true: "copied", false: "was there"}[copied.Data])
			failed = append(failed, copied.Damaged)
		case copied.Data:
			fmt.Fprintf(w, "  %s  %s  %s copied and read back\n", paint(w, green, "ok  "), b.ID, size(b.Stored.Size))
		case copied.Added > 0:
			fmt.Fprintf(w, "  %s  %s  was there, %d reports and holds added\n", paint(w, green, "ok  "), b.ID, copied.Added)
		default:
			fmt.Fprintf(w, "  %s  %s  was there\n", paint(w, faint, "same"), b.ID)
		}
	}
	return errors.Join(failed...)
}
