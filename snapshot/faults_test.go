package snapshot_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/retention"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/storagetest"
)

const (
	put  = storagetest.Put
	open = storagetest.Open
	ls   = storagetest.List
	rm   = storagetest.Delete
)

// failures are what may happen to each operation of a run, one at a time. A
// store that lies is not caught by what it says, but by what it returns.
var failures = []struct {
	name  string
	fault storagetest.Fault
	of    []storagetest.Op
}{
	{"fails", storagetest.Fail(errDown), []storagetest.Op{put, open, ls, rm}},
	{"is unavailable", storagetest.Fail(storage.ErrUnavailable), []storagetest.Op{put, open, ls, rm}},
	{"fails midway", storagetest.FailAfter(300, errDown), []storagetest.Op{put, open}},
	{"is done and says no", storagetest.FailLate(errDown), []storagetest.Op{put, open, ls, rm}},
	{"hangs", storagetest.Hang(), []storagetest.Op{put, open, ls, rm}},
	{"is cut short", storagetest.Truncate(100), []storagetest.Op{put, open}},
	{"comes to nothing", storagetest.Truncate(0), []storagetest.Op{put, open, ls}},
	{"has a bit flipped", storagetest.Flip(50), []storagetest.Op{put, open}},
	{"overwrites", storagetest.Overwrite(), []storagetest.Op{put}},
	{"says yes and does not", storagetest.Lie(), []storagetest.Op{put, rm}},
}

// patience is for operations that hang.
const patience = 300 * time.Millisecond

// dirStore is a store in a directory, as in real life.
func dirStore(t testing.TB, dir string) storage.Store {
	return must1(file.Open(t.Context(), &url.URL{Path: dir}, true))
}

// older are backups that were there before, and what each was made from.
type older map[string][]byte

// past is a store with older backups, from which each test gets a copy.
type past struct {
	dir string
	all older
}

// takeBackups saves n backups of an etcd that changes in between, a day apart.
func takeBackups(t testing.TB, n int) *past {
	p := &past{dir: t.TempDir(), all: make(older)}
	e := newKubernetes(t)
	c := &snapshot.Catalog{Store: dirStore(t, p.dir), Cluster: "prod"}
	for i := range n {
		e.put("/registry/pods/default/web", fmt.Sprintf("k8s\x00 web %d", i))
		s := newSaving(t, newSource(t, e), "store")
		at := newClock()
		at.now = at.now.AddDate(0, 0, i)
		s.options.Now, s.options.Catalogs = at.Now, []*snapshot.Catalog{c}
		p.all[s.mustSave().Stores[0].Backup.ID] = e.stream()
	}
	return p
}

// copied is a store with the same backups.
func (p *past) copied(t testing.TB) (storage.Store, older) {
	dir := t.TempDir()
	must(os.CopyFS(dir, os.DirFS(p.dir)))
	return dirStore(t, dir), maps.Clone(p.all)
}

// wantWhole asserts that every listed backup can be fetched and has the right
// content, and that those of want are listed.
func wantWhole(t testing.TB, store storage.Store, all older, want ...string) {
	t.Helper()
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	backups, _ := list(t, c)
	listed := ids(backups)
	for _, id := range want {
		if !slices.Contains(listed, id) {
			t.Errorf("%s is not listed", id)
		}
	}
	for _, b := range backups {
		var plain bytes.Buffer
		if err := c.Fetch(t.Context(), b, &plain); err != nil {
			t.Errorf("%s is listed: %v", b.ID, err)
		} else if content, ok := all[b.ID]; ok && !bytes.Equal(plain.Bytes(), content) {
			t.Errorf("%s has other content", b.ID)
		}
	}
}

// everyOperation does a run again and again, and lets each of its operations go
// wrong in each way in turn. A run gets a store to work on, and one beside it
// that tells what is really there.
func everyOperation(t *testing.T, run func(t *testing.T, arrange func(storage.Store) *storagetest.Faulty)) {
	for _, f := range failures {
		for _, op := range f.of {
			for nth := 1; ; nth++ {
				var faulty *storagetest.Faulty
				ok := t.Run(fmt.Sprintf("%s %d %s", op, nth, f.name), func(t *testing.T) {
					run(t, func(s storage.Store) *storagetest.Faulty {
						faulty = storagetest.NewFaulty(s)
						faulty.On(op, nth, f.fault)
						return faulty
					})
				})
				if !ok || faulty.Count(op) < nth { // it has come to its end before
					break
				}
			}
		}
	}
}

