package atomicfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/atomicfile"
)

func TestCommitReplacesAtomically(t *testing.T) {
	path := existing(t, "old")
	f := create(t, path)
	for _, part := range []string{"new", " and", " longer"} {
		write(t, f, part)
		holds(t, path, "old") // until Commit
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new and longer")
	if data, err := io.ReadAll(old); string(data) != "old" || err != nil {
		t.Errorf("who had opened the old file reads %q, %v", data, err)
	}
	f.Abort() // deferred, as a rule
	holds(t, path, "new and longer")
	if err := f.Commit(); err == nil {
		t.Error("a second Commit returns no error")
	}
	holds(t, path, "new and longer")
	alone(t, path)
}

func TestCommitMakesANewFile(t *testing.T) {
	for name, commit := range commits {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "new")
			f := create(t, path)
			write(t, f, "content")
			if is, err := os.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("before Commit it holds %q, %v", is, err)
			}
			if err := commit(f); err != nil {
				t.Fatal(err)
			}
			holds(t, path, "content")
			alone(t, path)
		})
	}
}

var commits = map[string]func(*atomicfile.File) error{
	"Commit":    (*atomicfile.File).Commit,
	"CommitNew": (*atomicfile.File).CommitNew,
}

func TestAbortLeavesTheOldFile(t *testing.T) {
	path := existing(t, "old")
	f := create(t, path)
	write(t, f, "new")
	f.Abort()
	holds(t, path, "old")
	alone(t, path)
	f.Abort()
	for name, commit := range commits {
		if err := commit(f); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Abort: %v; want %v", name, err, fs.ErrClosed)
		}
	}
	holds(t, path, "old")
	alone(t, path)
}

func TestCommitNewRefusesWhatExists(t *testing.T) {
	path := existing(t, "old")
	f := create(t, path)
	write(t, f, "new")
	if err := f.CommitNew(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CommitNew: %v; want %v", err, fs.ErrExist)
	}
	holds(t, path, "old")
	alone(t, path)
}

// Who came second, with a file that was not there when both started, is refused.
func TestCommitNewLosesTheRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new")
	first, second := create(t, path), create(t, path)
	write(t, first, "first")
	write(t, second, "second")
	if err := second.CommitNew(); err != nil {
		t.Fatal(err)
	}
	if err := first.CommitNew(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CommitNew: %v; want %v", err, fs.ErrExist)
	}
	holds(t, path, "second")
	alone(t, path)
}

// Neither a link nor what it leads to is written through.
func TestCommitReplacesALink(t *testing.T) {
	target := existing(t, "target")
	path := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	f := create(t, path)
	write(t, f, "new")
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new")
	holds(t, target, "target")
}

func TestFailedCommitChangesNothing(t *testing.T) {
	for name, commit := range commits {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "directory")
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			f := create(t, path)
			write(t, f, "content")
			if err := commit(f); !errors.Is(err, fs.ErrExist) {
				t.Errorf("in place of a directory: %v; want %v", err, fs.ErrExist)
			}
			if fi, err := os.Stat(path); err != nil || !fi.IsDir() {
				t.Errorf("the directory is now %v, %v", fi, err)
			}
			alone(t, path)
		})
	}
}

func TestModeWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o177} {
		func() {
			defer unix.Umask(unix.Umask(umask))
			for name, commit := range commits {
				path := filepath.Join(t.TempDir(), "file")
				f := create(t, path)
				write(t, f, "secret")
				if err := commit(f); err != nil {
					t.Fatal(err)
				}
				fi, err := os.Stat(path)
				if err != nil || fi.Mode() != 0o600 {
					t.Errorf("umask %03o: mode after %s is %v, %v; want 0600", umask, name, fi.Mode(), err)
				}
			}
		}()
	}
}

// The mode is that of the new file, even where the old one was open to all.
func TestModeOfTheOldFileIsNotKept(t *testing.T) {
	path := existing(t, "old")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	f := create(t, path)
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode is %v, %v; want 0600", fi.Mode(), err)
	}
}

func TestNamesOfAnyLength(t *testing.T) {
	for name, commit := range commits {
		path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
		f := create(t, path)
		write(t, f, "content")
		if err := commit(f); err != nil {
			t.Errorf("%s under a name of 255 characters: %v", name, err)
			continue
		}
		holds(t, path, "content")
		alone(t, path)
	}
}

func TestNoDirectory(t *testing.T) {
	file := existing(t, "content")
	for dir, want := range map[string]error{
		filepath.Join(t.TempDir(), "missing"): fs.ErrNotExist,
		file:                                  unix.ENOTDIR,
	} {
		f, err := atomicfile.Create(filepath.Join(dir, "snapshot.db"))
		if f != nil || !errors.Is(err, want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("create in %s: %v; want %v and the name", dir, err, want)
		}
		if err := atomicfile.SyncDir(dir); dir != file && !errors.Is(err, want) {
			t.Errorf("sync %s: %v; want %v", dir, err, want)
		}
	}
	holds(t, file, "content")
}

// existing makes a file alone in a directory.
func existing(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func create(t *testing.T, path string) *atomicfile.File {
	t.Helper()
	f, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Abort)
	return f
}

func write(t *testing.T, f *atomicfile.File, content string) {
	t.Helper()
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if is, err := os.ReadFile(path); string(is) != want || err != nil {
		t.Errorf("%s holds %q, %v; want %q", path, is, err, want)
	}
}

// alone fails if there is anything beside path, hidden or not.
func alone(t *testing.T, path string) {
	t.Helper()
	if is := names(t, filepath.Dir(path)); !slices.Equal(is, []string{filepath.Base(path)}) {
		t.Errorf("the directory holds %q, want %s alone", is, filepath.Base(path))
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
