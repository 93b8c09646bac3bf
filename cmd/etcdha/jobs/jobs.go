// Package jobs does the jobs of the daemon with the real packages: it is what
// puts snapshot, restore, membership and storage behind [cronjobs.Worker].
//
// What always holds: connections to members last no longer than what they are for,
// so that a fleet of several hundred clusters holds none of them while it waits; a
// store that fails harms no other; what was broken off leaves nothing that is
// listed, and is begun again by the next run where it stopped.
package jobs

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// Options are what the workers of one daemon have in common.
type Options struct {
	Instance string    // name of the daemon, for operators who find the membership locked
	SpoolDir string    // "" is the temporary directory
	Stores   *Stores   // that other workers have opened; nil: none
	Etcd     []string  // runs a member of a rehearsal; flags are appended
	Version  string    // of etcdha, for what is recorded
	Random   io.Reader // for ids; by several goroutines at the same time
	// Now has to be monotonic, as time.Now is.
	Now func() time.Time
	Log *slog.Logger
}

// Worker does the jobs of one cluster. It is a [cronjobs.Worker].
type Worker struct {
	Options
	cluster config.Cluster
	etcd    etcdclient.Config

	seal       seal.Options
	signKey    ed25519.PrivateKey
	verifyKeys []ed25519.PublicKey
	identities *seal.Identities

	shelves []*shelf
	local   *local // nil where there is no member on this host
	certs   *certificates
}

var _ cronjobs.Worker = (*Worker)(nil)

// New reads the keys of a cluster, and connects to nothing. What is wrong with them
// is [fail.ErrUsage].
func New(c config.Cluster, o Options) (*Worker, error) {
	if o.Stores == nil {
		o.Stores = NewStores()
	}
	o.Log = o.Log.With("cluster", c.Name)
	w := &Worker{Options: o, cluster: c, etcd: connection(c), certs: newCertificates()}
	if err := w.readKeys(c.Encryption); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	for _, s := range c.Stores {
		w.shelves = append(w.shelves, &shelf{config: s, view: newView(s.Name)})
	}
	if c.Local != "" {
		w.local = newLocal(w.etcd, c.Local, o.Now)
	}
	return w, nil
}

// Close ends the connection to the member on this host, the only one that is kept.
func (w *Worker) Close() {
	if w.local != nil {
		w.local.client.Close()
	}
}

// Timeouts of requests to members; those of the command line.
const (
	dialTimeout      = 2 * time.Second
	commandTimeout   = 5 * time.Second
	keepAliveTime    = 2 * time.Second
	keepAliveTimeout = 6 * time.Second
)

func connection(c config.Cluster) etcdclient.Config {
	return etcdclient.Config{
		Endpoints: c.Endpoints, CACert: c.CACert, Cert: c.Cert, Key: c.Key,
		InsecureTransport: c.InsecureTransport, InsecureSkipVerify: c.InsecureSkipVerify,
		User: c.User, Password: c.Password.Reveal(),
		DialTimeout: dialTimeout, CommandTimeout: commandTimeout,
		KeepAliveTime: keepAliveTime, KeepAliveTimeout: keepAliveTimeout,
	}
}

// Do implements [cronjobs.Worker].
func (w *Worker) Do(ctx context.Context, run cronjobs.Run) (string, error) {
	jobs := map[config.JobName]func(context.Context, cronjobs.Run) (string, error){
		config.Snapshot:     w.snapshot,
		config.VerifySample: w.verifySample,
		config.Verify:       w.verify,
		config.Rehearse:     w.rehearse,
		config.Prune:        w.prune,
		config.Defrag:       w.defrag,
		config.Health:       w.health,
	}
	job, ok := jobs[run.Job]
	if !ok {
		return "", fail.Usagef("there is no job %q", run.Job)
	}
	if run.MayAct == nil { // nobody else is there
		run.MayAct = func() error { return nil }
	}
	summary, err := job(ctx, run)
	if errors.Is(err, storage.ErrUnavailable) {
		err = inStore(err)
	}
	return summary, err
}

// inStore marks an error as one of a store.
func inStore(err error) error {
	if err == nil {
		return nil
	}
	return &storeError{err}
}

// storeError has the kind "store" of a [status.Record].
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

// Kind is that of a failure in a record.
func (e *storeError) Kind() string { return "store" }

// catalog is how the backups in a store are read.
func (w *Worker) catalog(store storage.Store) *snapshot.Catalog {
	return &snapshot.Catalog{Store: store, Cluster: w.cluster.Name, VerifyKeys: w.verifyKeys, Identities: w.identities, Now: w.Now}
}
