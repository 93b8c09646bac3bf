package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

// kept is a backup in memory, the key of its data, and what it was made from.
type kept struct {
	store   *memory
	catalog *snapshot.Catalog
	backup  *snapshot.Backup
	data    string // key
	stream  []byte
}

// keep saves what a small etcd holds.
func keep(t testing.TB, keys int) *kept {
	e := newEtcd(t)
	for i := range keys {
		e.put(fmt.Sprintf("/registry/pods/%04d", i), "k8s\x00 pod")
	}
	member := newSource(t, e)
	s := newSaving(t, member, "store")
	k := &kept{store: newMemory(), stream: e.stream()}
	k.catalog = &snapshot.Catalog{Store: k.store, Cluster: "prod"}
	s.options.Catalogs = []*snapshot.Catalog{k.catalog}
	k.backup = s.mustSave().Stores[0].Backup
	k.data = k.store.key(t, "db.zst")
	return k
}

func TestFetchReturnsTheStream(t *testing.T) {
	k := keep(t, 3)
	var plain bytes.Buffer
	if err := k.catalog.Fetch(t.Context(), k.backup, &plain); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(plain.Bytes(), k.stream) {
		t.Error("fetched are other bytes than were streamed")
	}
}

// Changed bytes are refused, wherever they are.
func TestEveryFlippedByteIsFound(t *testing.T) {
	k := keep(t, 1)
	good := k.store.objects[k.data]
	for at := range good {
		k.store.objects[k.data] = flipped(good, at)
		err := k.catalog.Fetch(t.Context(), k.backup, io.Discard)
		if !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), "backup "+k.backup.ID) {
			t.Errorf("byte %d of %d: error %v", at, len(good), err)
		}
	}
}

func TestDamagedObjectsAreFound(t *testing.T) {
	k, other := keep(t, 3), keep(t, 4)
	good := k.store.objects[k.data]
	tests := []struct {
		name string
		data []byte
		text string
	}{
		{"emptied", []byte{}, "stored bytes are 0 "},
		{"cut in half", good[:len(good)/2], "stored bytes are "},
		{"cut by a byte", good[:len(good)-1], "stored bytes are "},
		{"with a byte more", append(bytes.Clone(good), 0), "stored bytes are "},
		{"twice", append(bytes.Clone(good), good...), "stored bytes are "},
		{"with an empty frame more", append(bytes.Clone(good), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0), "stored bytes are "},
		{"of another backup", other.store.objects[other.data], "stored bytes are "},
		{"not compressed", k.stream, "stored bytes are "},
		{"sealed anew, in another way", sealed(t, k.stream), "stored bytes are "},
		{"missing", nil, "has a manifest but no data"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k.store.objects[k.data] = test.data
			if test.data == nil {
				delete(k.store.objects, k.data)
			}
			err := k.catalog.Fetch(t.Context(), k.backup, io.Discard)
			if !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("fetch: error %v", err)
			}
			dir := t.TempDir()
			v, spool, err := k.catalog.VerifyBackup(t.Context(), k.backup, dir, newClock().Now)
			if err != nil || spool != nil {
				t.Fatalf("verify: spool %v, error %v", spool, err)
			}
			wantChecks(t, v.Checks, "stored bytes mismatch")
			if err := v.Checks.Err(); !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("verify: error %v", err)
			}
			file := filepath.Join(dir, "got.db")
			must(os.WriteFile(file, []byte(yesterday), 0o600))
			if err := k.catalog.Get(t.Context(), k.backup, file); !errors.Is(err, fail.ErrVerification) {
				t.Errorf("get: error %v", err)
			}
			if got := must1(os.ReadFile(file)); string(got) != yesterday {
				t.Errorf("get wrote %d bytes of a damaged backup", len(got))
			}
			if files := filesIn(dir); len(files) != 1 {
				t.Errorf("left are %q", files)
			}
		})
	}
}

// sealed are the bytes of a store that hold plain.
func sealed(t *testing.T, plain []byte) []byte {
	r := must1(seal.NewReader(t.Context(), bytes.NewReader(plain), int64(len(plain)), seal.Options{Level: 19}))
	defer r.Close()
	return must1(io.ReadAll(r))
}

