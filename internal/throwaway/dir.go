package throwaway

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	dirPrefix = "etcdha-throwaway-"
	lockName  = "lock"
)

// Dir is a directory with mode 0700 for what must not outlive the process. If
// the process is killed, the next [Sweep] removes it.
type Dir struct {
	Path string
	lock *os.File // held as long as the process lives
}

// NewDir makes a directory in parent; "" is the temporary directory.
func NewDir(parent string) (*Dir, error) {
	path, err := os.MkdirTemp(parent, dirPrefix) // mode 0700
	if err != nil {
		return nil, err
	}
	l, err := lock(path, os.O_CREATE)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &Dir{Path: path, lock: l}, nil
}

// Close removes the directory with all that is in it.
func (d *Dir) Close() error {
	return errors.Join(os.RemoveAll(d.Path), d.lock.Close())
}

// Sweep removes the directories in parent whose process is gone, and returns
// their names.
func Sweep(parent string) (removed []string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		dir := filepath.Join(parent, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), dirPrefix) || !abandoned(dir) {
			continue
		}
		if os.RemoveAll(dir) == nil {
			removed = append(removed, dir)
		}
	}
	return removed
}

// abandoned tells whether nobody has dir, or ever will again.
func abandoned(dir string) bool {
	l, err := lock(dir, 0)
	if errors.Is(err, fs.ErrNotExist) {
		// Empty, somebody is just moving in; else removing it has stopped midway.
		left, _ := os.ReadDir(dir)
		return len(left) > 0
	}
	if err != nil {
		return false // somebody lives there
	}
	_ = l.Close()
	return true
}

// lock takes the lock of a directory, which ends with the process.
func lock(dir string, flag int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