func TestSaveThroughEveryFault(t *testing.T) {
	history := takeBackups(t, 2)
	e := newKubernetes(t)
	member := newSource(t, e)
	everyOperation(t, func(t *testing.T, arrange func(storage.Store) *storagetest.Faulty) {
		store, all := history.copied(t)
		want := slices.Collect(maps.Keys(all))
		s := newSaving(t, member, "store")
		s.options.Catalogs = []*snapshot.Catalog{{Store: arrange(store), Cluster: "prod"}}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		saved, err := snapshot.Save(ctx, s.options)
		if err == nil { // what is said to be there is there
			b := saved.Stores[0].Backup
			all[b.ID] = e.stream()
			want = append(want, b.ID)
		}
		wantWhole(t, store, all, want...)
	})
}

func TestCopyThroughEveryFault(t *testing.T) {
	history := takeBackups(t, 1)
	for _, broken := range []string{"source", "target"} {
		t.Run(broken, func(t *testing.T) {
			everyOperation(t, func(t *testing.T, arrange func(storage.Store) *storagetest.Faulty) {
				from, all := history.copied(t)
				to := dirStore(t, t.TempDir())
				source := &snapshot.Catalog{Store: from, Cluster: "prod"}
				b := must1(source.Resolve(t.Context(), "latest", nil))
				must(source.AddReport(t.Context(), b, snapshot.Report{Kind: snapshot.ReportRehearsal, Time: start, Checks: passed}))
				must(source.Hold(t.Context(), b, snapshot.Hold{Time: start, Reason: "audit"}, bytes.NewReader([]byte{1, 2})))
				target := to
				if broken == "source" {
					source.Store = arrange(from)
				} else {
					target = arrange(to)
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := source.Copy(ctx, b, target)
				if err == nil {
					wantWhole(t, to, all, b.ID)
				} else {
					wantWhole(t, to, all)
				}
				wantWhole(t, from, all, b.ID)
				copyAgain(t, from, to, all)
			})
		})
	}
}

// copyAgain goes on with a copy that was interrupted. Only damage that a store
// has kept stands in its way, and that is never listed.
func copyAgain(t *testing.T, from, to storage.Store, all older) {
	t.Helper()
	source := &snapshot.Catalog{Store: from, Cluster: "prod"}
	b := must1(source.Resolve(t.Context(), "latest", nil))
	_, err := source.Copy(t.Context(), b, to)
	backups, _ := list(t, &snapshot.Catalog{Store: to, Cluster: "prod"})
	if err == nil {
		wantWhole(t, to, all, b.ID)
		if !backups[0].Held() {
			t.Error("the copy of a held backup is not held")
		}
		return
	}
	if len(backups) > 0 && kindOf(err) == nil {
		t.Errorf("copied again: %v", err)
	}
}

func TestPruneThroughEveryFault(t *testing.T) {
	policy := retention.Policy{Daily: 2, Location: time.UTC}
	now := start.AddDate(0, 0, 10)
	history := takeBackups(t, 5)
	everyOperation(t, func(t *testing.T, arrange func(storage.Store) *storagetest.Faulty) {
		store, all := history.copied(t)
		sound := &snapshot.Catalog{Store: store, Cluster: "prod"}
		backups, _ := list(t, sound)
		for i, b := range backups[:2] { // the oldest is held, the next is the newest that was proven
			if i == 0 {
				must(sound.Hold(t.Context(), b, snapshot.Hold{Time: start, Reason: "audit"}, bytes.NewReader([]byte{1, 2})))
			} else {
				must(sound.AddReport(t.Context(), b, proven))
			}
		}
		keep := []string{backups[0].ID, backups[1].ID, backups[3].ID, backups[4].ID}

		pruner := &snapshot.Catalog{Store: arrange(store), Cluster: "prod"}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if p, err := pruner.PlanPrune(ctx, policy, now); err == nil {
			for _, d := range p.Remove() {
				_ = apply(ctx, p, d)
			}
		}
		wantWhole(t, store, all, keep...)

		// The next prune finishes what this one has begun.
		p := must1(sound.PlanPrune(t.Context(), policy, now))
		for _, d := range p.Remove() {
			must(apply(t.Context(), p, d))
		}
		wantWhole(t, store, all, keep...)
		if backups, _ := list(t, sound); len(backups) != len(keep) {
			t.Errorf("%q are left, want %q", ids(backups), keep)
		}
	})
}

// proven is a report that reached the structure of the db.
var proven = snapshot.Report{Kind: snapshot.ReportVerification, Time: start, Checks: snapshot.Checks{
	{Name: snapshot.RungStored, Verdict: snapshot.Match}, {Name: snapshot.RungStructure, Verdict: snapshot.Match},
}}
