package snapshot_test

import (
	"context"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/snapshot"
)

// A prune gives an interrupted copy up at the moment when the copy goes on. One
// of them notices, whichever comes last, and no backup without data is listed.
func TestACopyThatIsSweptMeanwhile(t *testing.T) {
	k := keep(t, 3)
	target := newMemory()
	_, err := k.catalog.Copy(t.Context(), k.backup, swept(target))
	if err == nil || !strings.Contains(err.Error(), "do it again") {
		t.Errorf("error %v", err)
	}
	c := &snapshot.Catalog{Store: target, Cluster: "prod"}
	if backups, problems := list(t, c); len(backups) != 0 || len(problems) != 0 {
		t.Errorf("listed: %q, %v", ids(backups), problems)
	}
	if _, err := k.catalog.Copy(t.Context(), k.backup, target); err != nil {
		t.Errorf("copied again: %v", err)
	}
	if backups, _ := list(t, c); len(backups) != 1 {
		t.Errorf("listed: %q", ids(backups))
	}
}

// swept is a store from which the data goes before the manifest comes: the prune
// has looked before, and removes now.
func swept(target *memory) *faulty {
	return &faulty{Store: target, put: func(ctx context.Context, key string, r io.Reader) error {
		if isManifest(key) {
			must(target.Delete(ctx, path.Join(path.Dir(key), "db.zst")))
		}
		return target.Put(ctx, key, r)
	}}
}

func TestASweepThatIsOvertakenByACopy(t *testing.T) {
	k := keep(t, 3)
	manifest := keyOf(k.backup.Manifest, "manifest.json")
	kept := k.store.objects[manifest]
	delete(k.store.objects, manifest) // a copy that was interrupted, long ago

	overtaken := &faulty{Store: k.store, del: func(ctx context.Context, key string) error {
		if !isManifest(key) {
			k.store.objects[manifest] = kept
		}
		return k.store.Delete(ctx, key)
	}}
	pruner := &snapshot.Catalog{Store: overtaken, Cluster: "prod"}
	plan := must1(pruner.PlanPrune(t.Context(), lastOne, later(30)))
	if len(plan.Leftovers) != 1 {
		t.Fatalf("leftovers %v", plan.Leftovers)
	}
	err := plan.Leftovers[0].Remove(t.Context())
	if err == nil || !strings.Contains(err.Error(), "do it again") {
		t.Errorf("error %v", err)
	}
	if backups, problems := list(t, k.catalog); len(backups) != 0 || len(problems) != 0 {
		t.Errorf("listed: %q, %v", ids(backups), problems)
	}
}
