package snapshot_test

import (
	"context"
	"errors"
	"regexp"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

// inLife is a manifest of a backup in the given life of cluster c1.
func inLife(lineage, at string, term, index uint64) *snapshot.Manifest {
	m := manifestAt(at)
	m.Cluster.Lineage, m.RaftTerm, m.RaftIndex = lineage, term, index
	return m
}

// twoLives is a cluster that lived up to raft index 5000, and was made again
// with the same names, so that its id is the same, and has come to index 300.
func twoLives() *snapshot.Catalog {
	store := newMemory()
	store.commit(
		inLife("c1-aaaaaaaa", "20260101T000000Z", 7, 4000),
		inLife("c1-aaaaaaaa", "20260102T000000Z", 7, 5000),
		inLife("c1-bbbbbbbb", "20260103T000000Z", 2, 200),
		inLife("c1-bbbbbbbb", "20260104T000000Z", 2, 300),
	)
	return &snapshot.Catalog{Store: store, Cluster: "prod"}
}

func answers(cluster, term, index uint64) func(context.Context) *pb.StatusResponse {
	return func(context.Context) *pb.StatusResponse {
		return &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: cluster}, RaftTerm: term, RaftIndex: index}
	}
}

func nobody(context.Context) *pb.StatusResponse { return nil }

func TestTheLiveClusterDecidesBetweenLives(t *testing.T) {
	tests := []struct {
		name string
		ref  string
		live func(context.Context) *pb.StatusResponse
		want string // "" if nothing decides
	}{
		{"the younger life goes on", "latest", answers(clusterID, 2, 300), "20260104T000000Z-r8-beef"},
		{"it has gone on since", "latest", answers(clusterID, 3, 9000), "20260104T000000Z-r8-beef"},
		{"a time is about one life too", "@2026-01-03T12:00:00Z", answers(clusterID, 2, 300), "20260103T000000Z-r8-beef"},
		{"an id is about none", "20260102", nobody, "20260102T000000Z-r8-beef"},
		{"nobody answers", "latest", nobody, ""},
		{"nobody is asked", "latest", nil, ""},
		{"another cluster answers", "latest", answers(0xc2, 9, 9000), ""},
		{"the log has gone back: a third life", "latest", answers(clusterID, 2, 299), ""},
		{"the term has gone back: a third life", "latest", answers(clusterID, 1, 300), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := twoLives().Resolve(t.Context(), test.ref, test.live)
			if test.want != "" {
				if err != nil || b.ID != test.want {
					t.Errorf("%v, error %v", b, err)
				}
				return
			}
			text := "the store holds several lives of cluster prod: " +
				"prod/c1-aaaaaaaa (newest 2026-01-02T00:00:00Z), prod/c1-bbbbbbbb (newest 2026-01-04T00:00:00Z)"
			if !errors.Is(err, fail.ErrUsage) || err.Error() != text || fail.Hint(err) != "--cluster NAME/LINEAGE chooses one" {
				t.Errorf("%v, error %v, hint %q", b, err, fail.Hint(err))
			}
		})
	}
}

// A backup is compared with the cluster only in one and the same life.
func TestABackupAndTheLiveClusterShareALife(t *testing.T) {
	c := twoLives()
	backups, _ := list(t, c)
	older, younger := backups[0], backups[3]
	for _, test := range []struct {
		name   string
		backup *snapshot.Backup
		live   *pb.StatusResponse
		want   bool
	}{
		{"the life that goes on", younger, answers(clusterID, 2, 300)(t.Context()), true},
		{"the life before", older, answers(clusterID, 2, 300)(t.Context()), false},
		{"a third life", younger, answers(clusterID, 1, 10)(t.Context()), false},
		{"another cluster", younger, answers(0xc2, 2, 300)(t.Context()), false},
	} {
		if got, err := c.SameLife(t.Context(), test.backup, test.live); err != nil || got != test.want {
			t.Errorf("%s: %t, error %v", test.name, got, err)
		}
	}
	c.Lineage = younger.Cluster.Lineage // what is shown does not matter
	if got, err := c.SameLife(t.Context(), older, answers(clusterID, 7, 5000)(t.Context())); err != nil || got {
		t.Errorf("of a life that is not shown: %t, error %v", got, err)
	}
	c.Store = &faulty{Store: c.Store, list: errDown}
	if _, err := c.SameLife(t.Context(), older, answers(clusterID, 2, 300)(t.Context())); !errors.Is(err, errDown) {
		t.Errorf("of a store that is down: error %v", err)
	}
}

