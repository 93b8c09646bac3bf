package snapshot_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdha/etcdha/snapshot"
)

// verified is a snapshot that was found good.
func verified(t testing.TB, stream []byte) *snapshot.Verification {
	t.Helper()
	v, err := snapshot.Verify(t.Context(), bytes.NewReader(stream), int64(len(stream)), newClock().Now)
	if err != nil || v.Checks.Err() != nil {
		t.Fatalf("error %v, checks %+v", err, v.Checks)
	}
	return v
}

// live compares the snapshot with one member, and returns the only check.
func live(t testing.TB, v *snapshot.Verification, m *fakeMember) snapshot.Check {
	t.Helper()
	checks := connect(t, m).Live(t.Context(), v.DB, v.Report, m.id(), false, newClock().Now)
	if len(checks) != 1 || checks[0].Name != "live" {
		t.Fatalf("checks %+v", checks)
	}
	return checks[0]
}

// What has happened to a cluster since its snapshot was taken, and what its
// member then says. The member's answers are etcd's own.
func TestComparingWithAClusterThatHasGoneOn(t *testing.T) {
	tests := []struct {
		name    string
		since   func(*etcd)
		verdict snapshot.Verdict
		detail  string
		hashes  int32
	}{
		{"nothing", func(*etcd) {}, snapshot.Match, " at revision 8, same on m1 (http://127.0.0.1:", 1},
		{"writes", func(e *etcd) { e.put("more", "1"); e.put("/registry/zzz", "five") }, snapshot.Match, "at revision 8", 1},
		{"writes and a compaction before the snapshot", func(e *etcd) {
			e.put("more", "1")
			e.compact(6)
		}, snapshot.Match, "at revision 8", 1},
		{"a compaction at the snapshot, which is answered from the cache", func(e *etcd) {
			e.compact(8)
		}, snapshot.Match, "at revision 8", 1},
		{"a compaction behind the snapshot", func(e *etcd) {
			e.put("more", "1")
			e.put("more", "2")
			e.compact(10)
		}, snapshot.NotComparable, "revision 8 is compacted away on m1", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := newKubernetes(t)
			v := verified(t, e.stream())
			test.since(e)
			member := newSource(t, e)
			got := live(t, v, member)
			if got.Verdict != test.verdict || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("%+v", got)
			}
			if n := member.hashes.Load(); n != test.hashes {
				t.Errorf("%d hashes were asked for", n)
			}
		})
	}
}

