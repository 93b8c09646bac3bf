package snapshot_test

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// sweepable is a store that has leftovers of its own.
type sweepable struct {
	*memory
	before time.Time // that it was asked for
	left   []storage.Leftover
	err    error
}

func (s *sweepable) Leftovers(_ context.Context, before time.Time) ([]storage.Leftover, error) {
	s.before = before
	return s.left, s.err
}

// upload puts an object of an entry that has no manifest.
func (m *memory) upload(lineage, id, name string, at time.Time) string {
	prefix := path.Join("prod", lineage, "snapshots", id)
	if m.modified == nil {
		m.modified = make(map[string]time.Time)
	}
	m.objects[path.Join(prefix, name)], m.modified[path.Join(prefix, name)] = []byte("half of it"), at
	return prefix
}

func names(leftovers []storage.Leftover) []string {
	var names []string
	for _, l := range leftovers {
		names = append(names, l.Name)
	}
	return names
}

// What a save or a copy has left that was killed goes a day after something
// was last added to it.
func TestLeftoversAreSweptADayLater(t *testing.T) {
	long, short := today.Add(-24*time.Hour-time.Second), today.Add(-24*time.Hour+time.Second)
	const ofAJob = "prod/jobs/verify/20260101T000000Z.json"
	const part = "prod/c1-ffffffff/snapshots/20260101T000000Z-r8-0006/db.zst"
	store := &sweepable{memory: january(), left: []storage.Leftover{
		{Name: "videos/holiday.mp4", Since: long}, // a bucket may be shared
		{Name: "test/c1-ffffffff/snapshots/20260101T000000Z-r8-0006/db.zst", Since: long},
		{Name: part, Since: long},
		{Name: ofAJob, Since: long},
	}}
	given := store.upload(life, "20260130T000000Z-r8-0001", "db.zst", long)
	store.upload(life, "20260130T000000Z-r8-0001", "reports/20260130T010000Z-rehearsal.json", long)
	young := store.upload(life, "20260131T000000Z-r8-0002", "db.zst", short)
	growing := store.upload(life, "20260129T000000Z-r8-0003", "db.zst", long)
	store.upload(life, "20260129T000000Z-r8-0003", "holds/20260131T000000Z-0102-hold.json", short)
	dead := store.upload("c1-dddddddd", "20260101T000000Z-r8-0004", "db.zst", long) // a life without a backup
	alive := "c1-eeeeeeee"
	store.commitWhole(inLife(alive, "20251201T000000Z", 1, 1))
	others := store.upload(alive, "20251202T000000Z-r8-0005", "db.zst", long)

	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := plan(t, c)
	if got, want := names(p.Leftovers), []string{given, dead, part, ofAJob}; !slices.Equal(got, want) || !store.before.Equal(today.Add(-24*time.Hour)) {
		t.Errorf("leftovers %q before %s, want %q", got, store.before, want)
	}
	for _, l := range p.Leftovers {
		if !l.Since.Equal(long) {
			t.Errorf("%s is left since %s", l.Name, l.Since)
		}
	}
	p.Leftovers = p.Leftovers[:2]
	carryOut(t, p)
	for prefix, want := range map[string]bool{given: false, dead: false, young: true, growing: true, others: true} {
		if got := slices.ContainsFunc(store.keys(), func(key string) bool { return strings.HasPrefix(key, prefix) }); got != want {
			t.Errorf("%s is there: %t", prefix, got)
		}
	}
	for key, at := range map[string]time.Time{"storage-check/1/bulk": long, "storage-check/2/bulk": short} {
		store.objects[key], store.modified[key] = []byte("tried out"), at
	}
	if got := names(plan(t, c).Leftovers); !slices.Equal(got, []string{"storage-check/1/bulk", part, ofAJob}) {
		t.Errorf("leftovers of checks: %q", got)
	}
	delete(store.objects, "storage-check/1/bulk")
	c.Lineage = alive
	if got := names(plan(t, c).Leftovers); !slices.Equal(got, []string{others, part, ofAJob}) {
		t.Errorf("leftovers of the other life: %q", got)
	}
}

