package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// OpenStore opens a store of a configuration. A directory that is missing is never made: a
// disk that is not mounted must not be filled elsewhere.
func OpenStore(ctx context.Context, c config.Store, now func() time.Time, random io.Reader) (storage.Store, error) {
	kinds := storage.Openers{"file": file.Open, "s3": s3.Opener{
		Now: now, Random: random,
		AccessKey: c.AccessKey, SecretKey: c.SecretKey.Reveal(), SessionToken: c.SessionToken.Reveal(),
	}.Open}
	store, err := kinds.Open(ctx, c.URL, false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail.WithHint(fmt.Errorf("open store: %w", err), "mount what belongs there, or make it once: mkdir -p -m 700 DIRECTORY")
	case err != nil:
		return nil, fail.WithHint(fmt.Errorf("open store: %w", err), "a store is a directory, or a URL such as s3://bucket/prefix?region=eu-central-1")
	}
	return store, nil
}

// smallReads is how many small objects all workers of a daemon read at the same time: it
// hides the round trips of a remote store, and a fleet that starts does not flood one.
const smallReads = 16

// Stores are what the workers of one daemon have opened. A bucket is opened once for all
// clusters that are kept in it, so that they share its connections, its session and its
// limit. A directory is opened for each use, since what is mounted there may change.
type Stores struct {
	openStore func(context.Context, config.Store, func() time.Time, io.Reader) (storage.Store, error)
	reads     chan struct{} // a place for each small read

	mu      sync.Mutex
	buckets map[config.Store]storage.Store
	opening map[config.Store]*opening
}

// opening is a store that is being opened. It can be waited for, and given up: one on a
// mount that hangs may never open, and is not begun a second time meanwhile.
type opening struct {
	done  chan struct{}
	store storage.Store
	err   error
}

// NewStores returns stores of which none is open.
func NewStores() *Stores {
	return &Stores{
		openStore: OpenStore, reads: make(chan struct{}, smallReads),
		buckets: make(map[config.Store]storage.Store), opening: make(map[config.Store]*opening),
	}
}

func (s *Stores) open(ctx context.Context, c config.Store, o Options) (storage.Store, error) {
	c.Name, c.Line = "", 0 // what it is called makes no other store of it
	s.mu.Lock()
	store, going := s.buckets[c], s.opening[c]
	if store == nil && going == nil {
		going = &opening{done: make(chan struct{})}
		s.opening[c] = going
		go s.opened(context.WithoutCancel(ctx), c, o, going)
	}
	s.mu.Unlock()
	if store != nil {
		return store, nil
	}
	select {
	case <-going.done:
		return going.store, going.err
	case <-ctx.Done():
		return nil, silent(ctx)
	}
}

func (s *Stores) opened(ctx context.Context, c config.Store, o Options, going *opening) {
	going.store, going.err = s.openStore(ctx, c, o.Now, o.Random)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.opening, c)
	if going.err == nil && strings.HasPrefix(c.URL, "s3://") {
		s.buckets[c] = going.store
	}
	close(going.done)
}

// silent is the error of a store that has not answered until ctx has ended.
func silent(ctx context.Context) error {
	return fmt.Errorf("%w: no answer in time: %w", storage.ErrUnavailable, ctx.Err())
}

// read does something small in a store when it has its turn.
func (s *Stores) read(ctx context.Context, do func()) error {
	select {
	case s.reads <- struct{}{}:
	case <-ctx.Done():
		return silent(ctx)
	}
	defer func() { <-s.reads }()
	do()
	return ctx.Err()
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
	view *view
}

// failed says in which store something has failed.
func (v *vault) failed(err error) error { return inNamed(v.name, err) }

func inNamed(store string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store %s: %w", store, err)
}

// index lists the backups. A store that has lost all that was seen in it is an error: it is
// more likely that another one is mounted in its place.
func (v *vault) index(ctx context.Context) ([]snapshot.Listing, error) {
	all, err := v.Index(ctx)
	if err == nil && len(all) == 0 {
		if _, seen := v.view.last(); len(seen) > 0 {
			return nil, fail.WithHint(fmt.Errorf("%w: it is empty, and had %d backups when it was looked into last", storage.ErrUnavailable, len(seen)),
				"see whether what belongs there is mounted; if they were removed on purpose, start the daemon again")
		}
	}
	return all, err
}

func (w *Worker) vault(ctx context.Context, s *shelf) (*vault, error) {
	store, err := w.Stores.open(ctx, s.config, w.Options)
	if err != nil {
		return nil, err
	}
	return &vault{Catalog: w.catalog(store), name: s.config.Name, view: s.view}, nil
}
