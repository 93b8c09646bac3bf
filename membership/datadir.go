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
// [fs.ErrExist] if that name is taken. If there is no member directory, there is
// nothing to do.
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
	unlock, err := lockDB(filepath.Join(from, "snap", "db"))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fail.WithHint(fail.Unsafef("data directory %s is in use by a running etcd", dir), "stop that etcd, and see that nothing starts it again")
	}
	if err != nil {
		return fmt.Errorf("move aside %s: %w", from, err)
	}
	defer unlock()
	return rename(dir, from, from+"."+suffix)
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
