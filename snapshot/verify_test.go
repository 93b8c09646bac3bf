package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

// Digest and structure are both climbed, whatever the other one says: the one
// sees every change, the other one tells where.
func TestTheLadderOfAFile(t *testing.T) {
	e := newKubernetes(t)
	good := e.stream()
	tests := []struct {
		name   string
		file   []byte
		checks []string
		detail string // in the first mismatch
	}{
		{"good", good, []string{"digest match", "structure match", "records match"}, ""},
		{"a value changed", flipped(good, bytes.Index(good, []byte("one, changed"))),
			[]string{"digest mismatch", "structure match", "records match"}, "the digest trailer says"},
		{"a page changed, with a digest that fits", wrongRoot(good),
			[]string{"digest match", "structure mismatch"}, "page "},
		{"a page changed", append(wrongRoot(good)[:len(good)-dbfile.DigestSize], good[len(good)-dbfile.DigestSize:]...),
			[]string{"digest mismatch", "structure mismatch"}, "the digest trailer says"},
		{"a meta page changed, with a digest that fits", oneMeta(good),
			[]string{"digest match", "structure mismatch"}, "page 1: meta page: wrong checksum"},
		{"a record changed, with a digest that fits", replaced(t, good, "\x0a\x0d/registry/zzz", "\x0b\x0d/registry/zzz"),
			[]string{"digest match", "structure not-comparable", "records mismatch"}, `bucket "key": `},
		{"without its digest", undigested(good),
			[]string{"digest mismatch", "structure match", "records match"}, "no digest trailer: the bytes cannot be proven"},
		{"copied from a data directory", e.copied(),
			[]string{"digest mismatch", "structure match", "records match"}, "no digest trailer: the bytes cannot be proven"},
		{"empty", nil, []string{"structure mismatch"}, "0 bytes are too few for an etcd db"},
		{"something else", []byte(strings.Repeat("text\n", 1000)), []string{"structure mismatch"}, "not an etcd db"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := snapshot.Verify(t.Context(), bytes.NewReader(test.file), int64(len(test.file)), newClock().Now)
			if err != nil {
				t.Fatal(err)
			}
			wantChecks(t, v.Checks, test.checks...)
			failure := v.Checks.Err()
			if test.detail == "" {
				if failure != nil || v.Report.Revision != 8 {
					t.Errorf("error %v, report %+v", failure, v.Report)
				}
				return
			}
			if !errors.Is(failure, fail.ErrVerification) || !strings.Contains(failure.Error(), test.detail) {
				t.Errorf("error %v", failure)
			}
		})
	}
}

// brokenDisk is a file that cannot be read beyond a point.
type brokenDisk struct {
	io.ReaderAt
	from int64
}

func (b brokenDisk) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, errDown
	}
	return b.ReaderAt.ReadAt(p, off)
}

// A disk that cannot be read and a caller who gives up are no damage.
func TestWhatKeepsVerifyFromLookingIsAnError(t *testing.T) {
	good := newKubernetes(t).stream()
	for _, from := range []int64{0, 9000, int64(len(good)) - 1} {
		v, err := snapshot.Verify(t.Context(), brokenDisk{bytes.NewReader(good), from}, int64(len(good)), newClock().Now)
		if !errors.Is(err, errDown) || v.Checks.Err() != nil {
			t.Errorf("unreadable from %d: checks %+v, error %v", from, v.Checks, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := snapshot.Verify(ctx, bytes.NewReader(good), int64(len(good)), newClock().Now); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: error %v", err)
	}
}

func TestABackupIsVerifiedFromTheStoreUp(t *testing.T) {
	k := keep(t, 3)
	dir := t.TempDir()
	v, spool, err := k.catalog.VerifyBackup(t.Context(), k.backup, dir, newClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	wantChecks(t, v.Checks, "stored bytes match", "digest match", "structure match", "records match")
	plain := make([]byte, spool.Size())
	must1(spool.ReadAt(plain, 0))
	if !bytes.Equal(plain, k.stream) || v.Report.Revision != k.backup.Revision {
		t.Errorf("the spool holds %d bytes, report %+v", len(plain), v.Report)
	}
	if files := filesIn(dir); len(files) != 0 {
		t.Errorf("the spool directory holds %q", files)
	}
}

// The manifest is written by the same tool as the object, but it lies in a
// store, where it can be changed alone.
func TestAManifestThatDescribesAnotherContentIsFound(t *testing.T) {
	tests := map[string]func(*snapshot.Manifest){
		"revision":    func(m *snapshot.Manifest) { m.Revision++ },
		"keys":        func(m *snapshot.Manifest) { m.TotalKeys-- },
		"status hash": func(m *snapshot.Manifest) { m.StatusHash ^= 1 },
		"HashKV":      func(m *snapshot.Manifest) { m.HashKV.Hash ^= 1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			k := keep(t, 3)
			change(k.backup.Manifest)
			v, spool, err := k.catalog.VerifyBackup(t.Context(), k.backup, t.TempDir(), newClock().Now)
			if err != nil {
				t.Fatal(err)
			}
			defer spool.Close()
			wantChecks(t, v.Checks, "stored bytes match", "digest match", "structure match", "records match", "records mismatch")
			if err := v.Checks.Err(); !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), "the manifest says ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestABackupLargerThanTheSpoolsDiskIsNotFetched(t *testing.T) {
	k := keep(t, 3)
	k.backup.DB = seal.Sum{SHA256: k.backup.DB.SHA256, Size: 1 << 60}
	k.catalog.Store = &faulty{Store: k.store, open: func(context.Context, string) (io.ReadCloser, error) {
		t.Error("the object was opened")
		return nil, errDown
	}}
	_, spool, err := k.catalog.VerifyBackup(t.Context(), k.backup, t.TempDir(), newClock().Now)
	if err == nil || spool != nil || !strings.Contains(err.Error(), "no room in ") || !strings.Contains(fail.Hint(err), "--spool-dir") {
		t.Errorf("error %v, hint %q", err, fail.Hint(err))
	}
}

func TestGetWritesThePlainSnapshot(t *testing.T) {
	k := keep(t, 3)
	dir := t.TempDir()
	file := filepath.Join(dir, "got.db")
	must(os.WriteFile(file, []byte(yesterday), 0o644))
	if err := k.catalog.Get(t.Context(), k.backup, file); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(must1(os.ReadFile(file)), k.stream) {
		t.Error("the file is not what was streamed")
	}
	if mode := must1(os.Stat(file)).Mode(); mode != 0o600 {
		t.Errorf("mode %v", mode)
	}
	if files := filesIn(dir); len(files) != 1 {
		t.Errorf("left are %q", files)
	}

	link := filepath.Join(t.TempDir(), "link")
	must(os.Symlink(file, link))
	for _, other := range []string{dir, link} {
		if err := k.catalog.Get(t.Context(), k.backup, other); !errors.Is(err, fail.ErrUsage) {
			t.Errorf("into %s: error %v", other, err)
		}
	}
	k.backup.DB.Size = 1 << 60
	if err := k.catalog.Get(t.Context(), k.backup, file); err == nil || !strings.Contains(err.Error(), "no room in "+dir) {
		t.Errorf("without room: error %v", err)
	}
}
