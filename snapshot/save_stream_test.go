package snapshot_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

// shortStall is long for a member on loopback that has something to send.
const shortStall = 150 * time.Millisecond

// diskError breaks the stream as a member does that cannot read its db.
func diskError(snapshotStream) error {
	return status.Error(codes.DataLoss, "input/output error")
}

// wrongRoot is the stream of a member whose disk has put another page where
// the root page was.
func wrongRoot(stream []byte) []byte {
	db := undigested(stream)
	size := int(binary.LittleEndian.Uint32(db[16+8:]))
	root := int(binary.LittleEndian.Uint64(db[16+16:]))
	db[root*size]++ // its own number
	return withDigest(db)
}

// oneMeta is a stream that bbolt reads by the first meta page, without a word
// about the second one.
func oneMeta(stream []byte) []byte {
	db := undigested(stream)
	db[int(binary.LittleEndian.Uint32(db[16+8:]))+16+56]++ // its checksum
	return withDigest(db)
}

// Whatever a member sends instead of a good snapshot, nothing of it is kept
// anywhere, and what was there stays.
func TestABadStreamLeavesNothing(t *testing.T) {
	e := newKubernetes(t)
	good := e.stream()
	half := good[:len(good)/2]
	tests := []struct {
		name   string
		stream func(snapshotStream) error
		kind   error // nil: no kind of failure, only an error
		text   string
	}{
		{"ends before the digest", sends(undigested(good)),
			fail.ErrVerification, " bytes ends without a digest: it was cut off"},
		{"ends inside the digest", sends(good[:len(good)-7]),
			fail.ErrVerification, "ends without a digest"},
		{"ends inside a page", sends(half[:len(half)-3]),
			fail.ErrVerification, "ends without a digest"},
		{"ends at once", sends(nil),
			fail.ErrVerification, "the stream of 0 bytes ends without a digest"},
		{"ends early with a digest that fits", sends(withDigest(half[:len(half)/4096*4096])),
			fail.ErrVerification, ": file ends here, meta page says "},
		{"is no db at all", sends(withDigest(make([]byte, 8192))),
			fail.ErrVerification, "structure: no valid meta page, not an etcd db"},
		{"changes on the way", sends(flipped(good, len(good)/2)),
			fail.ErrVerification, "SHA-256 of the stream is "},
		{"has a digest that changes on the way", sends(flipped(good, len(good)-1)),
			fail.ErrVerification, "the member sent "},
		{"has a page from elsewhere and a digest that fits", sends(wrongRoot(good)),
			fail.ErrVerification, "structure: page "},
		{"has one meta page of two and a digest that fits", sends(oneMeta(good)),
			fail.ErrVerification, "structure: page 1: meta page: wrong checksum"},
		{"has a record that is none and a digest that fits", sends(replaced(t, good, "\x0a\x0d/registry/zzz", "\x0b\x0d/registry/zzz")),
			fail.ErrVerification, `records: page `},
		{"has a value that the member does not have", sends(replaced(t, good, "one, changed", "one, damaged")),
			fail.ErrVerification, "live: HashKV at revision 8 is "},
		{"breaks half-way", then(half, diskError),
			nil, "snapshot of m1 (http://127.0.0.1:"},
		{"breaks before it begins", diskError,
			nil, "input/output error"},
		{"goes silent half-way", then(half, silence),
			snapshot.ErrStalled, "snapshot of m1"},
		{"is silent from the beginning", silence,
			snapshot.ErrStalled, "the stream makes no progress"},
		{"goes on with empty blobs for ever", then(half, emptyBlobs),
			snapshot.ErrStalled, "the stream makes no progress"},
		{"goes silent after the last byte", then(good, silence),
			snapshot.ErrStalled, "the stream makes no progress"},
	}
	for _, test := range tests {
		for _, destination := range destinations {
			t.Run(test.name+" into "+destination, func(t *testing.T) {
				t.Parallel()
				member := newSource(t, e)
				member.snapshot = test.stream
				s := newSaving(t, member, destination)
				s.options.LiveHash = snapshot.LiveOn
				if errors.Is(test.kind, snapshot.ErrStalled) {
					s.options.StallTimeout = shortStall
				}
				err := s.mustFail(test.text)
				if test.kind != nil && !errors.Is(err, test.kind) {
					t.Errorf("%v is no %v", err, test.kind)
				}
				if kind := kindOf(err); test.kind == nil && kind != nil {
					t.Errorf("%v is taken for %v", err, kind)
				}
				s.wantUntouched()
				s.wantEmptyStore()
			})
		}
	}
}

