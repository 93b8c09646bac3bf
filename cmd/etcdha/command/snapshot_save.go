package command

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

func saveCommand() *cli.Command {
	return &cli.Command{
		Name:      "save",
		Usage:     "stream a snapshot from a member, prove it, and keep it",
		ArgsUsage: "[FILE]",
		Description: `FILE gets byte for byte what etcdctl would write, replaced atomically once it is
proven. --store keeps a backup in a catalog: compressed, with a manifest, and
encrypted if --encrypt-to says to whom. Several stores and a FILE get the same
snapshot from one stream, and one that fails harms no other.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "no-clobber", Usage: "refuse to replace FILE"},
			&cli.StringFlag{Name: "live-hash", Value: string(snapshot.LiveAuto), Usage: "compare with the live member: on, off, or auto, where a store gets it and it takes under a second"},
			&cli.BoolFlag{Name: "emergency", Usage: "save what one survivor has, without a leader; marked, and never \"latest\""},
			spoolFlag(),
			&cli.StringFlag{Name: "write-out", Aliases: []string{"w"}, Hidden: true}, // etcdctl has it here, to no effect
		}, sealFlags(), storeFlagsFor("`URL` or directory that gets a backup; may be repeated"), connectionFlags()),
		Action: save,
	}
}

func sealFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "encrypt-to", Usage: "`RECIPIENT` that can open the backup: age1..., ssh-ed25519 ... or ssh-rsa ...; may be repeated", EnvVars: []string{"ETCDHA_ENCRYPT_TO"}, Category: categorySeal},
		&cli.StringSliceFlag{Name: "recipients-file", Usage: "`FILE` of such recipients, one a line; may be repeated", EnvVars: []string{"ETCDHA_RECIPIENTS_FILE"}, Category: categorySeal},
		&cli.StringFlag{Name: "sign-key", Usage: "`FILE` with an Ed25519 private key (PEM) that signs the manifest", EnvVars: []string{"ETCDHA_SIGN_KEY"}, Category: categorySeal},
		&cli.StringFlag{Name: "compress", Value: string(seal.Zstd), Usage: "zstd or none", EnvVars: []string{"ETCDHA_COMPRESS"}, Category: categorySeal},
		&cli.IntFlag{Name: "compress-level", Value: 1, Usage: "zstd's `LEVEL`, 1 to 22: more takes longer and gains little", EnvVars: []string{"ETCDHA_COMPRESS_LEVEL"}, Category: categorySeal},
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
	if err := checkSave(c, &o); err != nil {
		return err
	}
	urls, lost, err := openStores(c, &o)
	if err != nil {
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
	if saved != nil {
		printSaved(c, o, saved, urls)
	}
	return errors.Join(err, lost)
}

func checkSave(c *cli.Context, o *snapshot.SaveOptions) error {
	switch o.LiveHash {
	case snapshot.LiveAuto, snapshot.LiveOn, snapshot.LiveOff:
	default:
		return fail.Usagef("--live-hash %q: auto, on or off", o.LiveHash)
	}
	if c.NArg() > 1 {
		return fail.Usagef("snapshot save takes one FILE, not %d", c.NArg())
	}
	o.File = c.Args().First()
	o.Seal.Compression, o.Seal.Level = seal.Compression(c.String("compress")), c.Int("compress-level")
	protect := sealing
	if len(c.StringSlice("store")) == 0 {
		protect = plainFile
	}
	if err := protect(c, o); err != nil {
		return err
	}
	return fail.As(fail.ErrUsage, o.Seal.Check())
}

// plainFile refuses protection that a FILE does not have. The environment asks
// for it in general, and is for stores.
func plainFile(c *cli.Context, o *snapshot.SaveOptions) error {
	asked := false
	for _, name := range []string{"encrypt-to", "recipients-file", "sign-key"} {
		if len(given(c, name)) > 0 {
			return fail.WithHint(fail.Usagef("--%s: a FILE is neither encrypted nor signed", name), "--store keeps a backup that is")
		}
		asked = asked || c.IsSet(name)
	}
	if asked && o.File != "" {
		o.Log.Info("the file is plain, as etcdctl's: encryption and signatures of the environment are for stores", "file", o.File)
	}
	return nil
}

// openStores opens the stores, and returns the URLs of those that will get the
// backup. One that is lost keeps it from no other, and is an error in the end.
func openStores(c *cli.Context, o *snapshot.SaveOptions) (urls []string, lost, err error) {
	wanted := c.StringSlice("store")
	if len(wanted) == 0 { // a FILE needs no keys
		return nil, nil, nil
	}
	keys, err := newCatalog(c)
	if err != nil {
		return nil, nil, err
	}
	if keys.Lineage != "" {
		return nil, nil, fail.WithHint(fail.Usagef("--cluster %q: the life of a cluster that is saved is found out, not chosen", c.String("cluster")), "give the name alone")
	}
	for _, url := range wanted {
		catalog := *keys
		catalog.Store, err = openStore(c, url, true)
		if errors.Is(err, storage.ErrUnavailable) {
			lost = errors.Join(lost, err)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(o.Catalogs, func(other *snapshot.Catalog) bool { return other.Store.String() == catalog.Store.String() }) {
			return nil, nil, fail.Usagef("--store %s is given twice", catalog.Store)
		}
		o.Catalogs, urls = append(o.Catalogs, &catalog), append(urls, url)
		if o.Seal.Recipients == nil {
			warnUnencrypted(o.Log, url, catalog.Store)
		}
	}
	if len(urls) == 0 && o.File == "" && lost != nil {
		return nil, nil, lost
	}
	return urls, lost, nil
}

// warnUnencrypted says of a bucket what everybody knows of a directory.
func warnUnencrypted(log *slog.Logger, url string, store storage.Store) {
	if isS3(url) {
		log.Warn("stored unencrypted: whoever can read the bucket has every Secret of the cluster; save with --encrypt-to closes that", "store", store.String())
	}
}

// sealing reads who can open what is stored, and who says that it is theirs.
func sealing(c *cli.Context, o *snapshot.SaveOptions) error {
	recipients := new(seal.Recipients)
	for _, s := range c.StringSlice("encrypt-to") {
		if err := recipients.Add(s); err != nil {
			return fail.As(fail.ErrUsage, fmt.Errorf("--encrypt-to: %w", err))
		}
	}
	for _, name := range c.StringSlice("recipients-file") {
		if err := recipients.AddFile(name); err != nil {
			return fail.As(fail.ErrUsage, fmt.Errorf("--recipients-file: %w", err))
		}
	}
	// A file that turns out empty must not mean plain.
	asked := c.IsSet("encrypt-to") || c.IsSet("recipients-file")
	if asked && recipients.Len() == 0 {
		return fail.Usagef("encryption was asked for, and no recipient is given")
	}
	if asked {
		o.Seal.Recipients = recipients
	}
	if name := c.String("sign-key"); name != "" {
		var err error
		if o.SignKey, err = snapshot.ReadSignKey(name); err != nil {
			return err
		}
	}
	return nil
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

func printSaved(c *cli.Context, o snapshot.SaveOptions, s *snapshot.Saved, urls []string) {
	w := c.App.Writer
	if s.File {
		fmt.Fprintf(w, "Snapshot saved at %s\n", o.File) // etcdctl's words
	}
	kept, checks := -1, s.Checks
	for i, stored := range s.Stores {
		if stored.Err != nil {
			fmt.Fprintf(w, "%s in %s\n", paint(w, red, "NO BACKUP"), stored.Catalog.Store)
			continue
		}
		fmt.Fprintf(w, "Backup %s in %s\n", stored.Backup.ID, stored.Catalog.Store)
		if len(s.Stores) > 1 {
			stored.Check.Detail += ", in " + stored.Catalog.Store.String()
		}
		checks = append(snapshot.Checks{stored.Check}, checks...)
		if kept < 0 {
			kept = i
		}
	}
	if o.Emergency {
		fmt.Fprintln(w, paint(w, yellow, "EMERGENCY: it is what one member has, and may lack what others had. A backup of it is never \"latest\""))
	}
	fmt.Fprintf(w, "Server version %s\n", o.Member.Status.Version)
	fmt.Fprintf(w, "\n  %s from %s, a %s: revision %d, %d keys\n", size(s.Size), o.Member, role(o.Member), s.Report.Revision, s.Report.TotalKeys)
	printChecks(w, checks)
	if kept < 0 {
		printNext(w, "etcdha restore rehearse %s", quote(o.File))
		return
	}
	b := s.Stores[kept].Backup
	identity := ""
	if b.Encryption != nil && len(c.StringSlice("identity")) == 0 {
		identity = " --identity FILE"
	}
	printNext(w, "etcdha restore rehearse %s%s%s", b.ID, argsForStore(c, urls[kept]), identity)
}
