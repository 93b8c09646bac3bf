package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/retention"
	"github.com/etcdha/etcdha/storage"
)

// lastOne removes all that it may.
var lastOne = retention.Policy{Last: 1, Location: time.UTC}

// today is when plans are made.
var today = must1(time.Parse(idTime, "20260201T000000Z"))

// commitWhole puts manifests with the objects that they speak of.
func (m *memory) commitWhole(manifests ...*snapshot.Manifest) {
	m.commit(manifests...)
	for _, manifest := range manifests {
		m.objects[keyOf(manifest, "db.zst")] = []byte("data of " + manifest.ID)
	}
}

// january has backups of one life on the 1st to the 4th of January.
func january() *memory {
	store := newMemory()
	for day := range 4 {
		store.commitWhole(manifestAt(fmt.Sprintf("2026010%dT000000Z", day+1)))
	}
	return store
}

func plan(t testing.TB, c *snapshot.Catalog) *snapshot.PrunePlan {
	t.Helper()
	p, err := c.PlanPrune(t.Context(), lastOne, today)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// days are those of the backups that a plan removes, or else of those it keeps.
func days(p *snapshot.PrunePlan, kept bool) string {
	var days []string
	for _, d := range p.Decisions {
		if d.Keep == kept {
			days = append(days, d.Backup.ID[6:8])
		}
	}
	return strings.Join(days, " ")
}

func carryOut(t testing.TB, p *snapshot.PrunePlan) {
	t.Helper()
	if err := p.ApplyAll(t.Context(), snapshot.ApplyOptions{}); err != nil {
		t.Error(err)
	}
}

// Whoever may not act any more hears of it right before a removal, and removes nothing
// more.
func TestAPruneEndsWhenItMayNotAct(t *testing.T) {
	store := january()
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := plan(t, c)
	passive, asked := errors.New("another one may be active"), 0
	var told []string
	err := p.ApplyAll(t.Context(), snapshot.ApplyOptions{
		MayAct: func() error {
			if asked++; asked > 1 {
				return passive
			}
			return nil
		},
		Done: func(name string, err error) { told = append(told, fmt.Sprint(name[:8], " ", err == nil)) },
	})
	if !errors.Is(err, passive) || asked != 2 || !slices.Equal(told, []string{"20260103 true", "20260102 false"}) {
		t.Errorf("asked %d times, told %q: %v", asked, told, err)
	}
	if left, _ := list(t, c); len(left) != 3 {
		t.Errorf("%d backups are left", len(left))
	}
}

func TestPruneRemovesWhatThePlanSays(t *testing.T) {
	store := january()
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := plan(t, c)
	if p.Lineage != life || days(p, true) != "04" || days(p, false) != "03 02 01" || len(p.Others)+len(p.Problems)+len(p.Leftovers) != 0 {
		t.Errorf("plan %+v", p)
	}
	carryOut(t, p)
	newest := manifestAt("20260104T000000Z")
	if want := []string{keyOf(newest, "db.zst"), keyOf(newest, "manifest.json")}; !slices.Equal(store.keys(), want) {
		t.Errorf("left are %q, want %q", store.keys(), want)
	}
	again := plan(t, c)
	if len(again.Remove()) != 0 {
		t.Errorf("a second plan removes %s", days(again, false))
	}
}

// A plan is about one life of the cluster. The others are not touched, whatever
// was never finished in them.
func TestAPlanIsAboutOneLife(t *testing.T) {
	store := january()
	old, future, survivor := "c1-00000000", "c1-ffffffff", "c1-eeeeeeee"
	store.commitWhole(inLife(old, "20251201T000000Z", 1, 1), inLife(old, "20251202T000000Z", 1, 2), inLife(old, "20251203T000000Z", 1, 3),
		inLife(future, "20270101T000000Z", 1, 1), inLife(future, "20270102T000000Z", 1, 1))
	emergency := inLife(survivor, "20260105T000000Z", 1, 1)
	emergency.Kind = snapshot.KindEmergency
	store.commitWhole(emergency)
	store.objects["prod/"+old+"/snapshots/20251204T000000Z-r8-beef/db.zst"] = []byte("never finished")
	before := len(store.objects)

	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := plan(t, c)
	want := []snapshot.OtherLineage{
		{Lineage: old, Backups: 3, Newest: must1(time.Parse(idTime, "20251203T000000Z"))},
		{Lineage: survivor, Backups: 1, Newest: emergency.Started},
		{Lineage: future, Backups: 2, Newest: must1(time.Parse(idTime, "20270102T000000Z"))},
	}
	if p.Lineage != life || days(p, false) != "03 02 01" || !reflect.DeepEqual(p.Others, want) || len(p.Leftovers) != 0 {
		t.Errorf("lineage %s, removes %s, others %+v, leftovers %+v", p.Lineage, days(p, false), p.Others, p.Leftovers)
	}
	carryOut(t, p)
	if len(store.objects) != before-6 {
		t.Errorf("%d objects of %d are left", len(store.objects), before)
	}

	c.Lineage = old // asked for by name
	p = plan(t, c)
	if p.Lineage != old || days(p, false) != "02 01" || len(p.Others) != 3 || len(p.Leftovers) != 1 {
		t.Errorf("lineage %s, removes %s, others %+v, leftovers %+v", p.Lineage, days(p, false), p.Others, p.Leftovers)
	}
	carryOut(t, p)
	if len(store.objects) != before-6-5 {
		t.Errorf("%d objects of %d are left", len(store.objects), before)
	}
}

func TestAnEmptyStoreHasAnEmptyPlan(t *testing.T) {
	p := plan(t, &snapshot.Catalog{Store: newMemory(), Cluster: "prod"})
	if p.Lineage != "" || len(p.Decisions)+len(p.Others)+len(p.Problems)+len(p.Leftovers) != 0 {
		t.Errorf("plan %+v", p)
	}
}

// An older life is not taken for the one that goes on only because the newer
// one cannot be read: all of it would be pruned by mistake.
func TestALifeThatCannotBeReadIsNotPassedOver(t *testing.T) {
	store := january()
	newer := inLife("c1-bbbbbbbb", "20260110T000000Z", 1, 1)
	store.objects[keyOf(newer, "manifest.json")] = sumAdded(`{"format":2`)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	_, err := c.PlanPrune(t.Context(), lastOne, today)
	if !errors.Is(err, snapshot.ErrNewerFormat) || !strings.Contains(err.Error(), "backup "+newer.ID+" of c1-bbbbbbbb cannot be read") {
		t.Errorf("error %v", err)
	}
	c.Lineage = life
	if p := plan(t, c); days(p, false) != "03 02 01" || len(p.Problems) != 1 {
		t.Errorf("the life that was chosen: %+v", p)
	}
	c.Lineage = ""
	for name, id := range map[string]string{"an older one": "20251231T000000Z-r8-beef", "one dated in the future": "20270101T000000Z-r8-beef", "no id": "notes"} {
		store := january()
		store.objects["prod/c1-bbbbbbbb/snapshots/"+id+"/manifest.json"] = nil
		c.Store = store
		if p := plan(t, c); p.Lineage != life || len(p.Problems) != 1 {
			t.Errorf("%s: plan %+v", name, p)
		}
	}
}

// What cannot be read is told, and stays with all that lies beside it.
func TestWhatCannotBeReadIsNotTouched(t *testing.T) {
	second := manifestAt("20260102T000000Z")
	for name, damage := range map[string]func(*memory){
		"manifest":     func(m *memory) { m.objects[keyOf(second, "manifest.json")] = []byte("{") },
		"report":       func(m *memory) { m.objects[keyOf(second, "reports/20260103T000000Z-rehearsal.json")] = []byte("{") },
		"verification": func(m *memory) { m.objects[keyOf(second, "reports/20260103T000000Z-verification.json")] = nil },
		"report of tomorrow": func(m *memory) {
			m.objects[keyOf(second, "reports/20260103T000000Z-verification.json")] = sumAdded(`{"format":2`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := january()
			damage(store)
			c := &snapshot.Catalog{Store: store, Cluster: "prod"}
			p := plan(t, c)
			if len(p.Problems) != 1 || p.Problems[0].ID != second.ID || p.Problems[0].Lineage != life || days(p, false) != "03 01" || days(p, true) != "04" {
				t.Fatalf("problems %v, removes %s, keeps %s", p.Problems, days(p, false), days(p, true))
			}
			carryOut(t, p)
			if store.objects[keyOf(second, "db.zst")] == nil || len(store.objects) < 4 {
				t.Errorf("left are %q", store.keys())
			}
		})
	}
}

func TestTheManifestIsDeletedFirst(t *testing.T) {
	store := inMemory(t, newVault(t, true).store)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	backups, _ := list(t, c)
	must(c.Release(t.Context(), backups[0], snapshot.Hold{Time: start}))
	var deleted []string
	c.Store = &faulty{Store: store, del: func(ctx context.Context, key string) error {
		deleted = append(deleted, path.Base(key))
		return store.Delete(ctx, key)
	}}
	p := must1(c.PlanPrune(t.Context(), lastOne, later(10)))
	carryOut(t, p)
	if len(p.Remove()) != 1 || len(deleted) == 0 || deleted[0] != "manifest.json" || deleted[1] != "db.zst.age" {
		t.Errorf("deleted are %q", deleted)
	}
	if left := len(store.keys()); left != 6 {
		t.Errorf("left are %q", store.keys())
	}
}

// Two who carry out one plan at the same time do no harm and see none.
func TestTwoPrunersAtOnce(t *testing.T) {
	store, all := takeBackups(t, 6).copied(t)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := must1(c.PlanPrune(t.Context(), lastOne, later(30)))
	var pruners sync.WaitGroup
	for range 2 {
		pruners.Go(func() { carryOut(t, p) })
	}
	pruners.Wait()
	wantWhole(t, store, all, p.Decisions[0].Backup.ID)
	if backups, problems := list(t, c); len(backups) != 1 || len(problems) != 0 {
		t.Errorf("%q are left, problems %v", ids(backups), problems)
	}
	for o, err := range store.List(t.Context(), "") {
		if err != nil || !strings.Contains(o.Key, p.Decisions[0].Backup.ID) {
			t.Errorf("left is %s, %v", o.Key, err)
		}
	}
}

func TestAPlanOfAStoreThatFails(t *testing.T) {
	store := january()
	for name, f := range map[string]*faulty{
		"to list": {Store: store, list: errDown},
		"to open": brokenAt(store, "manifest.json", fmt.Errorf("%w: %w", storage.ErrUnavailable, errDown)),
	} {
		if p, err := (&snapshot.Catalog{Store: f, Cluster: "prod"}).PlanPrune(t.Context(), lastOne, today); !errors.Is(err, errDown) || p != nil {
			t.Errorf("%s: %+v, error %v", name, p, err)
		}
	}
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := plan(t, c)
	c.Store = &faulty{Store: store, list: errDown}
	if err := apply(t.Context(), p, p.Remove()[0]); !errors.Is(err, errDown) || errors.Is(err, fail.ErrVerification) {
		t.Errorf("remove: %v", err)
	}
	if len(store.objects) != 8 {
		t.Errorf("left are %q", store.keys())
	}
}
