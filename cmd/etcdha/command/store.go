package command

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
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

// storeFlags choose a store, and how to read what is in it.
func storeFlags() []cli.Flag { return storeFlagsFor("`URL` or directory of the backups") }

// storeFlagsFor says what a command does with its store. --store can be repeated
// for each, so that a second one is heard of where one is meant; see [oneStore].
func storeFlagsFor(usage string) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringSliceFlag{Name: "store", Usage: usage, EnvVars: []string{"ETCDHA_STORE"}, Category: categoryStore},
		&cli.StringFlag{Name: "cluster", Value: "default", Usage: "your `NAME` for the cluster, or NAME/LINEAGE for one life of it", EnvVars: []string{"ETCDHA_CLUSTER"}, Category: categoryStore},
		&cli.StringSliceFlag{Name: "identity", Usage: "`FILE` with a private key, of age or ssh, that opens encrypted backups; may be repeated", EnvVars: []string{"ETCDHA_IDENTITY"}, Category: categoryStore},
		&cli.StringSliceFlag{Name: "verify-key", Usage: "`FILE` with an Ed25519 public key (PEM); a backup that none of the keys has signed is an error; may be repeated", EnvVars: []string{"ETCDHA_VERIFY_KEY"}, Category: categoryStore},
	}, s3Flags()...)
}

func spoolFlag() cli.Flag {
	return &cli.StringFlag{Name: "spool-dir", Usage: "`DIR` for temporary files as large as the db (default: the temporary directory)", EnvVars: []string{"ETCDHA_SPOOL_DIR"}}
}

func writeOutFlag() cli.Flag {
	return &cli.StringFlag{Name: "write-out", Aliases: []string{"w"}, Value: "simple", Usage: "`FORM` of the output: simple, table, json, yaml", EnvVars: env("write-out")}
}

// oneStore returns the only store of the flags.
func oneStore(c *cli.Context) (string, error) {
	switch urls := c.StringSlice("store"); len(urls) {
	case 0:
		return "", fail.WithHint(fail.Usagef("no store given"), "give --store, or set ETCDHA_STORE")
	case 1:
		return urls[0], nil
	default:
		return "", fail.Usagef("--store is given %d times, and %s takes one", len(urls), c.Command.HelpName)
	}
}

// openCatalog opens the store of the flags for reading.
func openCatalog(c *cli.Context) (*snapshot.Catalog, error) {
	rawURL, err := oneStore(c)
	if err != nil {
		return nil, err
	}
	catalog, err := newCatalog(c)
	if err != nil {
		return nil, err
	}
	catalog.Store, err = openStore(c, rawURL, false)
	return catalog, err
}

// newCatalog is what the flags say of a catalog, but for its store.
func newCatalog(c *cli.Context) (*snapshot.Catalog, error) {
	cluster, lineage, _ := strings.Cut(c.String("cluster"), "/")
	if storage.CheckElement(cluster) != nil || lineage != "" && storage.CheckElement(lineage) != nil {
		return nil, fail.Usagef("--cluster %q: letters, digits, dots, dashes and underscores only", c.String("cluster"))
	}
	catalog := &snapshot.Catalog{Cluster: cluster, Lineage: lineage, Now: now}
	for _, name := range c.StringSlice("verify-key") {
		key, err := snapshot.ReadVerifyKey(name)
		if err != nil {
			return nil, err
		}
		catalog.VerifyKeys = append(catalog.VerifyKeys, key)
	}
	var err error
	catalog.Identities, err = identities(c)
	return catalog, err
}

// openStore opens one store. create allows a first backup.
func openStore(c *cli.Context, rawURL string, create bool) (storage.Store, error) {
	store, err := stores.Open(c.Context, withS3Flags(c, rawURL), create)
	if err != nil {
		return nil, fail.WithHint(fmt.Errorf("open store: %w", err), "a store is a directory that exists, or a URL such as file:///var/backups/etcd or s3://bucket/prefix")
	}
	return store, nil
}

// identities reads the private keys of the flags; nil if there are none.
func identities(c *cli.Context) (*seal.Identities, error) {
	names := c.StringSlice("identity")
	if len(names) == 0 {
		return nil, nil
	}
	ask := func(prompt string) ([]byte, error) {
		passphrase, err := askSecret(c.Context, prompt)
		return passphrase, fail.WithHint(err, "give an identity without a passphrase, in a file of mode 0600")
	}
	ids := new(seal.Identities)
	for _, name := range names {
		if err := ids.AddFile(name, ask); err != nil {
			return nil, fail.As(fail.ErrUsage, fmt.Errorf("--identity: %w", err))
		}
	}
	return ids, nil
}
