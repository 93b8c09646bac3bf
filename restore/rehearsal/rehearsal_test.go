package rehearsal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/restore/rehearsal"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

var allStages = []string{
	"restore", "boot", "leases", "alarms", "hash", "read", "keys", "write",
	"bumped restore", "bumped boot", "bumped leases", "bumped alarms", "bumped content", "bumped read", "bumped history", "bumped write",
}

func stageNames(checks snapshot.Checks) []string {
	var all []string
	for _, c := range checks {
		all = append(all, c.Name)
	}
	return all
}

func TestAGoodSnapshotPassesEveryStage(t *testing.T) {
	for _, members := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d members", members), func(t *testing.T) {
			good := newSnapshot(t, true)
			s := newStage(t, members)
			s.options.Kubernetes = true
			snap := verified(t, good, good, good)
			checks := s.mustPass(snap)
			if got := stageNames(checks); !reflect.DeepEqual(got, allStages) {
				t.Errorf("stages %q", got)
			}
			if n := len(s.started()); n != 2*members {
				t.Errorf("%d processes ran", n)
			}
			revision := snap.Report.Revision
			for name, want := range map[string]string{
				"restore":        fmt.Sprintf("data directories for %d", members),
				"boot":           fmt.Sprintf("all %d follow one leader", members),
				"leases":         "all 1 present",
				"alarms":         "none",
				"hash":           fmt.Sprintf("HashKV %08x at revision %d on all %d", snap.Report.HashKV, revision, members),
				"keys":           "4 keys under 2 prefixes read back equal",
				"write":          fmt.Sprintf("committed at revision %d", revision+1),
				"bumped content": fmt.Sprintf("%d keys equal on all %d", podCount-2+1, members),
				"bumped history": fmt.Sprintf("compacted up to revision %d", revision+1_000_000_000),
				"bumped write":   fmt.Sprintf("committed at revision %d", revision+1_000_000_001),
			} {
				if got := detail(t, checks, name); !strings.HasPrefix(got, want) {
					t.Errorf("%s says %q, want %q", name, got, want)
				}
			}
		})
	}
}

// What the snapshot of a live cluster brings along does not fail it, but is
// told where it matters.
func TestWhatASnapshotBringsAlong(t *testing.T) {
	good := newSnapshot(t, false)
	empty := func(be backend.Backend) {
		tx := be.BatchTx()
		tx.LockOutsideApply()
		defer tx.Unlock()
		for _, name := range []string{dbfile.BucketKey, "lease"} {
			bucket := bucketNamed(name)
			tx.UnsafeDeleteBucket(bucket)
			tx.UnsafeCreateBucket(bucket)
		}
	}
	tests := []struct {
		name   string
		snap   rehearsal.Snapshot
		stages map[string]string
	}{
		{"alarms that block writes", same(t, altered(t, good, withAlarm)), map[string]string{
			"alarms": "1 inherited (NOSPACE), cleared in the throwaway; a real restore needs: etcdctl alarm disarm",
			"write":  "committed at revision ",
		}},
		{"authentication", same(t, altered(t, good, withAuth)), map[string]string{"write": "committed at revision "}},
		{"a history that was never compacted", same(t, good), map[string]string{"hash": "HashKV "}},
		{"nothing at all", same(t, altered(t, good, empty)), map[string]string{
			"leases": "all 0 present", "keys": "0 keys under 0 prefixes", "write": "committed at revision 2",
			"bumped content": "0 keys equal",
		}},
		{"the mark of an earlier restore with a bump", same(t, altered(t, good, withBump)), map[string]string{
			"hash": "HashKV ", "write": fmt.Sprintf("committed at revision %d", bumped+1), "bumped content": fmt.Sprintf("%d keys equal", podCount-2+1),
		}},
		{"keys that were all deleted", same(t, newDeserted(t, false)), map[string]string{
			"keys": "2 keys under 1 prefixes read back equal", "write": "committed at revision 5", "bumped content": "0 keys equal", "hash": "HashKV ",
		}},
		{"keys that were all deleted, compacted to the end", same(t, newDeserted(t, true)), map[string]string{
			"keys": "2 keys under 1 prefixes read back equal", "write": "committed at revision 5", "hash": "HashKV ",
		}},
		{"a lease that has run out", verified(t, good, altered(t, good, withLease(0x18, 1)), good), map[string]string{
			"leases": "1 present, 1 ran out meanwhile as they should",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			_, s.options.Kubernetes = test.stages["bumped content"]
			checks := s.mustPass(test.snap)
			for name, want := range test.stages {
				if got := detail(t, checks, name); !strings.HasPrefix(got, want) {
					t.Errorf("%s says %q, want %q", name, got, want)
				}
			}
		})
	}
}

// same is a snapshot of which everybody sees the same.
func same(t testing.TB, snap []byte) rehearsal.Snapshot { return verified(t, snap, snap, snap) }

type bucketNamed string

func (bucketNamed) ID() backend.BucketID    { return 100 }
func (b bucketNamed) Name() []byte          { return []byte(b) }
func (b bucketNamed) String() string        { return string(b) }
func (bucketNamed) IsSafeRangeBucket() bool { return false }

