package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
)

// member is what a restored data directory holds.
var member = []string{"member", "member/snap", "member/snap/0000000000000001-0000000000000001.snap", "member/snap/db",
	"member/wal", "member/wal/0000000000000000-0000000000000000.wal"}

// makeTree makes directories and files below root: "a/" is a directory.
func makeTree(root string, names ...string) {
	for _, name := range names {
		path := filepath.Join(root, name)
		must(os.MkdirAll(filepath.Dir(path), 0o700))
		if strings.HasSuffix(name, "/") {
			must(os.MkdirAll(path, 0o700))
		} else {
			must(os.WriteFile(path, []byte("precious"), 0o600))
		}
	}
}

func TestWhatIsThereIsNeverOverwritten(t *testing.T) {
	tests := []struct {
		name       string
		there      []string
		walDir     string
		text, hint string
	}{
		{"a member", []string{"data/member/snap/db", "data/member/wal/0.wal"}, "",
			"data directory DIR holds a member already", "move it aside: mv DIR/member DIR/member.old"},
		{"a member without content", []string{"data/member/"}, "",
			"data directory DIR holds a member already", "move it aside"},
		{"other files", []string{"data/lost+found/", "data/notes"}, "",
			"data directory DIR is not empty: it holds notes", "restore into a new or empty directory"},
		{"a hidden file", []string{"data/.keep"}, "",
			"data directory DIR is not empty: it holds .keep", "restore into a new or empty directory"},
		{"a WAL", []string{"data/", "wal/0.wal"}, "wal", "wal is not empty", "name a new --wal-dir"},
		{"a file where the WAL belongs", []string{"data/", "wal"}, "wal", "wal is not empty", "name a new --wal-dir"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			makeTree(root, test.there...)
			before := tree(root)
			o := options(filepath.Join(root, "data"), oneMember)
			if test.walDir != "" {
				o.WALDir = filepath.Join(root, test.walDir)
			}
			in := input(newSnapshot(t))
			in.Write = func(context.Context, io.Writer) error {
				t.Error("the snapshot was read")
				return nil
			}
			_, err := restore.Restore(t.Context(), in, o)
			text, hint := strings.ReplaceAll(test.text, "DIR", o.DataDir), strings.ReplaceAll(test.hint, "DIR", o.DataDir)
			if !errors.Is(err, fail.ErrUnsafe) || !strings.Contains(err.Error(), text) {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(fail.Hint(err), hint) {
				t.Errorf("hint %q", fail.Hint(err))
			}
			wantTree(t, root, before)
		})
	}
}

func TestARunningEtcdIsSeen(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "data")
	makeTree(root, "data/member/snap/")
	db := must1(bolt.Open(filepath.Join(dir, "member", "snap", "db"), 0o600, nil))
	before := tree(root)
	_, err := restore.Restore(t.Context(), input(newSnapshot(t)), options(dir, oneMember))
	if !errors.Is(err, fail.ErrUnsafe) || err.Error() != "data directory "+dir+" is in use by a running etcd" {
		t.Errorf("error %v", err)
	}
	if !strings.HasPrefix(fail.Hint(err), "stop that etcd") {
		t.Errorf("hint %q", fail.Hint(err))
	}
	wantTree(t, root, before)

	db.Close()
	_, err = restore.Restore(t.Context(), input(newSnapshot(t)), options(dir, oneMember))
	if err == nil || !strings.Contains(err.Error(), "holds a member already") {
		t.Errorf("when it has ended: error %v", err)
	}
}

// What the hint says has to work as it stands.
func TestTheHintAboutAMemberLeadsToARestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := mustRestore(t, newSnapshot(t), options(dir, oneMember))
	_, err := restore.Restore(t.Context(), input(newSnapshot(t)), options(dir, oneMember))
	_, command, found := strings.Cut(fail.Hint(err), ": ")
	if !found || !strings.HasPrefix(command, "mv ") {
		t.Fatalf("hint %q", fail.Hint(err))
	}
	words := strings.Fields(command)
	must(exec.Command(words[0], words[1:]...).Run())
	second := mustRestore(t, newSnapshot(t), options(dir, oneMember))
	if first.MemberID != second.MemberID {
		t.Errorf("members %x and %x", first.MemberID, second.MemberID)
	}
	moved := words[len(words)-1]
	if got := names(moved); !slices.Contains(got, "snap/db") {
		t.Errorf("%s holds %q", moved, got)
	}
}

