package command

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

func saveCommand() *cli.Command {
	return &cli.Command{
		Name:      "save",
		Usage:     "stream a snapshot from a member, prove it, and keep it",
		ArgsUsage: "[FILE]",
		Description: `FILE gets byte for byte what etcdctl would write, replaced atomically once it is
proven. --store keeps a backup in a catalog: compressed, with a manifest.`,
		Flags: append(append([]cli.Flag{
			&cli.BoolFlag{Name: "no-clobber", Usage: "refuse to replace FILE"},
			&cli.StringFlag{Name: "live-hash", Value: string(snapshot.LiveAuto), Usage: "compare with the live member: on, off, or auto, where a store gets it and it takes under a second"},
			&cli.BoolFlag{Name: "emergency", Usage: "save what one survivor has, without a leader; marked, and never \"latest\""},
			spoolFlag(),
			&cli.StringFlag{Name: "write-out", Aliases: []string{"w"}, Hidden: true}, // etcdctl has it here, to no effect
		}, storeFlags()...), connectionFlags()...),
		Action: save,
	}
}

func save(c *cli.Context) error {
	o := snapshot.SaveOptions{
		NoClobber: c.Bool("no-clobber"),
		Emergency: c.Bool("emergency"),
		SpoolDir:  c.String("spool-dir"),
		LiveHash:  snapshot.LiveHash(c.String("live-hash")),
		Now:       now, Random: random, Log: newLog(c), Version: c.App.Version,
		Progress: newProgress(c, "snapshot"),
	}
	if err := saveTarget(c, &o); err != nil {
		return err
	}
	config, err := connection(c, o.Log)
	if err != nil {
		return err
	}
	cluster, err := snapshot.Connect(c.Context, config, o.Log)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if o.Member, err = cluster.Choose(c.Context, o.Emergency); err != nil {
		return err
	}
	o.Log.Info("streaming", "member", o.Member.String(), "role", role(o.Member), "size", size(o.Member.Status.DbSize))
	saved, err := snapshot.Save(c.Context, o)
	if err != nil {
		return err
	}
	printSaved(c, o, saved)
	return nil
}

func saveTarget(c *cli.Context, o *snapshot.SaveOptions) error {
	switch o.LiveHash {
	case snapshot.LiveAuto, snapshot.LiveOn, snapshot.LiveOff:
	default:
		return fail.Usagef("--live-hash %q: auto, on or off", o.LiveHash)
	}
	if c.NArg() > 1 {
		return fail.Usagef("snapshot save takes one FILE, not %d", c.NArg())
	}
	o.File = c.Args().First()
	if c.String("store") == "" {
		return nil
	}
	var err error
	o.Catalog, err = openCatalog(c, true)
	return err
}

func role(m *snapshot.Member) string {
	switch {
	case m.IsLeader():
		return "leader"
	case m.Status.Leader == 0:
		return "member without leader"
	}
	return "follower"
}

func printSaved(c *cli.Context, o snapshot.SaveOptions, s *snapshot.Saved) {
	w := c.App.Writer
	if o.File != "" {
		fmt.Fprintf(w, "Snapshot saved at %s\n", o.File) // etcdctl's words
	}
	if s.Backup != nil {
		fmt.Fprintf(w, "Backup %s in %s\n", s.Backup.ID, o.Catalog.Store)
	}
	if o.Emergency {
		fmt.Fprintln(w, paint(w, yellow, "EMERGENCY: it is what one member has, and may lack what others had. A backup of it is never \"latest\""))
	}
	fmt.Fprintf(w, "Server version %s\n", o.Member.Status.Version)
	fmt.Fprintf(w, "\n  %s from %s, a %s: revision %d, %d keys\n", size(s.Size), o.Member, role(o.Member), s.Report.Revision, s.Report.TotalKeys)
	printChecks(w, s.Checks)
	if s.Backup != nil {
		printNext(w, "etcdha restore rehearse %s%s", s.Backup.ID, storeArgs(c))
	} else {
		printNext(w, "etcdha restore rehearse %s", quote(o.File))
	}
}
