package jobs

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/s3"
)

// OpenStore opens a store of a configuration. A directory that is missing is made, but
// not its parents.
func OpenStore(ctx context.Context, c config.Store, now func() time.Time, random io.Reader) (storage.Store, error) {
	kinds := storage.Openers{"file": file.Open, "s3": s3.Opener{
		Now: now, Random: random,
		AccessKey: c.AccessKey, SecretKey: c.SecretKey.Reveal(), SessionToken: c.SessionToken.Reveal(),
	}.Open}
	store, err := kinds.Open(ctx, c.URL, true)
	if err != nil {
		return nil, fail.WithHint(fmt.Errorf("open store: %w", err), "a store is a directory whose parent exists, or a URL such as s3://bucket/prefix?region=eu-central-1")
	}
	return store, nil
}

// Stores are what the workers of one daemon have opened. A bucket is opened once for all
// clusters that are kept in it, so that they share its connections, its session and its
// limit. A directory is opened for each use, since what is mounted there may change.
type Stores struct {
	mu      sync.Mutex
	buckets map[config.Store]storage.Store
}

// NewStores returns stores of which none is open.
func NewStores() *Stores { return &Stores{buckets: make(map[config.Store]storage.Store)} }

func (s *Stores) open(ctx context.Context, c config.Store, o Options) (storage.Store, error) {
	c.Name, c.Line = "", 0 // what it is called makes no other store of it
	s.mu.Lock()
	defer s.mu.Unlock()
	if store := s.buckets[c]; store != nil {
		return store, nil
	}
	store, err := OpenStore(ctx, c, o.Now, o.Random)
	if err == nil && strings.HasPrefix(c.URL, "s3://") {
		s.buckets[c] = store
	}
	return store, err
}

// shelf is one of the stores of the cluster, and what was seen in it last.
type shelf struct {
	config config.Store
	view   *view
}

// vault is an open store in which backups are read.
type vault struct {
	*snapshot.Catalog
	name string // of the configuration
}

// failed says in which store something has failed.
func (v *vault) failed(err error) error { return inNamed(v.name, err) }

func inNamed(store string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store %s: %w", store, err)
}

func (w *Worker) vault(ctx context.Context, s *shelf) (*vault, error) {
	store, err := w.Stores.open(ctx, s.config, w.Options)
	if err != nil {
		return nil, err
	}
	return &vault{Catalog: w.catalog(store), name: s.config.Name}, nil
}

// vaults opens all stores. The errors are those of stores that cannot be opened.
func (w *Worker) vaults(ctx context.Context) (open []*vault, lost []error) {
	for _, s := range w.shelves {
		v, err := w.vault(ctx, s)
		if err != nil {
			lost = append(lost, inNamed(s.config.Name, err))
			continue
		}
		open = append(open, v)
	}
	return open, lost
}
