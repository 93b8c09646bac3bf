package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
)

// errBroken is what a source says that has broken down.
var errBroken = errors.New("source has broken down")

// writes is a snapshot of the given size as a source writes it that goes wrong.
func writes(size int, write func(ctx context.Context, w io.Writer) error) restore.Input {
	return restore.Input{Size: int64(size), Write: write}
}

// startingPoints are what a restore can find; %s is below a directory of its own.
var startingPoints = []struct {
	name    string
	there   []string
	dataDir string
	walDir  string
}{
	{"nothing", nil, "var/lib/etcd", ""},
	{"an empty directory", []string{"etcd/"}, "etcd", ""},
	{"a file system", []string{"etcd/lost+found/"}, "etcd", ""},
	{"nothing, with a WAL elsewhere", []string{"disk/"}, "var/lib/etcd", "disk/var/wal"},
	{"empty directories, with a WAL elsewhere", []string{"etcd/", "disk/wal/"}, "etcd", "disk/wal"},
}

// A restore that fails leaves everything as it found it: nothing half, nothing
// to clean up, no directory that was made on the way.
func TestAFailedRestoreLeavesEverythingAsItWas(t *testing.T) {
	good := newSnapshot(t)
	value := bytes.LastIndex(good, []byte("last"))
	tests := []struct {
		name string
		in   restore.Input
		kind error // nil: no kind of failure, only an error
		text string
	}{
		{"a value changed", input(flipped(good, value)), fail.ErrVerification, "SHA-256 of the snapshot is "},
		{"the digest changed", input(flipped(good, len(good)-1)), fail.ErrVerification, "its digest trailer says "},
		{"a page changed, with a digest that fits", input(wrongPage(good)), fail.ErrVerification, "verify snapshot: page "},
		{"a meta page changed, with a digest that fits", input(oneMeta(good)), fail.ErrVerification, "verify snapshot: page 1: meta page: wrong checksum"},
		{"a record changed, with a digest that fits", input(seal(bytes.ReplaceAll(unsealed(good), []byte("\x0a\x10/registry/pods/e"), []byte("\x0b\x10/registry/pods/e")))),
			fail.ErrVerification, `verify snapshot: page `},
		{"half a page is missing", input(good[:len(good)-2048]), fail.ErrVerification, "its digest trailer says "},
		{"some bytes are missing", input(good[:len(good)-100]), fail.ErrVerification, "no digest trailer"},
		{"the digest is missing", input(unsealed(good)), fail.ErrVerification, "no digest trailer"},
		{"pages are missing, with a digest that fits", input(seal(good[:len(good)/2/4096*4096])), fail.ErrVerification, "verify snapshot: page "},
		{"nothing comes", writes(len(good), func(context.Context, io.Writer) error { return nil }), fail.ErrVerification, "bytes early"},
		{"less comes than was said", writes(len(good), input(good[:len(good)-1]).Write), fail.ErrVerification, "the snapshot ends 1 bytes early"},
		{"more comes than was said", writes(len(good), input(append(bytes.Clone(good), 0)).Write), fail.ErrVerification, "longer than it said"},
		{"it is no db", input(seal(make([]byte, 8192))), fail.ErrVerification, "verify snapshot: no valid meta page"},
		{"it is empty", input(seal(nil)), fail.ErrVerification, "verify snapshot: "},
		{"the source breaks down midway", writes(len(good), func(_ context.Context, w io.Writer) error {
			must1(w.Write(good[:len(good)/2]))
			return errBroken
		}), errBroken, "write db: source has broken down"},
		{"the source finds damage", writes(len(good), func(_ context.Context, w io.Writer) error {
			must1(w.Write(good))
			return fail.Verificationf("stored bytes are others")
		}), fail.ErrVerification, "write db: stored bytes are others"},
	}
	for _, test := range tests {
		for _, from := range startingPoints {
			t.Run(test.name+", from "+from.name, func(t *testing.T) {
				root, o := startFrom(t, from.there, from.dataDir, from.walDir)
				before := tree(root)
				result, err := restore.Restore(t.Context(), test.in, o)
				if err == nil || result != nil || !strings.Contains(err.Error(), test.text) {
					t.Errorf("result %v, error %v", result, err)
				}
				if !errors.Is(err, test.kind) {
					t.Errorf("%v is no %v", err, test.kind)
				}
				wantTree(t, root, before)
			})
		}
	}
}

func startFrom(t testing.TB, there []string, dataDir, walDir string) (root string, o restore.Options) {
	root = t.TempDir()
	makeTree(root, there...)
	o = options(filepath.Join(root, dataDir), oneMember)
	if walDir != "" {
		o.WALDir = filepath.Join(root, walDir)
	}
	return root, o
}

func TestACallerWhoGivesUpLeavesEverythingAsItWas(t *testing.T) {
	good := newSnapshot(t)
	for _, from := range startingPoints {
		for _, part := range []int{0, len(good) / 2, len(good)} {
			root, o := startFrom(t, from.there, from.dataDir, from.walDir)
			before := tree(root)
			ctx, cancel := context.WithCancel(t.Context())
			in := writes(len(good), func(ctx context.Context, w io.Writer) error {
				must1(w.Write(good[:part]))
				cancel()
				if part < len(good) {
					return ctx.Err()
				}
				return nil // all was written before
			})
			_, err := restore.Restore(ctx, in, o)
			if !errors.Is(err, context.Canceled) || errors.Is(err, fail.ErrVerification) {
				t.Errorf("%s, after %d bytes: error %v", from.name, part, err)
			}
			wantTree(t, root, before)
		}
	}
}