// Whoever can write to the store can make a manifest fit its object. What is
// inside has to fit too.
func TestAManifestThatFitsOnlyTheStoredBytesIsNotEnough(t *testing.T) {
	k := keep(t, 3)
	tests := []struct {
		name  string
		plain []byte
		sum   []byte // what the manifest says of the db
		text  string
	}{
		{"another db", replaced(t, k.stream, "k8s\x00 pod", "k8s\x00 pot"), undigested(k.stream), "SHA-256 of the db is "},
		{"no trailer", undigested(k.stream), undigested(k.stream), "does not end with its digest trailer"},
		{"more than a trailer", append(bytes.Clone(k.stream), 0), undigested(k.stream), "does not end with its digest trailer"},
		{"another trailer", flipped(k.stream, len(k.stream)-1), undigested(k.stream), "the digest trailer says "},
		{"half a db", k.stream[:len(k.stream)/2], undigested(k.stream), "the plain snapshot ends "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := sealed(t, test.plain)
			k.store.objects[k.data] = data
			m := *k.backup.Manifest
			m.Stored.Sum, m.DB = sumOf(data), sumOf(test.sum)
			k.store.commit(&m)
			backups, _ := list(t, k.catalog)
			err := k.catalog.Fetch(t.Context(), backups[0], io.Discard)
			if !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// A few kilobytes can decompress to any size. No more is written than the
// manifest says, for which there was room.
func TestAnObjectThatSwellsDoesNotFillTheDisk(t *testing.T) {
	k := keep(t, 3)
	enc := must1(zstd.NewWriter(nil))
	defer enc.Close()
	bomb := enc.EncodeAll(make([]byte, 64<<20), nil)
	k.store.objects[k.data] = bomb
	var written counter
	err := k.catalog.Fetch(t.Context(), k.backup, &written)
	if !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), fmt.Sprintf("stored bytes are %d ", len(bomb))) {
		t.Errorf("error %v", err)
	}
	if limit := k.backup.DB.Size + dbfile.DigestSize + 1; int64(written) > limit {
		t.Errorf("%d bytes were written of a db of %d", written, k.backup.DB.Size)
	}
}

// What kept Fetch from looking says nothing about the backup.
func TestAFailureToReadIsNoDamage(t *testing.T) {
	k := keep(t, 3)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	open := func(r io.Reader) *faulty {
		return &faulty{Store: k.store, open: func(context.Context, string) (io.ReadCloser, error) { return io.NopCloser(r), nil }}
	}
	good := k.store.objects[k.data]
	tests := []struct {
		name  string
		ctx   context.Context
		store *faulty
		want  error
	}{
		{"the store does not open it", t.Context(), &faulty{Store: k.store, open: func(context.Context, string) (io.ReadCloser, error) {
			return nil, errDown
		}}, errDown},
		{"the connection breaks at once", t.Context(), open(failingReader{errDown}), errDown},
		{"the connection breaks half-way", t.Context(), open(breaksAfter(bytes.NewReader(good), int64(len(good)/2), errDown)), errDown},
		{"the connection breaks after the last byte", t.Context(), open(breaksAfter(bytes.NewReader(good), int64(len(good)), errDown)), errDown},
		{"the caller gives up", cancelled, open(bytes.NewReader(good)), context.Canceled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			catalog := &snapshot.Catalog{Store: test.store, Cluster: "prod"}
			err := catalog.Fetch(test.ctx, k.backup, io.Discard)
			if !errors.Is(err, test.want) || kindOf(err) != nil {
				t.Errorf("fetch: error %v, kind %v", err, kindOf(err))
			}
			dir := t.TempDir()
			v, spool, err := catalog.VerifyBackup(test.ctx, k.backup, dir, newClock().Now)
			if !errors.Is(err, test.want) || kindOf(err) != nil || spool != nil {
				t.Errorf("verify: %+v, error %v, kind %v", v, err, kindOf(err))
			}
			if files := filesIn(dir); len(files) != 0 {
				t.Errorf("left are %q", files)
			}
		})
	}
	if err := k.catalog.Fetch(t.Context(), k.backup, failingWriter{}); !errors.Is(err, errDown) || kindOf(err) != nil {
		t.Errorf("the disk is full: error %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errDown }
