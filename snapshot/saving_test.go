package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
)

// clock goes on by a second whenever it is looked at. Its zone is not UTC.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

var start = time.Date(2026, 11, 21, 0, 52, 11, 0, time.FixedZone("", 3600)) // 20261120T235211Z

func newClock() *clock { return &clock{now: start.Add(-time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

// yesterday is what FILE holds before a save.
const yesterday = "the snapshot of yesterday"

// saving is a save on its way: FILE holds something older, the store is a new
// directory, the spool has a directory of its own.
type saving struct {
	testing.TB
	options snapshot.SaveOptions
	catalog *snapshot.Catalog
	dir     string // holds FILE
	storage string // is the store
}

// destinations are where a save can go; see [newSaving].
var destinations = []string{"file", "store", "file and store"}

func newSaving(t testing.TB, member *fakeMember, destination string) *saving {
	cluster := connect(t, member)
	dir := t.TempDir()
	store := must1(file.Open(t.Context(), &url.URL{Path: filepath.Join(dir, "store")}, true))
	s := &saving{TB: t, storage: filepath.Join(dir, "store"), dir: filepath.Join(dir, "files")}
	s.catalog = &snapshot.Catalog{Store: store, Cluster: "prod"}
	must(os.Mkdir(s.dir, 0o700))
	must(os.Mkdir(filepath.Join(dir, "spool"), 0o700))
	must(os.WriteFile(s.file(), []byte(yesterday), 0o644))
	s.options = snapshot.SaveOptions{
		Member: cluster.Members[0], SpoolDir: filepath.Join(dir, "spool"), StallTimeout: time.Minute,
		Now: newClock().Now, Random: rand.NewChaCha8([32]byte{20}), Log: discard, Version: "v1.2.3",
	}
	if strings.Contains(destination, "file") {
		s.options.File = s.file()
	}
	if strings.Contains(destination, "store") {
		s.options.Catalogs = []*snapshot.Catalog{s.catalog}
	}
	return s
}

func (s *saving) file() string { return filepath.Join(s.dir, "etcd.db") }

// through lets the save go through a store with faults.
func (s *saving) through(f *faulty) {
	f.Store = s.catalog.Store
	s.options.Catalogs = []*snapshot.Catalog{{Store: f, Cluster: "prod"}}
}

// save saves, and gives up on a save that should have failed long ago.
func (s *saving) save() (*snapshot.Saved, error) {
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	saved, err := snapshot.Save(ctx, s.options)
	if ctx.Err() != nil {
		s.Fatalf("the save hung: %v", err)
	}
	return saved, err
}

// mustFail saves and returns the error, which has to say text.
func (s *saving) mustFail(text string) error {
	s.Helper()
	saved, err := s.save()
	if err == nil || saved != nil {
		s.Fatalf("saved %+v, error %v", saved, err)
	}
	if !strings.Contains(err.Error(), text) {
		s.Errorf("error %q does not say %q", err, text)
	}
	return err
}

// mustSave saves and returns what was kept.
func (s *saving) mustSave() *snapshot.Saved {
	s.Helper()
	saved, err := s.save()
	if err != nil {
		s.Fatal(err)
	}
	return saved
}

// wantUntouched asserts that FILE is the older one and that nothing is beside it.
func (s *saving) wantUntouched() {
	s.Helper()
	if got := must1(os.ReadFile(s.file())); string(got) != yesterday {
		s.Errorf("FILE was replaced by %d bytes", len(got))
	}
	s.wantNoTraces()
}

// wantNoTraces asserts that neither FILE's directory nor the spool's holds
// anything that a save would have to clean up.
func (s *saving) wantNoTraces() {
	s.Helper()
	if names := filesIn(s.dir); len(names) != 1 {
		s.Errorf("beside FILE there is %q", names)
	}
	if names := filesIn(s.options.SpoolDir); len(names) != 0 {
		s.Errorf("the spool directory holds %q", names)
	}
}

// wantEmptyStore asserts that the store holds nothing, listed or not.
func (s *saving) wantEmptyStore() {
	s.Helper()
	s.wantNothingListed()
	if names := filesIn(s.storage); len(names) != 0 {
		s.Errorf("the store holds %q", names)
	}
}

func (s *saving) wantNothingListed() {
	s.Helper()
	if backups, problems := list(s, s.catalog); len(backups) != 0 || len(problems) != 0 {
		s.Errorf("the store lists %d backups, %v", len(backups), problems)
	}
}

// list lists a catalog that can be listed.
func list(t testing.TB, c *snapshot.Catalog) ([]*snapshot.Backup, []snapshot.Problem) {
	t.Helper()
	backups, problems, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return backups, problems
}

// filesIn returns all files below dir, hidden ones too.
func filesIn(dir string) []string {
	var files []string
	must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	return files
}

// objectOf returns an object of a backup that has just been saved.
func (s *saving) objectOf(b *snapshot.Backup, name string) []byte {
	s.Helper()
	key := strings.Join([]string{b.Cluster.Name, b.Cluster.Lineage, "snapshots", b.ID, name}, "/")
	r, err := s.catalog.Store.Open(s.Context(), key)
	if err != nil {
		s.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	must1(out.ReadFrom(r))
	return out.Bytes()
}

// kindOf names the kind of an error as the exit code tells it.
func kindOf(err error) error {
	for _, kind := range []error{fail.ErrUsage, fail.ErrVerification, fail.ErrUnsafe, storage.ErrUnavailable} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}
