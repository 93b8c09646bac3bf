package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// Names below a backup's own prefix; see docs/store-format.md.
const (
	dataStem      = "db" // and what the sealing adds
	manifestName  = "manifest.json"
	signatureName = "manifest.sig"
	reportsDir    = "reports"
	holdsDir      = "holds"
	snapshotsDir  = "snapshots"
)

func dataName(f seal.Format) string { return dataStem + f.Suffix() }

// maxSmallObject bounds what is read of a record or a signature.
const maxSmallObject = 4 << 20

// parallelReads of small objects hide the round trips of a remote store.
const parallelReads = 8

// Catalog is the backups of one named cluster in a store.
type Catalog struct {
	Store   storage.Store
	Cluster string // the user's name for it
	Lineage string // "" for all lives of the cluster

	// VerifyKeys are those that a manifest may be signed with. With none,
	// signatures are not looked at.
	VerifyKeys []ed25519.PublicKey

	// Identities open what is encrypted. Without one, stored bytes can still be
	// listed, compared with the manifest, and copied.
	Identities *seal.Identities

	// MayAct is asked right before a manifest is put, by a save or a copy out of this
	// catalog: its error keeps the backup from being made. It may be nil.
	MayAct func() error

	// Now tells what is dated in the future; nil: nothing is.
	Now func() time.Time

	// Progress is told how much of a snapshot a Fetch has got, in plain bytes,
	// or a Copy, in stored bytes. It may be nil.
	Progress func(done, total int64)
}

// Backup is a committed backup: its manifest is there.
type Backup struct {
	*Manifest
	prefix  string
	reports []string // keys, oldest first
	holds   []string // keys of holds and releases
}

// Problem is an entry of a store that cannot be read.
type Problem struct {
	ID      string
	Lineage string
	Err     error
}

func backupPrefix(cluster, lineage, id string) string {
	return path.Join(cluster, lineage, snapshotsDir, id)
}

// entry is what lies under one id, committed or not.
type entry struct {
	prefix  string
	objects []storage.Object
}

func (e *entry) id() string { return path.Base(e.prefix) }

func (e *entry) lineage() string { return path.Base(path.Dir(path.Dir(e.prefix))) }

func (e *entry) committed() bool {
	return slices.ContainsFunc(e.objects, func(o storage.Object) bool { return o.Key == path.Join(e.prefix, manifestName) })
}

// below returns the keys in a directory of the entry, in order.
func (e *entry) below(dir string) []string {
	var keys []string
	for _, o := range e.objects {
		if path.Dir(o.Key) == path.Join(e.prefix, dir) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// entries returns what lies under the ids that begin with prefix, in the order
// of their keys.
func (c *Catalog) entries(ctx context.Context, prefix string) ([]*entry, error) {
	var all []*entry
	for object, err := range c.Store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", c.Store, err)
		}
		parts := strings.Split(object.Key, "/")
		if len(parts) < 5 || parts[2] != snapshotsDir {
			continue
		}
		dir := path.Join(parts[:4]...)
		if len(all) == 0 || all[len(all)-1].prefix != dir {
			all = append(all, &entry{prefix: dir})
		}
		last := all[len(all)-1]
		last.objects = append(last.objects, object)
	}
	return all, nil
}

// prefix is where the backups of the catalog lie.
func (c *Catalog) prefix() string { return path.Join(c.Cluster, c.Lineage) + "/" }

// List returns the committed backups, oldest first, and the entries that it
// could not make out.
func (c *Catalog) List(ctx context.Context) ([]*Backup, []Problem, error) {
	all, err := c.entries(ctx, c.prefix())
	if err != nil {
		return nil, nil, err
	}
	return c.backups(ctx, all)
}

// backups reads the manifests of the committed entries.
func (c *Catalog) backups(ctx context.Context, all []*entry) ([]*Backup, []Problem, error) {
	var backups []*Backup
	for _, e := range all {
		if e.committed() {
			backups = append(backups, &Backup{prefix: e.prefix, reports: e.below(reportsDir), holds: e.below(holdsDir)})
		}
	}
	problems, err := c.readManifests(ctx, backups)
	backups = slices.DeleteFunc(backups, func(b *Backup) bool { return b.Manifest == nil })
	slices.SortFunc(backups, byStart)
	return backups, problems, err
}

func byStart(a, b *Backup) int {
	return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.prefix, b.prefix))
}

// Clusters returns the names of the clusters that the store has backups of.
func (c *Catalog) Clusters(ctx context.Context) ([]string, error) {
	all, err := c.entries(ctx, "")
	var names []string
	for _, e := range all {
		if name, _, _ := strings.Cut(e.prefix, "/"); e.committed() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}

func (c *Catalog) readManifests(ctx context.Context, backups []*Backup) ([]Problem, error) {
	problems := make([]Problem, len(backups))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, b := range backups {
		group.Go(func() error {
			m, _, err := c.readManifest(ctx, b.prefix)
			switch {
			case err == nil:
				b.Manifest = m
			case ctx.Err() != nil:
				return err
			default:
				e := entry{prefix: b.prefix}
				problems[i] = Problem{ID: e.id(), Lineage: e.lineage(), Err: err}
			}
			return nil
		})
	}
	err := group.Wait()
	problems = slices.DeleteFunc(problems, func(p Problem) bool { return p.Err == nil })
	if err == nil && len(problems) == len(backups) {
		err = unavailable(problems)
	}
	if err != nil {
		return nil, err
	}
	return problems, nil
}

// unavailable is the error of a store that lists and gives nothing out. One
// object alone that cannot be had, for want of a right or a sound disk, must
// not take the others away.
func unavailable(problems []Problem) error {
	for _, p := range problems {
		if errors.Is(p.Err, storage.ErrUnavailable) {
			return p.Err
		}
	}
	return nil
}

// readManifest returns a manifest, and its bytes as they are stored.
func (c *Catalog) readManifest(ctx context.Context, prefix string) (*Manifest, []byte, error) {
	data, err := c.readSmall(ctx, path.Join(prefix, manifestName))
	if err != nil {
		return nil, nil, err
	}
	m, err := parseManifest(data, path.Base(prefix))
	if err != nil {
		return nil, nil, err
	}
	if backupPrefix(m.Cluster.Name, m.Cluster.Lineage, m.ID) != prefix {
		return nil, nil, fail.Verificationf("manifest of %s/%s lies under %s", m.Cluster.Name, m.Cluster.Lineage, prefix)
	}
	if len(c.VerifyKeys) == 0 {
		return m, data, nil
	}
	signature, err := c.readSmall(ctx, path.Join(prefix, signatureName))
	if errors.Is(err, storage.ErrNotExist) {
		return nil, nil, fail.As(fail.ErrVerification, errUnsigned)
	}
	if err != nil {
		return nil, nil, err
	}
	return m, data, checkSignature(c.VerifyKeys, data, signature)
}

func (c *Catalog) readSmall(ctx context.Context, key string) ([]byte, error) {
	r, err := c.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxSmallObject+1))
	if err == nil && len(data) > maxSmallObject {
		err = fail.Verificationf("%s is too large", key)
	}
	return data, err
}

// putRecord reads what it has put: who relies on a hold must not rely on a store
// that only says that it has it.
func (c *Catalog) putRecord(ctx context.Context, key string, v any) error {
	data, err := encodeRecord(v)
	if err != nil {
		return err
	}
	if err := c.Store.Put(ctx, key, bytes.NewReader(data)); err != nil {
		return err
	}
	return c.holdsSame(ctx, key, data)
}