// A copy that goes on while a plan is carried out keeps what it has put.
func TestALeftoverIsLookedAtAgain(t *testing.T) {
	long := today.AddDate(0, 0, -2)
	for name, change := range map[string]func(*memory, *snapshot.Manifest){
		"something was added": func(m *memory, b *snapshot.Manifest) {
			m.upload(life, b.ID, "reports/20260201T000000Z-rehearsal.json", today)
		},
		"it was committed": func(m *memory, b *snapshot.Manifest) { m.commit(b) },
	} {
		t.Run(name, func(t *testing.T) {
			store, b := january(), manifestAt("20260110T000000Z")
			prefix := store.upload(life, b.ID, "db.zst", long)
			left := plan(t, &snapshot.Catalog{Store: store, Cluster: "prod"}).Leftovers[0]
			change(store, b)
			before := len(store.objects)
			if err := left.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "remove "+prefix+": somebody is writing to it") {
				t.Errorf("error %v", err)
			}
			if len(store.objects) != before {
				t.Errorf("left are %q", store.keys())
			}
		})
	}
	store := january()
	store.upload(life, "20260110T000000Z-r8-0001", "db.zst", long)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := plan(t, c)
	carryOut(t, p)
	must(p.Leftovers[0].Remove(t.Context())) // somebody else was quicker
}

// Wherever a removal is interrupted, what is left of the backup is listed
// nowhere, and the next prune takes it away.
func TestAnInterruptedRemovalIsFinishedByTheNext(t *testing.T) {
	v := newVault(t, true)
	must(v.catalog(v.store).Release(t.Context(), v.backups[0], snapshot.Hold{Time: start}))
	whole := inMemory(t, v.store)
	for nth := 1; ; nth++ {
		store, n := whole.clone(), 0
		c := &snapshot.Catalog{Store: &faulty{Store: store, del: func(ctx context.Context, key string) error {
			if n++; n == nth {
				return errDown
			}
			return store.Delete(ctx, key)
		}}, Cluster: "prod"}
		p := must1(c.PlanPrune(t.Context(), lastOne, later(10)))
		d := p.Remove()[0]
		err := apply(t.Context(), p, d)
		if err == nil {
			if nth < 7 {
				t.Errorf("only %d objects were deleted", nth-1)
			}
			return
		}
		if !errors.Is(err, errDown) || !strings.HasPrefix(err.Error(), "remove backup "+d.Backup.ID+": ") {
			t.Errorf("error %v", err)
		}
		backups, problems := list(t, c)
		if want := map[bool]int{true: 2, false: 1}[nth == 1]; len(backups) != want || len(problems) != 0 {
			t.Errorf("interrupted at %d: %d backups, problems %v", nth, len(backups), problems)
		}
		sound := v.catalog(store)
		carryOut(t, must1(sound.PlanPrune(t.Context(), lastOne, later(12))))
		if left := len(store.keys()); left != len(v.names()) {
			t.Errorf("interrupted at %d: left are %q", nth, store.keys())
		}
		wantWholeVault(t, v, store, v.backups[1].ID)
	}
}

// wantWholeVault asserts that exactly the named backup is there, and whole.
func wantWholeVault(t *testing.T, v *vault, store storage.Store, id string) {
	t.Helper()
	if backups, problems := list(t, v.catalog(store)); !slices.Equal(ids(backups), []string{id}) || len(problems) != 0 {
		t.Errorf("listed are %q, problems %v", ids(backups), problems)
	}
	if _, err := v.said(t, v.catalog(store), id); err != nil {
		t.Error(err)
	}
}

func TestLeftoversOfAStoreThatFails(t *testing.T) {
	store := &sweepable{memory: january(), err: errDown}
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	if _, err := c.PlanPrune(t.Context(), lastOne, today); !errors.Is(err, errDown) {
		t.Errorf("error %v", err)
	}
	prefix := store.upload(life, "20260110T000000Z-r8-0001", "db.zst", today.AddDate(0, 0, -2))
	store.err = nil
	f := &faulty{Store: store}
	c.Store = f
	left := plan(t, c).Leftovers[0]
	f.list = errDown
	if err := left.Remove(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("list: %v", err)
	}
	f.list, f.del = nil, func(context.Context, string) error { return storage.ErrLocked }
	if err := left.Remove(t.Context()); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("delete: %v", err)
	}
	if store.objects[prefix+"/db.zst"] == nil {
		t.Error("it is gone")
	}
}
