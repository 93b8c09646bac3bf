package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// named is a store with a name of its own.
type named struct {
	storage.Store
	name string
}

func (n named) String() string { return "memory:" + n.name }

// several is a save into a few stores at once, named 0, 1 and so on.
type several struct {
	*saving
	etcd   *etcd
	member *fakeMember
	stores []*memory
}

func newSeveral(t testing.TB, stores int, destination string) *several {
	e := newKubernetes(t)
	member := newSource(t, e)
	s := &several{saving: newSaving(t, member, destination), etcd: e, member: member}
	s.options.Catalogs = nil
	for i := range stores {
		s.stores = append(s.stores, newMemory())
		s.options.Catalogs = append(s.options.Catalogs, &snapshot.Catalog{Cluster: "prod"})
		s.through(i, &faulty{})
	}
	return s
}

// through lets the save reach store i with faults.
func (s *several) through(i int, f *faulty) {
	f.Store = s.stores[i]
	s.options.Catalogs[i].Store = named{f, fmt.Sprint(i)}
}

// listed are the backups that are really in store i.
func (s *several) listed(i int) []*snapshot.Backup {
	s.Helper()
	backups, problems := list(s, &snapshot.Catalog{Store: s.stores[i], Cluster: "prod"})
	if len(problems) != 0 {
		s.Errorf("store %d: problems %v", i, problems)
	}
	return backups
}

// wantKept asserts that exactly the stores but broken have the backup, whole,
// under one id, and FILE too if it was asked for.
func (s *several) wantKept(saved *snapshot.Saved, broken int) {
	s.Helper()
	if saved == nil || len(saved.Stores) != len(s.stores) {
		s.Fatalf("saved %+v", saved)
	}
	for i, stored := range saved.Stores {
		backups := s.listed(i)
		if i == broken {
			if stored.Backup != nil || stored.Err == nil || len(backups) != 0 {
				s.Errorf("broken store %d: %+v; lists %q", i, stored, ids(backups))
			}
			continue
		}
		if stored.Err != nil || stored.Backup == nil || len(backups) != 1 || backups[0].ID != stored.Backup.ID || stored.Catalog != s.options.Catalogs[i] {
			s.Errorf("store %d: %+v; lists %q", i, stored, ids(backups))
			continue
		}
		wantChecks(s, snapshot.Checks{stored.Check}, "stored bytes match")
		wantWhole(s, s.stores[i], older{stored.Backup.ID: s.etcd.stream()})
		if other := saved.Stores[(broken+1)%len(s.stores)].Backup; other == nil || other.ID != stored.Backup.ID || other.Cluster.Lineage != stored.Backup.Cluster.Lineage {
			s.Errorf("store %d has another id or lineage: %s/%s", i, stored.Backup.Cluster.Lineage, stored.Backup.ID)
		}
	}
	if saved.File != (s.options.File != "") {
		s.Errorf("FILE is kept: %t", saved.File)
	}
	if saved.File && !bytes.Equal(must1(os.ReadFile(s.file())), s.etcd.stream()) {
		s.Error("FILE is not what was streamed")
	}
	if n := s.member.snapshots.Load(); n != 1 {
		s.Errorf("%d streams were opened", n)
	}
	s.wantNoTraces()
}

// withAndWithoutFile does a test for two and three stores.
func withAndWithoutFile(t *testing.T, test func(t *testing.T, stores int, destination string)) {
	for _, stores := range []int{2, 3} {
		for _, destination := range []string{"stores", "file and stores"} {
			t.Run(fmt.Sprintf("%d, %s", stores, destination), func(t *testing.T) { test(t, stores, destination) })
		}
	}
}

func TestOneStreamFillsSeveralStores(t *testing.T) {
	withAndWithoutFile(t, func(t *testing.T, stores int, destination string) {
		s := newSeveral(t, stores, destination)
		s.wantKept(s.mustSave(), -1)
	})
}

