package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/term"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/s3"
	"github.com/etcdha/etcdha/storage/seal"
)

// stores are the kinds of store that the command line knows.
var stores = storage.Openers{"file": file.Open, "s3": s3.Opener{Now: now, Random: random}.Open}

// Categories of flags in the help.
const (
	categoryStore = "Store"
	categoryS3    = "S3 (each also as a parameter of the URL: s3://bucket/prefix?region=...)"
	categorySeal  = "Sealing"
)

// storeFlags choose one store, and how to read what is in it.
func storeFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "store", Usage: "`URL` or directory of the backups", EnvVars: []string{"ETCDHA_STORE"}, Category: categoryStore},
	}, append(catalogFlags(), s3Flags()...)...)
}

func catalogFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cluster", Value: "default", Usage: "your `NAME` for the cluster, or NAME/LINEAGE for one life of it", EnvVars: []string{"ETCDHA_CLUSTER"}, Category: categoryStore},
		&cli.StringSliceFlag{Name: "identity", Usage: "`FILE` with a private key, of age or ssh, that opens encrypted backups; may be repeated", EnvVars: []string{"ETCDHA_IDENTITY"}, Category: categoryStore},
		&cli.StringSliceFlag{Name: "verify-key", Usage: "`FILE` with an Ed25519 public key (PEM); a backup that none of the keys has signed is an error; may be repeated", EnvVars: []string{"ETCDHA_VERIFY_KEY"}, Category: categoryStore},
	}
}

// s3Flags are the parameters of an S3 URL for those that do not say it themselves.
func s3Flags() []cli.Flag {
	var flags []cli.Flag
	for _, p := range s3.Params {
		variables := []string{"ETCDHA_S3_" + strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))}
		if p.Bool {
			flags = append(flags, &cli.BoolFlag{Name: "s3-" + p.Name, Usage: p.Usage, EnvVars: variables, Category: categoryS3})
		} else {
			flags = append(flags, &cli.StringFlag{Name: "s3-" + p.Name, Usage: p.Usage, EnvVars: variables, Category: categoryS3})
		}
	}
	return append(flags, &cli.StringFlag{Name: "rate-limit", Usage: "`BYTES` a second for uploads, such as 20MiB (the same as --s3-rate-limit)", EnvVars: []string{"ETCDHA_RATE_LIMIT"}, Category: categoryS3})
}

func spoolFlag() cli.Flag {
	return &cli.StringFlag{Name: "spool-dir", Usage: "`DIR` for temporary files as large as the db (default: the temporary directory)", EnvVars: []string{"ETCDHA_SPOOL_DIR"}}
}

func writeOutFlag() cli.Flag {
	return &cli.StringFlag{Name: "write-out", Aliases: []string{"w"}, Value: "simple", Usage: "`FORM` of the output: simple, table, json, yaml", EnvVars: env("write-out")}
}

// openCatalog opens the store of the flags for reading.
func openCatalog(c *cli.Context) (*snapshot.Catalog, error) {
	rawURL := c.String("store")
	if rawURL == "" {
		return nil, fail.WithHint(fail.Usagef("no store given"), "give --store, or set ETCDHA_STORE")
	}
	return openCatalogAt(c, rawURL, false)
}

// openCatalogAt opens one store. create allows a first backup.
func openCatalogAt(c *cli.Context, rawURL string, create bool) (*snapshot.Catalog, error) {
	cluster, lineage, _ := strings.Cut(c.String("cluster"), "/")
	if storage.CheckElement(cluster) != nil || lineage != "" && storage.CheckElement(lineage) != nil {
		return nil, fail.Usagef("--cluster %q: letters, digits, dots, dashes and underscores only", c.String("cluster"))
	}
	catalog := &snapshot.Catalog{Cluster: cluster, Lineage: lineage}
	var err error
	for _, name := range c.StringSlice("verify-key") {
		key, err := snapshot.ReadVerifyKey(name)
		if err != nil {
			return nil, err
		}
		catalog.VerifyKeys = append(catalog.VerifyKeys, key)
	}
	if catalog.Identities, err = identities(c); err != nil {
		return nil, err
	}
	catalog.Store, err = openStore(c, rawURL, create)
	return catalog, err
}

func openStore(c *cli.Context, rawURL string, create bool) (storage.Store, error) {
	store, err := stores.Open(c.Context, withS3Flags(c, rawURL), create)
	if err != nil {
		return nil, fail.WithHint(fmt.Errorf("open store: %w", err), "a store is a directory that exists, or a URL such as file:///var/backups/etcd or s3://bucket/prefix")
	}
	return store, nil
}

// withS3Flags adds the S3 flags to the URL of an S3 store, as far as it does
// not say the same thing itself.
func withS3Flags(c *cli.Context, rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "s3" {
		return rawURL
	}
	query := u.Query()
	add := func(name, value string) {
		if value != "" && !query.Has(name) {
			query.Set(name, value)
		}
	}
	for _, p := range s3.Params {
		if p.Bool && c.Bool("s3-"+p.Name) {
			add(p.Name, "true")
		} else if !p.Bool {
			add(p.Name, c.String("s3-"+p.Name))
		}
	}
	add("rate-limit", c.String("rate-limit"))
	u.RawQuery = query.Encode()
	return u.String()
}

