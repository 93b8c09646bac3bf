package e2e

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/retention"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/s3"
)

// soakStore is a store at the end of a soak, when the daemon has ended.
type soakStore struct {
	place
	name string
	open func(url string) (storage.Store, error)
	ids  []string // of the backups that are listed, oldest first
}

func (s *soak) stores() []*soakStore {
	s.t.Helper()
	s.server.Setenv(s.t)
	kinds := storage.Openers{"file": file.Open, "s3": s3.Opener{Now: time.Now, Random: rand.Reader}.Open}
	open := func(url string) (storage.Store, error) { return kinds.Open(s.t.Context(), url, false) }
	return []*soakStore{
		{place: s3Place(s.server, soakBucket, soakPrefix), name: "s3", open: open},
		{place: dirPlace(s.dir), name: "dir", open: open},
	}
}

// endsWell holds what is in the stores against what was written, recorded and listed.
func (s *soak) endsWell() {
	s.t.Helper()
	said, err := os.ReadFile(s.daemon.said)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, word := range []string{"panic", "doubled", "fatal error"} {
		if bytes.Contains(said, []byte(word)) {
			s.t.Errorf("the daemon has said %q\n%s", word, s.daemon.lastWords())
		}
	}
	records := s.records()
	stores := s.stores()
	for _, store := range stores {
		s.listed(store)
		s.recorded(store, records)
		s.leftNothing(store)
	}
	s.restores(stores)
	if left, err := filepath.Glob(filepath.Join(s.daemon.spool, "etcdha-throwaway-*")); err != nil || len(left) > 0 {
		s.t.Errorf("left in the spool: %v, %v", left, err)
	}
}

// listed looks at the backups of a store. Each holds what was acknowledged before it began.
func (s *soak) listed(store *soakStore) {
	s.t.Helper()
	var rows []struct {
		ID, Unreadable string
		Started        time.Time
		Revision       int64
	}
	unmarshal(s.t, must(s.t, tool("etcdha"), "snapshot", "list", "--store="+store.url, "--cluster="+soakCluster, "-w=json"), &rows)
	if len(rows) == 0 {
		s.t.Fatalf("%s: there is no backup", store.name)
	}
	for _, row := range rows {
		if row.Unreadable != "" {
			s.t.Errorf("%s: %s cannot be read: %s", store.name, row.ID, row.Unreadable)
		}
		if acked := s.writes.before(row.Started); row.Revision < acked {
			s.t.Errorf("%s: %s has revision %d, and %d was acknowledged before it began", store.name, row.ID, row.Revision, acked)
		}
		store.ids = append(store.ids, row.ID)
	}
	slices.Sort(store.ids) // which is by time
}

// soakRecord is what is held against the stores of a record of the job snapshot.
type soakRecord struct {
	Slot    time.Time
	Passed  bool
	Summary string
	Missed  int
}

// records are those of the job snapshot that are in any store, by slot.
func (s *soak) records() []soakRecord {
	s.t.Helper()
	bucket := s.t.TempDir()
	download(s.t, s.server, soakBucket, soakPrefix+"/"+soakCluster+"/jobs/snapshot", bucket)
	bySlot := make(map[string]soakRecord)
	for _, dir := range []string{bucket, filepath.Join(s.dir, soakCluster, "jobs/snapshot")} {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) == 0 {
			s.t.Fatalf("no records in %s: %v", dir, err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			var r soakRecord
			if err == nil {
				err = json.Unmarshal(data, &r)
			}
			if err != nil {
				s.t.Fatalf("%s: %v", name, err)
			}
			bySlot[filepath.Base(name)] = r
		}
	}
	var all []soakRecord
	for _, r := range bySlot {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b soakRecord) int { return cmp.Compare(a.Slot.Unix(), b.Slot.Unix()) })
	return all
}

var backupID = regexp.MustCompile(`\d{8}T\d{6}Z-r\d+-[0-9a-f]{4}`)

