package snapshot_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// life is the lineage that most backups here belong to.
const life = "c1-aaaaaaaa"

// idTime is the time in an id.
const idTime = "20060102T150405Z"

// manifestAt is a manifest of a backup begun at the given time, which is in its
// id too: "20260102T030405Z".
func manifestAt(at string) *snapshot.Manifest {
	started := must1(time.Parse(idTime, at))
	sum := seal.Sum{SHA256: strings.Repeat("ab", 32), Size: 100}
	return &snapshot.Manifest{
		Format: 1, ID: at + "-r8-beef", Kind: snapshot.KindOrdinary,
		Cluster: snapshot.ClusterRef{Name: "prod", ID: "c1", Lineage: life},
		Started: started, Finished: started.Add(time.Minute),
		Revision: 8, RaftTerm: raftTerm, RaftIndex: raftIndex,
		DB: sum, Stored: snapshot.StoredObject{Name: "db.zst", Sum: sum}, Compression: "zstd",
	}
}

// keyOf is where the objects of a backup lie.
func keyOf(m *snapshot.Manifest, name string) string {
	return strings.Join([]string{m.Cluster.Name, m.Cluster.Lineage, "snapshots", m.ID, name}, "/")
}

// commit puts a manifest into the store as a save does.
func (m *memory) commit(manifests ...*snapshot.Manifest) {
	for _, manifest := range manifests {
		m.objects[keyOf(manifest, "manifest.json")] = record(manifest)
	}
}

func ids(backups []*snapshot.Backup) []string {
	var ids []string
	for _, b := range backups {
		ids = append(ids, b.ID)
	}
	return ids
}

func TestBackupsAreListedOldestFirst(t *testing.T) {
	store := newMemory()
	// Started decides, not the id: a clock can have been set back in between.
	late := manifestAt("20260105T000000Z")
	late.Started = must1(time.Parse(idTime, "20260101T000000Z"))
	other := manifestAt("20260102T000000Z")
	other.Cluster.Lineage = "c1-bbbbbbbb"
	foreign := manifestAt("20260103T000000Z")
	foreign.Cluster.Name = "prod2" // shares the first letters
	store.commit(manifestAt("20260104T000000Z"), manifestAt("20260103T000000Z"), late, other, foreign)
	store.objects["prod/"+life+"/snapshots/20260106T000000Z-r8-beef/db.zst"] = []byte("not committed")
	store.objects["prod/"+life+"/log/0001"] = []byte("reserved")

	catalog := &snapshot.Catalog{Store: store, Cluster: "prod"}
	backups, problems := list(t, catalog)
	want := []string{"20260105T000000Z-r8-beef", "20260102T000000Z-r8-beef", "20260103T000000Z-r8-beef", "20260104T000000Z-r8-beef"}
	if got := ids(backups); !reflect.DeepEqual(got, want) || len(problems) != 0 {
		t.Errorf("backups %q, problems %v", got, problems)
	}
	if !reflect.DeepEqual(backups[0].Manifest, late) {
		t.Errorf("manifest %s, want %s", asJSON(backups[0].Manifest), asJSON(late))
	}

	catalog.Lineage = "c1-bbbbbbbb"
	backups, _ = list(t, catalog)
	if got := ids(backups); !reflect.DeepEqual(got, []string{other.ID}) {
		t.Errorf("in one life: %q", got)
	}
}

func TestTheClustersOfAStore(t *testing.T) {
	store := newMemory()
	other := manifestAt("20260102T000000Z")
	other.Cluster.Name = "test"
	store.commit(manifestAt("20260101T000000Z"), manifestAt("20260103T000000Z"), other)
	store.objects["uncommitted/"+life+"/snapshots/20260102T000000Z-r8-beef/db.zst"] = nil
	store.objects["notes/manifest.json"] = nil
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	if got, err := c.Clusters(t.Context()); err != nil || !slices.Equal(got, []string{"prod", "test"}) {
		t.Errorf("%q, error %v", got, err)
	}
	c.Store = &faulty{Store: store, list: errDown}
	if got, err := c.Clusters(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("of a store that is down: %q, error %v", got, err)
	}
}

func TestAnEmptyCatalogIsNoError(t *testing.T) {
	backups, problems := list(t, &snapshot.Catalog{Store: newMemory(), Cluster: "prod"})
	if len(backups) != 0 || len(problems) != 0 {
		t.Errorf("%v, %v", backups, problems)
	}
}

