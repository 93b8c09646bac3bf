package command

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/probe"
)

func storageCommand() *cli.Command {
	return &cli.Command{
		Name:        "storage",
		Usage:       "look at the place where backups lie",
		Action:      group,
		Subcommands: []*cli.Command{storageCheckCommand()},
	}
}

func storageCheckCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "prove against the real store what backups will ask of it",
		ArgsUsage: "[URL]",
		Description: `Writes objects below storage-check/ and removes them again. What was asked for,
such as encryption or a lock, and is missing, is a failure.`,
		Flags:  slices.Concat([]cli.Flag{writeOutFlag()}, storeFlags()),
		Action: checkStorage,
	}
}

func checkStorage(c *cli.Context) error {
	if err := checkWriteOut(c); err != nil {
		return err
	}
	url, err := storeToCheck(c)
	if err != nil {
		return err
	}
	store, err := openStore(c, url, true)
	if err != nil {
		return err
	}
	w := c.App.Writer
	if people(c) {
		fmt.Fprintln(w, store)
	}
	var checks snapshot.Checks
	err = probe.Run(c.Context, store, probe.Options{Now: now, Random: random, Found: func(f storage.Finding) {
		check := asCheck(f)
		checks = append(checks, check)
		if people(c) {
			printCheck(w, check)
		}
	}})
	if _, jsonErr := asJSON(c, verifyOutput{Snapshot: store.String(), Passed: err == nil && checks.Err() == nil, Checks: checks}); jsonErr != nil {
		return jsonErr
	}
	if checks.Err() != nil {
		return fail.WithHint(fail.Verificationf("the store does not do what is asked of it"), "docs/storage.md says what a store has to do, and which right each of it needs")
	}
	if err != nil {
		return fmt.Errorf("check store: %w", err)
	}
	if people(c) {
		printNext(w, "etcdha snapshot save --store %s%s", quote(urlToType(c, url)), flagsToType(c, "cluster"))
	}
	return nil
}

// storeToCheck is the argument, or else the store of the flags.
func storeToCheck(c *cli.Context) (string, error) {
	if c.NArg() == 1 && !empty(c.Args().First()) && len(given(c, "store")) == 0 {
		return c.Args().First(), nil
	}
	if c.NArg() == 0 && len(c.StringSlice("store")) > 0 {
		return oneStore(c)
	}
	return "", fail.WithHint(fail.Usagef("storage check takes one store"), "etcdha storage check s3://bucket/prefix")
}

func asCheck(f storage.Finding) snapshot.Check {
	check := snapshot.Check{Name: f.Name, Verdict: snapshot.Match, Detail: f.Detail, Seconds: f.Took.Seconds()}
	switch {
	case f.Err != nil && f.Asked:
		check.Verdict, check.Detail = snapshot.Mismatch, f.Err.Error()
	case f.Err != nil:
		check.Verdict, check.Detail = snapshot.NotAsked, f.Err.Error()
	}
	return check
}
