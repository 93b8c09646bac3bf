package command

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
	"github.com/etcdha/etcdha/snapshot"
)

const (
	defaultName    = "default"
	defaultPeerURL = "http://localhost:2380"
)

func restoreFlags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "data-dir", Usage: "`DIR` of the new member: new, empty, or holding only lost+found (default: NAME.etcd)"},
		&cli.StringFlag{Name: "wal-dir", Usage: "`DIR` of its WAL (default: in --data-dir)"},
		&cli.StringFlag{Name: "name", Value: defaultName, Usage: "`NAME` of the new member"},
		&cli.StringFlag{Name: "initial-cluster", Value: defaultName + "=" + defaultPeerURL, Usage: "all new members, `NAME=PEER-URL,...`"},
		&cli.StringFlag{Name: "initial-cluster-token", Usage: "`TOKEN` of the new cluster (default: a fresh one)"},
		&cli.StringFlag{Name: "initial-advertise-peer-urls", Value: defaultPeerURL, Usage: "peer `URL`s of the new member"},
		&cli.StringFlag{Name: "restore-id", Usage: "any `WORD`: members restored from one backup with the same one get the same token"},
		&cli.BoolFlag{Name: "skip-hash-check", Usage: "accept a db without digest, as copied from a data directory"},
		&cli.Uint64Flag{Name: "bump-revision", Usage: "`N` to add to the revision, so that it does not go back"},
		&cli.BoolFlag{Name: "mark-compacted", Usage: "mark everything before the bump as compacted"},
		&cli.BoolFlag{Name: "kubernetes", Usage: "bump and mark as Kubernetes needs it, and make sure that no kube-apiserver runs"},
		&cli.StringFlag{Name: "apiserver", Usage: "`URL` of a kube-apiserver that must not answer, with --kubernetes"},
		&cli.BoolFlag{Name: "apiserver-stopped", Usage: "go on although a kube-apiserver seems to run"},
		&cli.StringFlag{Name: "owner", Usage: "`USER[:GROUP]` of the result (default: the owner of --data-dir)"},
	}, storeFlags(), connectionFlags())
}

func restoreCommand() *cli.Command {
	return &cli.Command{
		Name:        "restore",
		Usage:       "build the data directory of a new member from a snapshot",
		ArgsUsage:   "FILE|ID",
		Flags:       restoreFlags(),
		Subcommands: []*cli.Command{rehearseCommand()},
		Action:      runRestore,
	}
}

// etcdctlRestoreCommand is where etcdctl had it.
func etcdctlRestoreCommand() *cli.Command {
	return &cli.Command{
		Name: "restore", Hidden: true, Usage: "the same as etcdha restore", ArgsUsage: "FILE|ID",
		Flags: restoreFlags(), Action: runRestore,
	}
}

func runRestore(c *cli.Context) error {
	arg, err := oneArg(c, "FILE|ID")
	if err != nil {
		return err
	}
	log := newLog(c)
	o, err := restoreOptions(c, log)
	if err != nil {
		return err
	}
	src, err := openSource(c, arg, log)
	if err != nil {
		return err
	}
	in, err := src.input(newProgress(c, "restore"))
	if err != nil {
		return err
	}
	if o.Token == "" {
		digest := ""
		if c.IsSet("restore-id") {
			if digest, err = src.digest(); err != nil {
				return err
			}
		}
		if o.Token, err = restore.NewToken(digest, c.String("restore-id"), random); err != nil {
			return err
		}
	}
	result, err := restore.Restore(c.Context, in, o)
	if err != nil {
		return fmt.Errorf("restore %s: %w", src.name, err)
	}
	return printRestored(c, src, o, result)
}

func restoreOptions(c *cli.Context, log *slog.Logger) (restore.Options, error) {
	o := restore.Options{
		Name: c.String("name"), DataDir: c.String("data-dir"), WALDir: c.String("wal-dir"),
		InitialCluster: c.String("initial-cluster"), Token: c.String("initial-cluster-token"),
		PeerURLs:      strings.Split(c.String("initial-advertise-peer-urls"), ","),
		SkipHashCheck: c.Bool("skip-hash-check"),
		BumpRevision:  c.Uint64("bump-revision"), MarkCompacted: c.Bool("mark-compacted"),
	}
	if o.Token != "" && c.IsSet("restore-id") {
		return o, fail.Usagef("--initial-cluster-token and --restore-id are two ways to choose the token: give one")
	}
	if owner := c.String("owner"); owner != "" {
		var err error
		if o.Owner, err = restore.ParseOwner(owner); err != nil {
			return o, err
		}
	}
	if !c.Bool("kubernetes") {
		if c.IsSet("apiserver") || c.IsSet("apiserver-stopped") {
			return o, fail.Usagef("--apiserver and --apiserver-stopped go with --kubernetes")
		}
		return o, nil
	}
	if o.BumpRevision == 0 {
		o.BumpRevision = restore.KubernetesBump
	}
	o.MarkCompacted = true
	if c.Bool("apiserver-stopped") {
		return o, nil
	}
	return o, restore.CheckNoAPIServer(c.Context, c.String("apiserver"))
}

// digest identifies the content of the source, for the restore id.
func (s *source) digest() (string, error) {
	if s.backup != nil {
		return s.backup.DB.SHA256, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	return restore.Digest(f, fi.Size())
}

func printRestored(c *cli.Context, src *source, o restore.Options, r *restore.Result) error {
	w := c.App.Writer
	dir := o.DataDir
	if dir == "" {
		dir = o.Name + ".etcd"
	}
	fmt.Fprintf(w, "Restored %s into %s\n\n", src.name, dir)
	fmt.Fprintf(w, "  member     %s %x of cluster %x\n", o.Name, r.MemberID, r.ClusterID)
	fmt.Fprintf(w, "  content    revision %d, %d keys, HashKV %08x, verified as it was written\n", r.Report.Revision, r.Report.TotalKeys, r.Report.HashKV)
	if src.backup != nil && src.backup.Kind == snapshot.KindEmergency {
		fmt.Fprintf(w, "  %s\n", paint(w, yellow, "EMERGENCY  this is what one survivor had; others may have had more"))
	}
	if o.BumpRevision > 0 {
		fmt.Fprintf(w, "  bumped     to revision %d, all before it marked as compacted\n", r.Revision)
	}
	fmt.Fprintf(w, "  token      %s\n", o.Token)
	for _, a := range r.Report.Alarms {
		fmt.Fprintf(w, "  %s\n", paint(w, yellow, fmt.Sprintf("alarm      %s came along and blocks writes; once the cluster runs: etcdctl alarm disarm", a.Type)))
	}
	flags, err := restore.StartFlags(o)
	if err != nil {
		return err
	}
	fmt.Fprint(w, "\nStart the members with these flags, and certificates, client URLs and the rest as before:\n")
	for _, member := range flags {
		fmt.Fprintf(w, "\n  etcd")
		for _, flag := range member {
			fmt.Fprintf(w, " \\\n    %s", quote(flag))
		}
		fmt.Fprintln(w)
	}
	if len(flags) > 1 {
		printNext(w, "the same restore on the other hosts, with their --name and --initial-advertise-peer-urls, and --initial-cluster-token=%s", o.Token)
	}
	return nil
}