// A store that is slow is not waited for by the others.
func TestASlowStoreHoldsBackNoOther(t *testing.T) {
	s := newSeveral(t, 2, "file and stores")
	done := make(chan struct{})
	slow, quick := s.stores[0], s.stores[1]
	s.through(0, &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
		<-done
		return slow.Put(ctx, key, r)
	}})
	s.through(1, &faulty{put: func(ctx context.Context, key string, r io.Reader) error {
		if isManifest(key) {
			defer close(done)
		}
		return quick.Put(ctx, key, r)
	}})
	s.wantKept(s.mustSave(), -1)
}

// Stores that know a life of the cluster go on with it, also where they do not
// agree; the others are told of the first.
func TestSeveralStoresAgreeOnTheLifeOfTheCluster(t *testing.T) {
	a, b := "c1-aaaaaaaa", "c1-bbbbbbbb"
	for _, test := range []struct {
		name  string
		known []string // by store, "" for none
		want  []string // "" for a new one, the same in all
	}{
		{"nobody knows it", []string{"", "", ""}, []string{"", "", ""}},
		{"the first one knows it", []string{a, "", ""}, []string{a, a, a}},
		{"the last one knows it", []string{"", "", b}, []string{b, b, b}},
		{"two know different ones", []string{"", a, b}, []string{a, a, b}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSeveral(t, 3, "stores")
			for i, lineage := range test.known {
				if lineage != "" {
					s.stores[i].commit(inLife(lineage, "20260101T000000Z", raftTerm, raftIndex-1))
				}
			}
			saved := s.mustSave()
			for i, stored := range saved.Stores {
				got, want := stored.Backup.Cluster.Lineage, test.want[i]
				if want == "" {
					want = saved.Stores[0].Backup.Cluster.Lineage
				}
				if got != want || stored.Backup.ID != saved.Stores[0].Backup.ID {
					t.Errorf("store %d: %s/%s, want lineage %s", i, got, stored.Backup.ID, want)
				}
			}
		})
	}
}

func TestAnInterruptLeavesNothingListedAnywhere(t *testing.T) {
	withAndWithoutFile(t, func(t *testing.T, stores int, destination string) {
		s := newSeveral(t, stores, destination)
		ctx, cancel := context.WithCancel(t.Context())
		s.member.snapshot = then(s.etcd.stream()[:9000], func(out snapshotStream) error {
			cancel()
			return silence(out)
		})
		saved, err := snapshot.Save(ctx, s.options)
		if !errors.Is(err, context.Canceled) || saved != nil {
			t.Errorf("saved %+v, error %v", saved, err)
		}
		for i, store := range s.stores {
			if len(store.keys()) != 0 {
				t.Errorf("store %d holds %q", i, store.keys())
			}
		}
		s.wantUntouched()
	})
}

// A stream that is no good is stored nowhere.
func TestABadStreamIsStoredNowhere(t *testing.T) {
	s := newSeveral(t, 3, "file and stores")
	s.member.snapshot = sends(flipped(s.etcd.stream(), 5000))
	err := s.mustFail("SHA-256 of the stream is ")
	if !errors.Is(err, fail.ErrVerification) {
		t.Errorf("error %v", err)
	}
	for i, store := range s.stores {
		if len(store.keys()) != 0 {
			t.Errorf("store %d holds %q", i, store.keys())
		}
	}
	s.wantUntouched()
}

// A store that knows nothing of the cluster gets the life that the caller knows it to
// be in; one that knows better keeps what it knows.
func TestTheLifeThatIsKnownFromElsewhere(t *testing.T) {
	s := newSeveral(t, 1, "stores")
	s.options.Lineage = "c1-12345678"
	first := s.mustSave().Stores[0].Backup
	s.options.Lineage = "c1-87654321"
	second := s.mustSave().Stores[0].Backup
	if first.Cluster.Lineage != "c1-12345678" || second.Cluster.Lineage != "c1-12345678" {
		t.Errorf("%s and %s", first.Cluster.Lineage, second.Cluster.Lineage)
	}
}
