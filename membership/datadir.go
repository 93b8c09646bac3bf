package membership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/fail"
)

// MoveAside renames the member directory in the data directory dir to
// member.<suffix>, so that a new member can start there and nothing of the old
// one is lost. It is an unsafe error if an etcd has it open, and an error that is
// [fs.ErrExist] if that name is taken. If there is no member directory, or one
// without files beside that name, there is nothing left to do.
//
// The unit or manifest of the old etcd has to be gone before that. One that was
// removed ends by itself, is started again and again, and has nothing open in
// between; on an empty directory, with the flags of its first start, it would begin
// a cluster of its own.
func MoveAside(dir, suffix string) error {
	if suffix == "" || strings.ContainsRune(suffix, os.PathSeparator) {
		return fail.Usagef("%q cannot be part of a file name", suffix)
	}
	from := filepath.Join(dir, "member")
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("move aside %s: %w", from, err)
	}
	to := from + "." + suffix
	if done, err := movedBefore(from, to); done || err != nil {
		return err
	}
	unlock, err := lockDB(filepath.Join(from, "snap", "db"))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fail.WithHint(fail.Unsafef("data directory %s is in use by a running etcd", dir), "stop that etcd and take its unit or manifest away, so that nothing starts it again")
	}
	if err != nil {
		return fmt.Errorf("move aside %s: %w", from, err)
	}
	defer unlock()
	return rename(dir, from, to)
}

// movedBefore tells whether the data lies at its new name and there is no other: a
// second run has nothing to do.
func movedBefore(from, to string) (bool, error) {
	if info, err := os.Lstat(to); err != nil || !info.IsDir() {
		return false, nil // rename says what is the matter
	}
	files := 0
	err := filepath.WalkDir(from, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files++
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("move aside %s: %w", from, err)
	}
	return files == 0, nil
}

// lockDB takes the lock that bbolt takes, so that no etcd can open the db
// meanwhile. Without a db there is nothing to lock.
func lockDB(db string) (unlock func(), err error) {
	f, err := os.Open(db)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// rename claims the new name before it is used: a rename alone would replace
// an empty directory of that name. [os.Rename] would replace none, but also if it had
// appeared just now.
func rename(dir, from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return fail.WithHint(fmt.Errorf("move aside %s: %w", from, err), "nothing is overwritten: see what %s is, and move it away", to)
	}
	if err := unix.Rename(from, to); err != nil {
		_ = os.Remove(to) // empty, for it is ours
		return fmt.Errorf("move aside %s to %s: %w", from, to, err)
	}
	return atomicfile.SyncDir(dir)
}
