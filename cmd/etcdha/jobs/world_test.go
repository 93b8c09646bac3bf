package jobs

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/retention"
)

// patience is for what takes seconds on a machine that has time.
const patience = 2 * time.Minute

// world is a real cluster, stores, and a clock that can be put forward.
type world struct {
	testing.TB
	cluster *throwaway.Cluster
	client  *clientv3.Client // of the first member
	config  config.Cluster
	dirs    map[string]string // of the stores that are directories, by name
	spool   string
	random  *random
	stores  *Stores
	ahead   time.Duration
	log     strings.Builder
}

// random gives the same bytes in each run, to several goroutines.
type random struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

func (r *random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.source.Read(p)
}

// newWorld starts a cluster with a little in it, and makes a directory for each store.
func newWorld(t testing.TB, members int, stores ...string) *world {
	t.Helper()
	w := &world{TB: t, stores: NewStores(), dirs: map[string]string{}, spool: t.TempDir(), random: &random{source: rand.NewChaCha8([32]byte{})}}
	c, err := throwaway.New(throwaway.Options{
		Parent: t.TempDir(), Members: members, Command: ownEtcd(t), Token: "jobs", Quota: 64 << 20, Now: time.Now,
	})
	w.must(err)
	t.Cleanup(func() { w.must(c.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.must(c.Start(ctx))
	w.cluster = c
	w.client, err = c.Config().Dial(c.Members[0].ClientURL)
	w.must(err)
	t.Cleanup(func() { w.client.Close() })
	for i := range 50 {
		w.put(fmt.Sprintf("/registry/pods/default/pod-%d", i), strings.Repeat("k8s\x00 pod ", 100))
	}
	etcd := c.Config()
	w.config = config.Cluster{
		Name: "production", Endpoints: etcd.Endpoints, CACert: etcd.CACert, Cert: etcd.Cert, Key: etcd.Key,
		Keep: retention.Policy{Last: 2, Location: time.UTC}, Sample: 0.4, Rehearsal: config.Rehearsal{Members: 1},
	}
	for _, name := range stores {
		w.dirs[name] = filepath.Join(t.TempDir(), "backups")
		w.must(os.Mkdir(w.dirs[name], 0o700))
		w.config.Stores = append(w.config.Stores, config.Store{Name: name, URL: w.dirs[name]})
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) put(key, value string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	_, err := w.client.Put(ctx, key, value)
	w.must(err)
}

func (w *world) now() time.Time { return time.Now().Add(w.ahead) }

// slot is now, as a schedule would have it: a whole second, and begun.
func (w *world) slot() time.Time {
	w.ahead += 2 * time.Second // so that each slot is another second
	return w.now().Truncate(time.Second)
}

// worker is one of the cluster as it is configured now.
func (w *world) worker() *Worker {
	w.Helper()
	worker, err := New(w.config, Options{
		Instance: "node-1", SpoolDir: w.spool, Stores: w.stores, Etcd: ownEtcd(w), Version: "test",
		Now: w.now, Random: w.random, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	w.must(err)
	w.Cleanup(worker.Close)
	return worker
}

// do does a job for a slot.
func (w *world) do(job config.JobName, slot time.Time) (string, error) {
	w.Helper()
	return w.worker().Do(w.Context(), cronjobs.Run{Job: job, Slot: slot, Attempt: 1, MayAct: func() error { return nil }})
}

// mustDo does a job that succeeds.
func (w *world) mustDo(job config.JobName, slot time.Time) string {
	w.Helper()
	summary, err := w.do(job, slot)
	if err != nil {
		w.Fatalf("%s: %v\n%s", job, err, &w.log)
	}
	return summary
}

// save makes n backups, each of a slot of its own, and returns their ids.
func (w *world) save(n int) []string {
	w.Helper()
	var ids []string
	for range n {
		id, _, _ := strings.Cut(w.mustDo(config.Snapshot, w.slot()), ",")
		ids = append(ids, id)
	}
	return ids
}

// vault opens a store to look into it.
func (w *world) vault(store string) *vault {
	w.Helper()
	worker := w.worker()
	i := slices.IndexFunc(worker.shelves, func(s *shelf) bool { return s.config.Name == store })
	v, err := worker.vault(w.Context(), worker.shelves[i])
	w.must(err)
	return v
}

// backups are those in a store, oldest first.
func (w *world) backups(store string) []*snapshot.Backup {
	w.Helper()
	all, problems, err := w.vault(store).List(w.Context())
	w.must(err)
	for _, p := range problems {
		w.Errorf("%s in %s cannot be read: %v", p.ID, store, p.Err)
	}
	return all
}

// ids are those of the backups in a store, oldest first.
func (w *world) ids(store string) []string {
	w.Helper()
	var ids []string
	for _, b := range w.backups(store) {
		ids = append(ids, b.ID)
	}
	return ids
}

// file is the only one in a store whose path has all the parts.
func (w *world) file(store string, parts ...string) string {
	w.Helper()
	var found []string
	w.must(filepath.WalkDir(w.dirs[store], func(path string, d fs.DirEntry, err error) error {
		fits := err == nil && !d.IsDir()
		for _, part := range parts {
			fits = fits && strings.Contains(path, part)
		}
		if fits {
			found = append(found, path)
		}
		return err
	}))
	if len(found) != 1 {
		w.Fatalf("files with %q in %s: %q", parts, store, found)
	}
	return found[0]
}

// flip changes a bit in the middle of a file.
func (w *world) flip(file string) {
	w.Helper()
	data, err := os.ReadFile(file)
	w.must(err)
	data[len(data)/2] ^= 0x10
	w.must(os.WriteFile(file, data, 0o600))
}

// reports are the names of those of a backup, oldest first.
func (w *world) reports(store, id string) []string {
	w.Helper()
	found, err := filepath.Glob(filepath.Join(w.dirs[store], "production", "*", "snapshots", id, "reports", "*"))
	w.must(err)
	var names []string
	for _, name := range found {
		_, name, _ = strings.Cut(filepath.Base(name), "-")
		names = append(names, name)
	}
	return names
}

// kindOf is the kind of failure that an error tells.
func kindOf(err error) string {
	for ; err != nil; err = unwrap(err) {
		if k, ok := err.(interface{ Kind() string }); ok {
			return k.Kind()
		}
	}
	return ""
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}