// Between the check of the target and the end of a restore others can have
// taken its place. What they have put there stays, and nothing beside it.
func TestATargetThatIsTakenMeanwhile(t *testing.T) {
	good := newSnapshot(t)
	tests := []struct {
		name  string
		there []string
		wal   string
		taken string
		text  string
	}{
		{"the member", []string{"etcd/"}, "", "etcd/member/snap/db", "place member: "},
		{"the member, with a new WAL", []string{"etcd/", "disk/"}, "disk/wal", "etcd/member/snap/db", "place member: "},
		{"the member, with a WAL in an empty directory", []string{"etcd/", "disk/wal/"}, "disk/wal", "etcd/member/snap/db", "place member: "},
		{"the WAL", []string{"etcd/", "disk/"}, "disk/wal", "disk/wal/0.wal", "place WAL in "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root, o := startFrom(t, test.there, "etcd", test.wal)
			if o.WALDir != "" {
				_ = os.Chmod(o.WALDir, 0o750) // if it is there
			}
			in := writes(len(good), func(ctx context.Context, w io.Writer) error {
				makeTree(root, test.taken)
				return input(good).Write(ctx, w)
			})
			_, err := restore.Restore(t.Context(), in, o)
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v", err)
			}
			want := t.TempDir()
			makeTree(want, append(test.there, test.taken)...)
			if got, want := strings.Join(names(root), " "), strings.Join(names(want), " "); got != want {
				t.Errorf("left are %s, want %s", got, want)
			}
			if got := must1(os.ReadFile(filepath.Join(root, test.taken))); string(got) != "precious" {
				t.Errorf("%s holds %q", test.taken, got)
			}
			if fi, err := os.Stat(o.WALDir); err == nil && len(test.there) > 1 && test.there[1] == "disk/wal/" && fi.Mode().Perm() != 0o750 {
				t.Errorf("the WAL directory has mode %v", fi.Mode())
			}
		})
	}
}

// The disk is full, once where the db is written and once where the WAL is.
func TestAFullDiskLeavesEverythingAsItWas(t *testing.T) {
	endless := writes(64<<20, func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(make([]byte, 64<<20)))
		return err
	})
	tests := []struct {
		name string
		in   restore.Input
		text string
		hint string
	}{
		{"while the db is written", endless, "write db: ", ""},
		{"while the WAL is made", input(newSnapshot(t)), "create WAL: ", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, from := range startingPoints {
				root, o := startFrom(t, from.there, from.dataDir, from.walDir)
				o.SkipHashCheck = true
				before := tree(root)
				fullAfter(t, 16<<20)
				_, err := restore.Restore(t.Context(), test.in, o)
				if !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), test.text) || fail.Hint(err) != test.hint {
					t.Errorf("%s: error %v, hint %q", from.name, err, fail.Hint(err))
				}
				wantTree(t, root, before)
			}
		})
	}
}

// What cannot fit is refused before anything is read.
func TestASnapshotLargerThanTheDiskIsNotBegun(t *testing.T) {
	for _, from := range startingPoints {
		root, o := startFrom(t, from.there, from.dataDir, from.walDir)
		before := tree(root)
		_, err := restore.Restore(t.Context(), writes(1<<60+32, func(context.Context, io.Writer) error {
			t.Errorf("%s: the snapshot was read", from.name)
			return nil
		}), o)
		if err == nil || !strings.Contains(err.Error(), "no room in ") || !strings.Contains(fail.Hint(err), "--data-dir") {
			t.Errorf("%s: error %v, hint %q", from.name, err, fail.Hint(err))
		}
		wantTree(t, root, before)
	}
}

// fullAfter lets every write to a file fail that would make it larger than
// size bytes, until the test ends: the disk is full, as far as files can tell.
// The size is beyond all that the process writes beside, such as its test log.
func fullAfter(t testing.TB, size uint64) {
	var before unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
	signal.Ignore(unix.SIGXFSZ) // an error is enough
	must(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: before.Max}))
	t.Cleanup(func() {
		must(unix.Setrlimit(unix.RLIMIT_FSIZE, &before))
		signal.Reset(unix.SIGXFSZ)
	})
}

// Without its digest a snapshot can be a copy of a live db. That takes a word
// of the user, and is checked as far as it can be all the same.
func TestADBWithoutDigest(t *testing.T) {
	good := newSnapshot(t)
	root := t.TempDir()
	_, err := restore.Restore(t.Context(), input(unsealed(good)), options(filepath.Join(root, "data"), oneMember))
	if !errors.Is(err, fail.ErrVerification) || !strings.Contains(fail.Hint(err), "--skip-hash-check") {
		t.Errorf("error %v, hint %q", err, fail.Hint(err))
	}
	tests := []struct {
		name string
		snap []byte
		ok   bool
	}{
		{"as it is", unsealed(good), true},
		{"with a digest that is wrong", flipped(good, len(good)-1), true},
		{"with a page that is wrong", unsealed(wrongPage(good)), false},
		{"cut off at a page", good[:len(good)/2/4096*4096], false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			o := options(filepath.Join(root, "data"), oneMember)
			o.SkipHashCheck = true
			result, err := restore.Restore(t.Context(), input(test.snap), o)
			switch {
			case test.ok && (err != nil || result.Revision != 7):
				t.Errorf("result %+v, error %v", result, err)
			case !test.ok && !errors.Is(err, fail.ErrVerification):
				t.Errorf("result %+v, error %v", result, err)
			case !test.ok && len(names(root)) != 1:
				t.Errorf("left are %q", names(root))
			}
		})
	}
}