func TestAChosenLifeNeedsNoLiveCluster(t *testing.T) {
	c := twoLives()
	c.Lineage = "c1-aaaaaaaa"
	b, err := c.Resolve(t.Context(), "latest", func(context.Context) *pb.StatusResponse {
		t.Error("the live cluster was asked")
		return nil
	})
	if err != nil || b.ID != "20260102T000000Z-r8-beef" {
		t.Errorf("%v, error %v", b, err)
	}
}

func TestASaveGoesOnWithTheLifeOfItsCluster(t *testing.T) {
	newLife := regexp.MustCompile(`^c1-[0-9a-f]{8}$`)
	tests := []struct {
		name        string
		earlier     []*snapshot.Manifest
		term, index uint64
		want        string // "" for a new one
	}{
		{"the first backup", nil, 4, 1000, ""},
		{"the log has gone on", []*snapshot.Manifest{inLife(life, "20260101T000000Z", 4, 999)}, 4, 1000, life},
		{"nothing was written since", []*snapshot.Manifest{inLife(life, "20260101T000000Z", 4, 1000)}, 4, 1000, life},
		{"the raft index has gone back", []*snapshot.Manifest{inLife(life, "20260101T000000Z", 4, 1001)}, 4, 1000, ""},
		{"the raft term has gone back", []*snapshot.Manifest{inLife(life, "20260101T000000Z", 5, 1000)}, 4, 2000, ""},
		{"an older life with the same id", []*snapshot.Manifest{
			inLife("c1-00000000", "20260101T000000Z", 1, 5), inLife(life, "20260102T000000Z", 4, 1001)}, 4, 1000, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			member := newSource(t, newKubernetes(t))
			member.status.RaftTerm, member.status.RaftIndex = test.term, test.index
			s := newSaving(t, member, "store")
			store := newMemory()
			store.commit(test.earlier...)
			s.options.Catalogs = []*snapshot.Catalog{{Store: store, Cluster: "prod"}}
			got := s.mustSave().Stores[0].Backup.Cluster.Lineage
			switch {
			case test.want != "" && got != test.want:
				t.Errorf("lineage %s, want %s", got, test.want)
			case test.want == "" && !newLife.MatchString(got):
				t.Errorf("lineage %s has another form", got)
			}
			for _, m := range test.earlier {
				if test.want == "" && m.Cluster.Lineage == got {
					t.Errorf("lineage %s is not a new one", got)
				}
			}
		})
	}
}

// A catalog that shows one life only must not lead to a second one.
func TestASaveLooksAtAllLives(t *testing.T) {
	store := newMemory()
	store.commit(inLife("c1-00000000", "20260101T000000Z", 9, 9000), inLife(life, "20260102T000000Z", 4, 1000))
	s := newSaving(t, newSource(t, newKubernetes(t)), "store")
	s.options.Catalogs = []*snapshot.Catalog{{Store: store, Cluster: "prod", Lineage: "c1-00000000"}}
	if got := s.mustSave().Stores[0].Backup.Cluster.Lineage; got != life {
		t.Errorf("lineage %s, want %s", got, life)
	}
}

// A survivor that is behind the last backup is saved into the life that it is
// of, where it does not hide that backup, and does not lower the bar for the next.
func TestAnEmergencyBackupBeginsNoLife(t *testing.T) {
	store := newMemory()
	store.commit(inLife(life, "20260101T000000Z", 4, 5000))
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	member := newSource(t, newKubernetes(t))
	member.status.RaftTerm, member.status.RaftIndex = 4, 4000
	s := newSaving(t, member, "store")
	s.options.Catalogs, s.options.Emergency = []*snapshot.Catalog{c}, true
	saved := s.mustSave().Stores[0].Backup
	if saved.Cluster.Lineage != life || saved.Kind != snapshot.KindEmergency {
		t.Errorf("lineage %s, kind %s", saved.Cluster.Lineage, saved.Kind)
	}
	for _, live := range []func(context.Context) *pb.StatusResponse{nobody, answers(clusterID, 4, 4000), answers(clusterID, 5, 6000)} {
		if b, err := c.Resolve(t.Context(), "latest", live); err != nil || b.ID != "20260101T000000Z-r8-beef" {
			t.Errorf("latest is %v, error %v", b, err)
		}
	}
	if same, err := c.SameLife(t.Context(), saved, answers(clusterID, 4, 4500)(t.Context())); err != nil || same {
		t.Errorf("a log behind the last ordinary backup is that life: %t, %v", same, err)
	}
}