// A manifest that is not to be believed hides no other backup, and is not
// hidden itself.
func TestProblemsAreListedBesideTheBackups(t *testing.T) {
	change := func(f func(*snapshot.Manifest)) []byte {
		m := manifestAt("20260102T000000Z")
		f(m)
		return record(m)
	}
	whole := change(func(*snapshot.Manifest) {})
	tests := []struct {
		name     string
		manifest []byte
		kind     error
		text     string
	}{
		{"empty", nil, fail.ErrVerification, "manifest: damaged"},
		{"without a sum", must1(json.Marshal(manifestAt("20260102T000000Z"))), fail.ErrVerification, "manifest: damaged"},
		{"no JSON", sumAdded("<html>sign in</html>"), fail.ErrVerification, "manifest: not readable"},
		{"cut off", whole[:len(whole)-1], fail.ErrVerification, "manifest: damaged"},
		{"a number where a text belongs", sumAdded(`{"format":1,"id":5`), fail.ErrVerification, "manifest: not readable"},
		{"too large", []byte(strings.Repeat(" ", 4<<20) + string(whole)), fail.ErrVerification, "is too large"},
		{"of a newer etcdha", sumAdded(`{"format":2,"backup":"in another form"`), snapshot.ErrNewerFormat, "manifest: unknown format 2"},
		{"without a format", sumAdded(`{"x":1`), snapshot.ErrNewerFormat, "manifest: unknown format 0"},
		{"moved here from another id", change(func(m *snapshot.Manifest) { m.ID = "20260101T000000Z-r8-beef" }),
			fail.ErrVerification, `manifest of "20260101T000000Z-r8-beef" lies under id "20260102T000000Z-r8-beef"`},
		{"moved here from another life", change(func(m *snapshot.Manifest) { m.Cluster.Lineage = "c1-bbbbbbbb" }),
			fail.ErrVerification, "manifest of prod/c1-bbbbbbbb lies under prod/" + life},
		{"moved here from another cluster", change(func(m *snapshot.Manifest) { m.Cluster.Name = "test" }),
			fail.ErrVerification, "manifest of test/" + life + " lies under prod/" + life},
		{"of an unknown kind", change(func(m *snapshot.Manifest) { m.Kind = "partial" }),
			fail.ErrVerification, `unknown kind "partial"`},
		{"naming an object elsewhere", change(func(m *snapshot.Manifest) { m.Stored.Name = "../other/db.zst" }),
			fail.ErrVerification, `names object "../other/db.zst"`},
		{"with another compression", change(func(m *snapshot.Manifest) { m.Compression = "gzip" }),
			fail.ErrVerification, `compression "gzip"`},
		{"without the sum of the db", change(func(m *snapshot.Manifest) { m.DB.SHA256 = "" }),
			fail.ErrVerification, "no complete sums"},
		{"without the size of the object", change(func(m *snapshot.Manifest) { m.Stored.Size = 0 }),
			fail.ErrVerification, "no complete sums"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := newMemory()
			good := manifestAt("20260103T000000Z")
			store.commit(good)
			store.objects[keyOf(manifestAt("20260102T000000Z"), "manifest.json")] = test.manifest
			catalog := &snapshot.Catalog{Store: store, Cluster: "prod"}
			backups, problems := list(t, catalog)
			if got := ids(backups); !reflect.DeepEqual(got, []string{good.ID}) {
				t.Errorf("backups %q", got)
			}
			if len(problems) != 1 || problems[0].ID != "20260102T000000Z-r8-beef" {
				t.Fatalf("problems %v", problems)
			}
			err := problems[0].Err
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("problem %v", err)
			}
			if errors.Is(err, snapshot.ErrNewerFormat) && fail.Hint(err) != "a newer etcdha wrote it: use that one" {
				t.Errorf("hint %q", fail.Hint(err))
			}
			if _, err := catalog.Resolve(t.Context(), "20260102", nil); !errors.Is(err, test.kind) || !strings.HasPrefix(err.Error(), "backup 20260102T000000Z-r8-beef: ") {
				t.Errorf("resolved by its id: %v", err)
			}
		})
	}
}

// A store that does not answer must not look like an empty one.
func TestAStoreThatFailsIsNoEmptyCatalog(t *testing.T) {
	unavailable := errors.Join(storage.ErrUnavailable, errDown)
	store := newMemory()
	store.commit(manifestAt("20260102T000000Z"), manifestAt("20260103T000000Z"))
	tests := map[string]*faulty{
		"while listing": {Store: store, list: unavailable},
		"while a manifest is opened": {Store: store, open: func(context.Context, string) (io.ReadCloser, error) {
			return nil, unavailable
		}},
		"while a manifest is read": {Store: store, open: func(context.Context, string) (io.ReadCloser, error) {
			return io.NopCloser(failingReader{unavailable}), nil
		}},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			catalog := &snapshot.Catalog{Store: f, Cluster: "prod"}
			if _, problems, err := catalog.List(t.Context()); !errors.Is(err, errDown) || len(problems) != 0 {
				t.Errorf("list: %v, problems %v", err, problems)
			}
			if _, err := catalog.Resolve(t.Context(), snapshot.Latest, nil); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("resolve: %v", err)
			}
		})
	}
}
