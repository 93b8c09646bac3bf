package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// Names below a backup's own prefix; see docs/store-format.md.
const (
	storedName   = "db.zst"
	manifestName = "manifest.json"
	reportsDir   = "reports"
	snapshotsDir = "snapshots"
)

// maxSmallObject bounds what is read of a manifest or report.
const maxSmallObject = 4 << 20

// parallelReads of small objects hide the round trips of a remote store.
const parallelReads = 8

// Catalog is the backups of one named cluster in a store.
type Catalog struct {
	Store   storage.Store
	Cluster string // the user's name for it
	Lineage string // "" for all lives of the cluster

	// Progress is told how much of a plain snapshot a Fetch has got, in bytes.
	// It may be nil.
	Progress func(done, total int64)
}

// Backup is a committed backup: its manifest is there.
type Backup struct {
	*Manifest
	prefix  string
	reports []string // keys, oldest first
}

// Problem is an entry of a store that cannot be read.
type Problem struct {
	ID  string
	Err error
}

func backupPrefix(cluster, lineage, id string) string {
	return path.Join(cluster, lineage, snapshotsDir, id)
}

// List returns the committed backups, oldest first, and the entries that it
// could not make out.
func (c *Catalog) List(ctx context.Context) ([]*Backup, []Problem, error) {
	prefix := c.Cluster + "/"
	if c.Lineage != "" {
		prefix += c.Lineage + "/"
	}
	committed := make(map[string]bool)
	reports := make(map[string][]string)
	for object, err := range c.Store.List(ctx, prefix) {
		if err != nil {
			return nil, nil, fmt.Errorf("list %s: %w", c.Store, err)
		}
		dir, name := path.Split(object.Key)
		dir = strings.TrimSuffix(dir, "/")
		if name == manifestName {
			committed[dir] = true
		} else if path.Base(dir) == reportsDir {
			reports[path.Dir(dir)] = append(reports[path.Dir(dir)], object.Key)
		}
	}
	var backups []*Backup
	for dir := range committed {
		backups = append(backups, &Backup{prefix: dir, reports: reports[dir]})
	}
	problems, err := c.readManifests(ctx, backups)
	backups = slices.DeleteFunc(backups, func(b *Backup) bool { return b.Manifest == nil })
	slices.SortFunc(backups, func(a, b *Backup) int {
		if d := a.Started.Compare(b.Started); d != 0 {
			return d
		}
		return strings.Compare(a.prefix, b.prefix)
	})
	return backups, problems, err
}

// Clusters returns the names of the clusters that the store has backups of.
func (c *Catalog) Clusters(ctx context.Context) ([]string, error) {
	var names []string
	for object, err := range c.Store.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", c.Store, err)
		}
		parts := strings.Split(object.Key, "/")
		if len(parts) == 5 && parts[2] == snapshotsDir && parts[4] == manifestName && !slices.Contains(names, parts[0]) {
			names = append(names, parts[0])
		}
	}
	return names, nil
}

func (c *Catalog) readManifests(ctx context.Context, backups []*Backup) ([]Problem, error) {
	problems := make([]Problem, len(backups))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, b := range backups {
		group.Go(func() error {
			id := path.Base(b.prefix)
			m, err := c.readManifest(ctx, b.prefix)
			if errors.Is(err, storage.ErrUnavailable) || ctx.Err() != nil {
				return err
			}
			if err != nil {
				problems[i] = Problem{ID: id, Err: err}
				return nil
			}
			b.Manifest = m
			return nil
		})
	}
	err := group.Wait()
	problems = slices.DeleteFunc(problems, func(p Problem) bool { return p.Err == nil })
	return problems, err
}

func (c *Catalog) readManifest(ctx context.Context, prefix string) (*Manifest, error) {
	data, err := c.readSmall(ctx, path.Join(prefix, manifestName))
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(data, path.Base(prefix))
	if err != nil {
		return nil, err
	}
	if backupPrefix(m.Cluster.Name, m.Cluster.Lineage, m.ID) != prefix {
		return nil, fail.Verificationf("manifest of %s/%s lies under %s", m.Cluster.Name, m.Cluster.Lineage, prefix)
	}
	return m, nil
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

func (c *Catalog) putJSON(ctx context.Context, key string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return c.Store.Put(ctx, key, bytes.NewReader(append(data, '\n')))
}