// Once all is rehearsed the cluster can be used, over TLS alone; then it is gone.
func TestTheClusterCanBeKeptForALook(t *testing.T) {
	good := newSnapshot(t, true)
	s := newStage(t, 1)
	s.options.Kubernetes = true
	kept := 0
	s.options.Keep = func(ctx context.Context, c *throwaway.Cluster) error {
		kept++
		if got := stageNames(s.seen); !reflect.DeepEqual(got, allStages) {
			t.Errorf("stages %q", got)
		}
		if alive := s.processes(); len(alive) != 1 || len(c.Members) != 1 {
			t.Errorf("processes %v of members %v", alive, c.Members)
		}
		client := must1(c.Config().Dial(c.Members[0].ClientURL))
		defer client.Close()
		got, err := client.Get(ctx, "/registry/pods/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || got.Count != podCount-2 {
			t.Errorf("%v, error %v", got, err)
		}
		if !strings.HasPrefix(c.Members[0].ClientURL, "https://127.0.0.1:") || !strings.HasPrefix(c.Dir, s.options.Dir) {
			t.Errorf("member at %s in %s", c.Members[0].ClientURL, c.Dir)
		}
		if mode := must1(os.Stat(c.Dir)).Mode().Perm(); mode != 0o700 {
			t.Errorf("directory of mode %v", mode)
		}
		return errors.New("seen enough")
	}
	if _, _, err := s.run(same(t, good)); err == nil || err.Error() != "seen enough" || kept != 1 {
		t.Errorf("kept %d times, error %v", kept, err)
	}
}

func TestARehearsalThatCannotBegin(t *testing.T) {
	good := newSnapshot(t, true)
	huge := same(t, good)
	huge.Size = 1 << 59
	tests := []struct {
		name    string
		members int
		snap    rehearsal.Snapshot
		kind    error
		text    string
		hint    string
	}{
		{"no members", 0, same(t, good), fail.ErrUsage, "--members must be 1, 3 or 5", ""},
		{"two members", 2, same(t, good), fail.ErrUsage, "--members must be 1, 3 or 5", ""},
		{"no room", 3, huge, nil, "no room in ", "--spool-dir"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, test.members)
			checks, _, err := s.run(test.snap)
			if err == nil || !strings.Contains(err.Error(), test.text) || !strings.Contains(fail.Hint(err), test.hint) || len(checks) != 0 {
				t.Errorf("checks %+v, error %v, hint %q", checks, err, fail.Hint(err))
			}
			if test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("%v is no %v", err, test.kind)
			}
			if n := len(s.started()); n != 0 {
				t.Errorf("%d processes ran", n)
			}
		})
	}
}

// A cluster that is kept takes its room beside the one of the bumped restore.
func TestTheRoomForAKeptClusterIsCounted(t *testing.T) {
	good := newSnapshot(t, true)
	huge := same(t, good)
	huge.Size = 1 << 58
	need := func(members int, kubernetes bool, keep func(context.Context, *throwaway.Cluster) error) int64 {
		s := newStage(t, members)
		s.options.Kubernetes, s.options.Keep = kubernetes, keep
		_, _, err := s.run(huge)
		match := regexp.MustCompile(`, (\d+) MiB are needed`).FindStringSubmatch(fmt.Sprint(err))
		if match == nil {
			t.Fatalf("error %v", err)
		}
		return must1(strconv.ParseInt(match[1], 10, 64)) - 1 // which rounds up
	}
	keep := func(context.Context, *throwaway.Cluster) error { return nil }
	one := need(1, false, nil)
	if one < huge.Size>>20 {
		t.Errorf("%d MiB for a db of %d MiB", one, huge.Size>>20)
	}
	for name, got := range map[string]int64{
		"of three members": need(3, false, nil) / 3, "bumped, one after the other": need(1, true, nil),
		"kept": need(1, false, keep), "kept beside the bumped one": need(1, true, keep) / 2,
	} {
		if got != one {
			t.Errorf("%s: %d MiB a member, want %d", name, got, one)
		}
	}
}

// A rehearsal that was killed leaves a directory with every secret in it. The
// next one removes that, but not what belongs to one that is running.
func TestLeftoversOfKilledRehearsalsAreRemoved(t *testing.T) {
	good := newSnapshot(t, true)
	s := newStage(t, 1)
	var log bytes.Buffer
	s.options.Log = textLog(&log)
	parent := t.TempDir()
	s.options.Dir = filepath.Join(parent, "dir")
	dead, living := filepath.Join(s.options.Dir, "etcdha-throwaway-1"), filepath.Join(s.options.Dir, "etcdha-throwaway-2")
	for _, dir := range []string{dead, living} {
		must(os.MkdirAll(filepath.Join(dir, "m1", "data"), 0o700))
		must(os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))
	}
	f := must1(os.OpenFile(filepath.Join(living, "lock"), os.O_RDWR, 0))
	must(unix.Flock(int(f.Fd()), unix.LOCK_EX))
	flipped := bytes.Clone(good)
	flipped[5000] ^= 1
	checks, _, err := rehearsal.Run(t.Context(), verified(t, flipped, good, good), s.options) // ends early
	if err != nil || checks.Err() == nil {
		t.Errorf("checks %+v, error %v", checks, err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dead, err)
	}
	if _, err := os.Stat(filepath.Join(living, "m1", "data")); err != nil {
		t.Errorf("somebody else's: %v", err)
	}
	if !strings.Contains(log.String(), dead) || strings.Contains(log.String(), living) {
		t.Errorf("log %q", log.String())
	}
	f.Close()
}