// recorded looks for the backup of each passed record: it is there, or enough newer ones
// are that it was pruned.
func (s *soak) recorded(store *soakStore, records []soakRecord) {
	s.t.Helper()
	for _, r := range records {
		if !r.Passed {
			continue
		}
		newest := ""
		for _, id := range backupID.FindAllString(r.Summary, -1) {
			newest = max(newest, id)
		}
		i, there := slices.BinarySearch(store.ids, newest)
		if newest == "" || !there && len(store.ids)-i < fewest {
			s.t.Errorf("%s: the run of %s says %q, listed is %v", store.name, r.Slot, r.Summary, store.ids)
		}
	}
}

// unfinished are the uploads and temporary files.
func (s *soakStore) unfinished(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(s.objects(t), func(name string) bool { return !isUnfinished(name) })
}

// clockless is a store without a clock of its own, which would say that it is not later.
type clockless struct {
	storage.Store
	storage.Sweeper
}

// leftNothing prunes as a day later, when what killed daemons have left is removed. Then there is
// no upload and no temporary file, and nobody but a daemon that was killed has left one.
func (s *soak) leftNothing(store *soakStore) {
	s.t.Helper()
	left := store.unfinished(s.t)
	if kills := s.struck.of[killDaemon]; len(left) > 3*kills { // a save, a report and a record at a time
		s.t.Errorf("%s: after %d kills there is left %q", store.name, kills, left)
	}
	opened, err := store.open(store.url)
	if err != nil {
		s.t.Fatal(err)
	}
	sweeper, ok := opened.(storage.Sweeper)
	if !ok {
		s.t.Fatalf("%s: nobody can sweep it", store.name)
	}
	later := func() time.Time { return time.Now().Add(25 * time.Hour) }
	c := &snapshot.Catalog{Store: clockless{opened, sweeper}, Cluster: soakCluster, Now: later}
	plan, err := c.PlanPrune(s.t.Context(), retention.Policy{Last: 1000}, later())
	if err == nil {
		err = plan.ApplyAll(s.t.Context(), snapshot.ApplyOptions{})
	}
	if err != nil {
		s.t.Errorf("%s: prune a day later: %v", store.name, err)
	}
	if still := store.unfinished(s.t); len(still) > 0 {
		s.t.Errorf("%s: after a prune there is left %q", store.name, still)
	}
	s.t.Logf("%s: %d backups, %d unfinished objects, which a prune has removed", store.name, len(store.ids), len(left))
}

// restores verifies every backup down to its records, and rehearses its restore; in a short
// story that of some.
func (s *soak) restores(stores []*soakStore) {
	s.t.Helper()
	const some, atOnce = 4, 3 // a long story has the time for all
	var commands [][]string
	for _, store := range stores {
		for _, id := range store.ids {
			commands = append(commands, []string{id, "--store=" + store.url, "--cluster=" + soakCluster, "--identity=" + s.daemon.identity})
		}
	}
	s.rnd.Shuffle(len(commands), func(i, j int) { commands[i], commands[j] = commands[j], commands[i] })
	rehearsed := len(commands)
	if *soakFor < time.Minute {
		rehearsed = min(rehearsed, some)
	}
	var restoring sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for i, args := range commands {
		turns <- struct{}{}
		restoring.Go(func() {
			defer func() { <-turns }()
			verb, proof := []string{"restore", "rehearse", "--members=1"}, "ok    hash "
			if i >= rehearsed {
				verb, proof = []string{"snapshot", "verify", "--endpoints=127.0.0.1:1"}, "ok    records"
			}
			if stdout, stderr, code := etcdha(s.t, with(verb, args...)...); code != 0 || !strings.Contains(stdout, proof) {
				s.t.Errorf("%v %v: exit %d\n%s%s", verb, args, code, stdout, stderr)
			}
		})
	}
	restoring.Wait()
	s.t.Logf("%d backups are listed, %d of them were rehearsed, the others verified", len(commands), rehearsed)
}
