package snapshot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/etcdha/etcdha/internal/fail"
	etcdha "github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

func TestSaveWritesWhatTheMemberStreams(t *testing.T) {
	e := newKubernetes(t)
	for _, destination := range []string{"file", "file and store"} {
		t.Run(destination, func(t *testing.T) {
			s := newSaving(t, newSource(t, e), destination)
			saved := s.mustSave()
			if got := must1(os.ReadFile(s.file())); !bytes.Equal(got, e.stream()) {
				t.Errorf("FILE is not what was streamed: %d bytes of %d", len(got), len(e.stream()))
			}
			if mode := must1(os.Stat(s.file())).Mode(); mode != 0o600 {
				t.Errorf("FILE has mode %v", mode)
			}
			if saved.Size != int64(len(e.stream())) {
				t.Errorf("saved %d bytes, streamed were %d", saved.Size, len(e.stream()))
			}
			s.wantNoTraces()
		})
	}
}

func TestSaveIntoAFileAsksNoHashUnlessTold(t *testing.T) {
	member := newSource(t, newKubernetes(t))
	s := newSaving(t, member, "file")
	saved := s.mustSave()
	wantChecks(t, saved.Checks, "digest match", "structure match", "records match")
	if n := member.hashes.Load(); n != 0 {
		t.Errorf("%d hashes were asked for", n)
	}
	s.options.LiveHash = etcdha.LiveOn
	wantChecks(t, s.mustSave().Checks, "digest match", "structure match", "records match", "live match")
	s.wantEmptyStore()
}

func TestABackupCanBeRecoveredWithZstdAndEtcdutl(t *testing.T) {
	e := newKubernetes(t)
	s := newSaving(t, newSource(t, e), "store")
	saved := s.mustSave()
	wantChecks(t, saved.Checks, "digest match", "structure match", "records match", "live match")
	wantChecks(t, etcdha.Checks{saved.Stores[0].Check}, "stored bytes match")

	dec := must1(zstd.NewReader(bytes.NewReader(s.objectOf(saved.Stores[0].Backup, "db.zst"))))
	defer dec.Close()
	var plain bytes.Buffer
	must1(plain.ReadFrom(dec))
	if !bytes.Equal(plain.Bytes(), e.stream()) {
		t.Errorf("the stored object holds %d other bytes than the %d that were streamed", plain.Len(), len(e.stream()))
	}
	s.wantUntouched() // FILE was not asked for
}

func TestTheManifestSaysEverything(t *testing.T) {
	e := newKubernetes(t)
	s := newSaving(t, newSource(t, e), "store")
	saved := s.mustSave()
	backups, problems := list(t, s.catalog)
	if len(backups) != 1 || len(problems) != 0 {
		t.Fatalf("%d backups, problems %v", len(backups), problems)
	}
	got := backups[0].Manifest
	if !regexp.MustCompile(`^20261120T235211Z-r8-[0-9a-f]{4}$`).MatchString(got.ID) {
		t.Errorf("id %s", got.ID)
	}
	if !regexp.MustCompile(`^c1-[0-9a-f]{8}$`).MatchString(got.Cluster.Lineage) {
		t.Errorf("lineage %s", got.Cluster.Lineage)
	}

	report := must1(must1(dbfile.Open(bytes.NewReader(e.stream()), int64(len(e.stream())))).Inspect(t.Context()))
	status := etcdutlStatus(t, e.stream())
	hash := must1(e.hashKV(8))
	want := &etcdha.Manifest{
		Format: 1, ID: got.ID, Kind: "ordinary",
		Cluster: etcdha.ClusterRef{Name: "prod", ID: "c1", Lineage: got.Cluster.Lineage},
		Member:  etcdha.MemberRef{ID: "1", Name: "m1", Version: "3.6.5"},
		Started: start.UTC(), Finished: got.Finished,
		Revision: status.Revision, CompactRevision: 4, RaftTerm: raftTerm, RaftIndex: raftIndex,
		TotalKeys: int64(status.TotalKey), SizeInUse: report.SizeInUse, StorageVersion: "",
		StatusHash: status.Hash,
		HashKV: etcdha.ManifestHash{
			Hash: hash.Hash, Revision: 8, CompactRevision: hash.CompactRevision,
			Live: etcdha.Match, Reason: saved.Checks[len(saved.Checks)-1].Detail,
		},
		DB:          sumOf(undigested(e.stream())),
		Stored:      etcdha.StoredObject{Name: "db.zst", Sum: sumOf(s.objectOf(saved.Stores[0].Backup, "db.zst"))},
		Compression: "zstd",
		Values:      dbfile.Values{Protobuf: 2, JSON: 1, Encrypted: map[string]int64{"aescbc:v1:key1": 1}, Other: 1},
		Etcdha:      "v1.2.3",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("manifest\n%s\nwant\n%s", asJSON(got), asJSON(want))
	}
	if !got.Finished.After(got.Started) || got.Finished.Location() != got.Started.Location() {
		t.Errorf("started %s, finished %s", got.Started, got.Finished)
	}
	if !strings.HasSuffix(string(s.objectOf(saved.Stores[0].Backup, "manifest.json")), "\n}\n") {
		t.Error("the manifest is no text that a person can read")
	}
}