func TestDirectoriesThatAreEmptyEnough(t *testing.T) {
	tests := []struct {
		name  string
		there []string
		want  []string
	}{
		{"missing", nil, member},
		{"missing with its parents", nil, member},
		{"empty", []string{"data/"}, member},
		{"a file system of its own", []string{"data/lost+found/"}, append([]string{"lost+found"}, member...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			makeTree(root, test.there...)
			dir := filepath.Join(root, "data")
			if strings.HasSuffix(test.name, "parents") {
				dir = filepath.Join(root, "var", "lib", "etcd")
			}
			inode := inodeOf(dir)
			mustRestore(t, newSnapshot(t), options(dir, oneMember))
			if got := names(dir)[1:]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
			if after := inodeOf(dir); inode != 0 && after != inode {
				t.Error("the directory is another one: a mount point cannot be replaced")
			}
			for _, name := range test.want {
				want := os.FileMode(0o600)
				fi := must1(os.Stat(filepath.Join(dir, name)))
				if fi.IsDir() {
					want = os.ModeDir | 0o700
				}
				if fi.Mode() != want {
					t.Errorf("%s has mode %v", name, fi.Mode())
				}
			}
		})
	}
}

func inodeOf(path string) uint64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Sys().(*syscall.Stat_t).Ino
}

func TestPlacesForTheWAL(t *testing.T) {
	wal := "0000000000000000-0000000000000000.wal"
	for name, test := range map[string]struct {
		there  []string
		walDir string
		want   []string
	}{
		"elsewhere, missing with its parents": {nil, "disk/etcd/wal", []string{"data", "disk", "disk/etcd", "disk/etcd/wal", "disk/etcd/wal/" + wal}},
		"elsewhere, empty":                    {[]string{"disk/wal/"}, "disk/wal", []string{"data", "disk", "disk/wal", "disk/wal/" + wal}},
		"in the data directory":               {nil, "data/wal", []string{"data", "data/wal", "data/wal/" + wal}},
		"where it is anyway":                  {nil, "data/member/wal", []string{"data", "data/member/wal", "data/member/wal/" + wal}},
		"where it is anyway, with a slash":    {nil, "data/member/wal/", []string{"data", "data/member/wal", "data/member/wal/" + wal}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			makeTree(root, test.there...)
			o := options(filepath.Join(root, "data"), oneMember)
			o.WALDir = root + "/" + test.walDir
			mustRestore(t, newSnapshot(t), o)
			want := append([]string{".", "data/member", "data/member/snap", "data/member/snap/0000000000000001-0000000000000001.snap",
				"data/member/snap/db"}, test.want...)
			slices.Sort(want)
			got := names(root)
			slices.Sort(got)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// A restore that was killed leaves what it was building. The next one removes
// that, but nothing that another one is building just now.
func TestLeftoversAreSweptAndTheLivingAreNot(t *testing.T) {
	root := t.TempDir()
	makeTree(root, "data/.etcdha-restore-DEAD/member/snap/db", "data/.etcdha-restore-LIVING/member/snap/db",
		"disk/.etcdha-restore-DEADWAL/wal/0.wal", "disk/.etcdha-restore-LIVINGWAL/wal/0.wal", "disk/other/file")
	for _, living := range []string{"data/.etcdha-restore-LIVING", "disk/.etcdha-restore-LIVINGWAL"} {
		f := must1(os.Open(filepath.Join(root, living)))
		defer f.Close()
		must(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	}
	o := options(filepath.Join(root, "data"), oneMember)
	o.WALDir = filepath.Join(root, "disk", "wal")
	mustRestore(t, newSnapshot(t), o)
	left := strings.Join(names(root), "\n")
	if strings.Contains(left, "DEAD") {
		t.Errorf("left over:\n%s", left)
	}
	for _, file := range []string{"data/.etcdha-restore-LIVING/member/snap/db", "disk/.etcdha-restore-LIVINGWAL/wal/0.wal", "disk/other/file"} {
		if data, err := os.ReadFile(filepath.Join(root, file)); err != nil || !bytes.Equal(data, []byte("precious")) {
			t.Errorf("%s: %q, %v", file, data, err)
		}
	}
}

// Of two restores into one place one wins, and the other leaves nothing.
func TestTwoRestoresAtOnce(t *testing.T) {
	root := t.TempDir()
	snap := newSnapshot(t)
	o := options(filepath.Join(root, "data"), oneMember)
	o.WALDir = filepath.Join(root, "data", "wal")
	outer := input(snap)
	outer.Write = func(ctx context.Context, w io.Writer) error {
		mustRestore(t, snap, o) // begins and ends in the middle of the other one
		return input(snap).Write(ctx, w)
	}
	_, err := restore.Restore(t.Context(), outer, o)
	if err == nil || !strings.Contains(err.Error(), "place WAL in ") {
		t.Errorf("error %v", err)
	}
	want := append([]string{".", "data", "data/wal", "data/wal/0000000000000000-0000000000000000.wal"},
		"data/member", "data/member/snap", "data/member/snap/0000000000000001-0000000000000001.snap", "data/member/snap/db")
	slices.Sort(want)
	if got := names(root); !reflect.DeepEqual(got, want) {
		t.Errorf("left are %q", got)
	}
}