// identities reads the private keys of the flags; nil if there are none.
func identities(c *cli.Context) (*seal.Identities, error) {
	names := c.StringSlice("identity")
	if len(names) == 0 {
		return nil, nil
	}
	ids := new(seal.Identities)
	for _, name := range names {
		if err := ids.AddFile(name, askPassphrase); err != nil {
			return nil, fail.As(fail.ErrUsage, fmt.Errorf("--identity: %w", err))
		}
	}
	return ids, nil
}

// askPassphrase asks the terminal, whatever stdin is.
func askPassphrase(prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fail.WithHint(errors.New("it needs a passphrase, and there is no terminal to ask"), "give an identity without a passphrase, in a file of mode 0600")
	}
	defer tty.Close()
	fmt.Fprintf(io.Writer(tty), "%s ", prompt)
	passphrase, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(io.Writer(tty))
	return passphrase, err
}

// source is a snapshot that a command was given: a file, or a backup.
type source struct {
	name    string
	file    string
	catalog *snapshot.Catalog
	backup  *snapshot.Backup
}

// openSource finds out what arg means: an existing file first, else a backup
// in the store.
func openSource(c *cli.Context, arg string, log *slog.Logger) (*source, error) {
	fi, err := os.Stat(arg)
	switch {
	case err == nil && !fi.Mode().IsRegular():
		return nil, fail.Usagef("%s is not a file", arg)
	case err == nil:
		return &source{name: arg, file: arg}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case c.String("store") == "":
		return nil, fail.WithHint(fail.Usagef("no file %s", arg), "to mean a backup by its id, give --store or set ETCDHA_STORE")
	}
	catalog, err := openCatalog(c)
	if err != nil {
		return nil, err
	}
	catalog.Progress = newProgress(c, "fetch")
	b, err := catalog.Resolve(c.Context, arg, liveOf(c, log))
	if err != nil {
		return nil, err
	}
	return &source{name: b.ID, catalog: catalog, backup: b}, nil
}

// liveTimeout is short: the live cluster is asked only to choose between the
// lives of a cluster, and in a disaster it will not answer.
const liveTimeout = 2 * time.Second

// liveOf returns how to ask the live cluster of the flags for its status.
func liveOf(c *cli.Context, log *slog.Logger) func(context.Context) *pb.StatusResponse {
	return func(ctx context.Context) *pb.StatusResponse {
		config, err := connection(c, log)
		if err != nil {
			return nil
		}
		config.CommandTimeout = min(config.CommandTimeout, liveTimeout)
		cluster, err := snapshot.Connect(ctx, config, slog.New(slog.DiscardHandler))
		if err != nil {
			log.Info("the live cluster does not answer", "error", err)
			return nil
		}
		defer cluster.Close()
		return cluster.Members[0].Status
	}
}

// input is the source for a restore.
func (s *source) input(progress func(done, total int64)) (restore.Input, error) {
	if s.backup != nil {
		return restore.Input{
			Size:  s.backup.DB.Size + dbfile.DigestSize,
			Write: func(ctx context.Context, w io.Writer) error { return s.catalog.Fetch(ctx, s.backup, w) },
		}, nil
	}
	fi, err := os.Stat(s.file)
	if err != nil {
		return restore.Input{}, err
	}
	return restore.Input{Size: fi.Size(), Write: func(ctx context.Context, w io.Writer) error {
		f, err := os.Open(s.file)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, &progressReader{ctx: ctx, r: f, total: fi.Size(), progress: progress})
		return err
	}}, nil
}

// opened is a verified source with its plain bytes at hand. Close it.
type opened struct {
	*snapshot.Verification
	plain io.ReaderAt
	size  int64
	close func() error
}

// readable is nil if the content of a sound snapshot could be read: that of an
// encrypted backup cannot without an identity.
func (o *opened) readable() error {
	if o.Report != nil {
		return nil
	}
	if err := o.Checks.Err(); err != nil {
		return err
	}
	return fail.WithHint(errors.New("the backup is encrypted"), "--identity FILE names a private key that opens it")
}

// verify climbs the ladder and keeps the plain snapshot open.
func (s *source) verify(ctx context.Context, spoolDir string) (*opened, error) {
	if s.backup != nil {
		v, spool, err := s.catalog.VerifyBackup(ctx, s.backup, spoolDir, now)
		if err != nil || spool == nil {
			return &opened{Verification: v, close: func() error { return nil }}, err
		}
		return &opened{Verification: v, plain: spool, size: spool.Size(), close: spool.Close}, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	v, err := snapshot.Verify(ctx, f, fi.Size(), now)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &opened{Verification: v, plain: f, size: fi.Size(), close: f.Close}, nil
}