// A snapshot that was taken after a compaction of its newest revision: the
// member answers from its cache, with the compact revision of before, which is
// more than the snapshot holds. Revision 0 goes past the cache.
func TestAnAnswerFromTheCacheIsAskedAgain(t *testing.T) {
	compacted := func(t *testing.T) (*etcd, *snapshot.Verification) {
		e := newKubernetes(t)
		e.compact(8)
		return e, verified(t, e.stream())
	}
	t.Run("and the second answer fits", func(t *testing.T) {
		e, v := compacted(t)
		if first := must1(e.hashKV(8)); first.CompactRevision != 4 {
			t.Fatalf("etcd answers with compact revision %d: this proves nothing", first.CompactRevision)
		}
		member := newSource(t, e)
		if got := live(t, v, member); got.Verdict != snapshot.Match || member.hashes.Load() != 2 {
			t.Errorf("%+v after %d hashes", got, member.hashes.Load())
		}
	})
	t.Run("and meanwhile something was written", func(t *testing.T) {
		e, v := compacted(t)
		member := newSource(t, e)
		member.hashKV = func(revision int64) (*pb.HashKVResponse, error) {
			if revision == 0 {
				e.put("more", "1")
			}
			return e.hashKV(revision)
		}
		if got := live(t, v, member); got.Verdict != snapshot.NotComparable || !strings.Contains(got.Detail, "has gone on to revision 9") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("and etcd 3.5 does not say what it has hashed", func(t *testing.T) {
		e, v := compacted(t)
		member := newSource(t, e)
		member.hashKV = func(revision int64) (*pb.HashKVResponse, error) {
			resp, err := e.hashKV(revision)
			resp.HashRevision = 0
			return resp, err
		}
		if got := live(t, v, member); got.Verdict != snapshot.Match || member.hashes.Load() != 2 {
			t.Errorf("%+v after %d hashes", got, member.hashes.Load())
		}
	})
	t.Run("but not of a member that has gone on", func(t *testing.T) {
		e, v := compacted(t)
		e.put("more", "1")
		member := newSource(t, e)
		got := live(t, v, member)
		if got.Verdict != snapshot.NotComparable || !strings.Contains(got.Detail, "hashed from compact revision 4, the snapshot has 8") {
			t.Errorf("%+v", got)
		}
		if n := member.hashes.Load(); n != 1 {
			t.Errorf("%d hashes were asked for", n)
		}
	})
}

func TestAMemberThatHoldsSomethingElse(t *testing.T) {
	e := newKubernetes(t)
	v := verified(t, replaced(t, e.stream(), "one, changed", "one, damaged"))
	want := fmt.Sprintf("%08x on m1", must1(e.hashKV(8)).Hash)
	got := live(t, v, newSource(t, e))
	if got.Verdict != snapshot.Mismatch || !strings.Contains(got.Detail, want) || !strings.Contains(got.Detail, "HashKV at revision 8 is ") {
		t.Errorf("%+v", got)
	}
}

func TestAMemberThatCannotSay(t *testing.T) {
	v := verified(t, newKubernetes(t).stream())
	behind := newEtcd(t)
	behind.put("a", "1")
	tests := []struct {
		name   string
		hashKV func(int64) (*pb.HashKVResponse, error)
		detail string
	}{
		{"behind", behind.hashKV, "has not reached revision 8"},
		{"without the right", func(int64) (*pb.HashKVResponse, error) {
			return nil, status.Error(codes.PermissionDenied, "etcdserver: permission denied")
		}, "the user may not do this"},
		{"broken", func(int64) (*pb.HashKVResponse, error) {
			return nil, status.Error(codes.Internal, "input/output error")
		}, "input/output error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			member := newMember(t, 1)
			member.hashKV = test.hashKV
			if got := live(t, v, member); got.Verdict != snapshot.NotComparable || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Members are asked one at a time, the leader last; those that the endpoints
// left out are found.
func TestAllMembersAreAskedTheLeaderLast(t *testing.T) {
	e := newKubernetes(t)
	v := verified(t, e.stream())
	members := three(t)
	var order []uint64 // one at a time: the race detector watches
	for _, m := range members {
		m.hashKV = func(revision int64) (*pb.HashKVResponse, error) {
			order = append(order, m.id())
			if m.id() == 3 {
				return &pb.HashKVResponse{Header: m.status.Header, Hash: 1, CompactRevision: 4, HashRevision: 8}, nil
			}
			return e.hashKV(revision)
		}
	}
	members[1].members = append(members[1].members, &pb.Member{ID: 4, Name: "m4", ClientURLs: []string{deadURL(t)}})
	checks := connect(t, members[1]).Live(t.Context(), v.DB, v.Report, 0, true, newClock().Now)
	if want := []uint64{1, 3, leaderID}; !slices.Equal(order, want) {
		t.Errorf("asked %v, want %v", order, want)
	}
	wantChecks(t, checks, "live not-comparable", "live match", "live mismatch", "live match")
	if got := checks[0].Detail; got != "m4 (4) does not answer" {
		t.Errorf("the first says %q", got)
	}
}

func TestTheMemberThatASnapshotCameFromIsAsked(t *testing.T) {
	e := newKubernetes(t)
	v := verified(t, e.stream())
	members := three(t)
	for _, m := range members {
		m.hashKV = e.hashKV
	}
	tests := []struct {
		name   string
		source uint64
		want   string // in the detail
	}{
		{"known and connected", leaderID, "same on m2"},
		{"known, to be found", 3, "same on m3"},
		{"not known", 0, "same on m2"},
		{"gone", 9, "member 9, which it came from, does not answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checks := connect(t, members[1]).Live(t.Context(), v.DB, v.Report, test.source, false, newClock().Now)
			if len(checks) != 1 || !strings.Contains(checks[0].Detail, test.want) {
				t.Errorf("%+v", checks)
			}
		})
	}
}

// An etcd that nothing was ever written to has revision 1 and no records.
func TestAnEmptyEtcdIsComparedToo(t *testing.T) {
	e := newEtcd(t)
	v := verified(t, e.stream())
	if got := live(t, v, newSource(t, e)); got.Verdict != snapshot.Match {
		t.Errorf("%+v", got)
	}
	e.put("a", "1")
	if got := live(t, v, newSource(t, e)); got.Verdict != snapshot.Match || !strings.Contains(got.Detail, "at revision 1,") {
		t.Errorf("when something was written: %+v", got)
	}
	if v.Report.Revision != 0 || v.Report.TotalKeys != 0 {
		t.Errorf("report %+v", v.Report)
	}
}