func TestAnEmergencyBackupIsMarked(t *testing.T) {
	s := newSaving(t, newSource(t, newKubernetes(t)), "store")
	s.options.Emergency = true
	if kind := s.mustSave().Stores[0].Backup.Kind; kind != "emergency" {
		t.Errorf("kind %q", kind)
	}
}

func TestSaveRefusesBeforeTheMemberHasToWork(t *testing.T) {
	tests := []struct {
		name   string
		change func(*saving)
		kind   error
		text   string
		hint   string
	}{
		{"nowhere to save to", func(s *saving) { s.options.File, s.options.Catalogs = "", nil },
			fail.ErrUsage, "nowhere to save to", "--store"},
		{"FILE exists and must not be replaced", func(s *saving) { s.options.NoClobber = true },
			fs.ErrExist, "file already exists", "--no-clobber"},
		{"FILE is a directory", func(s *saving) { s.options.File = s.dir },
			fail.ErrUsage, "not a regular file", ""},
		{"FILE is a link", func(s *saving) {
			must(os.Symlink("/nowhere", s.dir+"-link"))
			s.options.File = s.dir + "-link"
		}, fail.ErrUsage, "not a regular file", ""},
		{"FILE in a directory that is not there", func(s *saving) { s.options.File = filepath.Join(s.dir, "no", "file") },
			fs.ErrNotExist, filepath.Join("files", "no"), ""},
		{"a db larger than the disk of FILE", func(s *saving) { s.options.Member.Status.DbSize = 1 << 60 },
			nil, "no room in", "another FILE"},
		{"a db larger than the spool's disk", func(s *saving) { s.options.File = ""; s.options.Member.Status.DbSize = 1 << 60 },
			nil, "no room in", "--spool-dir"},
		{"a store that cannot be listed", func(s *saving) { s.options.File = ""; s.through(&faulty{list: errDown}) },
			errDown, "list ", ""},
		{"no randomness for the id", func(s *saving) { s.options.Random = strings.NewReader("abc") },
			nil, "random", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			member := newSource(t, newKubernetes(t))
			s := newSaving(t, member, "file and store")
			test.change(s)
			err := s.mustFail(test.text)
			if test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("%v is no %v", err, test.kind)
			}
			if hint := fail.Hint(err); !strings.Contains(hint, test.hint) {
				t.Errorf("hint %q", hint)
			}
			if n := member.snapshots.Load(); n != 0 {
				t.Errorf("%d streams were opened", n)
			}
			s.wantUntouched()
			s.wantEmptyStore()
		})
	}
}

func TestNoClobberWritesANewFile(t *testing.T) {
	e := newKubernetes(t)
	s := newSaving(t, newSource(t, e), "file")
	s.options.NoClobber = true
	must(os.Remove(s.file()))
	s.mustSave()
	if !bytes.Equal(must1(os.ReadFile(s.file())), e.stream()) {
		t.Error("FILE is not what was streamed")
	}
	s.wantNoTraces()
}

// A file that comes in while the member streams is not replaced either.
func TestNoClobberKeepsAFileThatComesLate(t *testing.T) {
	e := newKubernetes(t)
	member := newSource(t, e)
	s := newSaving(t, member, "file")
	s.options.NoClobber = true
	must(os.Remove(s.file()))
	member.snapshot = then(e.stream(), func(snapshotStream) error {
		return os.WriteFile(s.file(), []byte(yesterday), 0o644)
	})
	if err := s.mustFail("save " + s.file() + ": "); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v", err)
	}
	s.wantUntouched()
}

// wantChecks asserts names and verdicts, in order.
func wantChecks(t testing.TB, checks etcdha.Checks, want ...string) {
	t.Helper()
	var got []string
	for _, c := range checks {
		got = append(got, c.Name+" "+string(c.Verdict))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("checks %q, want %q: %+v", got, want, checks)
	}
}

func etcdutlStatus(t testing.TB, stream []byte) snapshot.Status {
	path := filepath.Join(t.TempDir(), "db")
	must(os.WriteFile(path, stream, 0o600))
	return must1(snapshot.NewV3(zap.NewNop()).Status(path))
}

func sumOf(b []byte) seal.Sum {
	sum := sha256.Sum256(b)
	return seal.Sum{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))}
}

func asJSON(v any) string { return string(must1(json.MarshalIndent(v, "", "  "))) }