// A slow member is not a stalled one: what counts is the time between blobs.
func TestASlowStreamIsNoStall(t *testing.T) {
	t.Parallel()
	const stall = 2 * time.Second
	e := newKubernetes(t)
	member := newSource(t, e)
	member.snapshot = func(s snapshotStream) error {
		tick := time.NewTicker(stall / 10)
		defer tick.Stop()
		rest := e.stream()
		for begun := time.Now(); time.Since(begun) < stall+stall/10; <-tick.C {
			if err := sends(rest[:100])(s); err != nil {
				return err
			}
			rest = rest[100:]
		}
		return sends(rest)(s)
	}
	s := newSaving(t, member, "file")
	s.options.StallTimeout = stall
	s.mustSave()
}

func TestACallerWhoGivesUpLeavesNothing(t *testing.T) {
	for _, destination := range destinations {
		t.Run(destination, func(t *testing.T) {
			e := newKubernetes(t)
			ctx, cancel := context.WithCancel(t.Context())
			member := newSource(t, e)
			member.snapshot = then(e.stream()[:9000], func(s snapshotStream) error {
				cancel()
				return silence(s)
			})
			s := newSaving(t, member, destination)
			_, err := snapshot.Save(ctx, s.options)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			s.wantUntouched()
			s.wantEmptyStore()
		})
	}
}

// An interrupt while the member hashes is no "not comparable".
func TestACallerWhoGivesUpDuringTheComparison(t *testing.T) {
	for _, destination := range destinations {
		t.Run(destination, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			member := newSource(t, newKubernetes(t))
			member.hashKV = func(int64) (*pb.HashKVResponse, error) {
				cancel()
				return nil, status.Error(codes.Canceled, "context canceled")
			}
			s := newSaving(t, member, destination)
			s.options.LiveHash = snapshot.LiveOn
			if _, err := snapshot.Save(ctx, s.options); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			s.wantUntouched()
			s.wantEmptyStore()
		})
	}
}

// What the client asks of a member is one stream and one hash.
func TestASaveCostsTheMemberOneStreamAndOneHash(t *testing.T) {
	fresh := newEtcd(t) // never compacted: its members say -1 for the compact revision
	fresh.put("a", "1")
	for name, e := range map[string]*etcd{"compacted": newKubernetes(t), "never compacted": fresh} {
		t.Run(name, func(t *testing.T) {
			member := newSource(t, e)
			s := newSaving(t, member, "store")
			checks := s.mustSave().Checks
			if live := checks[len(checks)-1]; live.Verdict != snapshot.Match {
				t.Errorf("live: %+v", live)
			}
			if member.snapshots.Load() != 1 || member.hashes.Load() != 1 {
				t.Errorf("%d streams, %d hashes", member.snapshots.Load(), member.hashes.Load())
			}
		})
	}
}

func TestProgressIsTold(t *testing.T) {
	e := newKubernetes(t)
	var done, total int64
	s := newSaving(t, newSource(t, e), "file")
	s.options.Progress = func(d, n int64) {
		if d <= done || n < d {
			t.Errorf("progress %d of %d after %d", d, n, done)
		}
		done, total = d, n
	}
	s.mustSave()
	if size := must1(os.Stat(s.file())).Size(); done != size || total != size {
		t.Errorf("the last progress was %d of %d, the file has %d", done, total, size)
	}
}
