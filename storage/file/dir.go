package file

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
)

// maxTries bounds how often something is looked up anew that others change at
// the same time. Each try lost is a step that another one has made.
const maxTries = 100

var (
	errLink     = errors.New("is a symbolic link")
	errSpecial  = errors.New("is not a regular file")
	errRestless = errors.New("is replaced again and again")
)

// notObject is what stands where an object should be and is none.
func notObject(name string, fi fs.FileInfo) error {
	if fi.IsDir() {
		return fmt.Errorf("%s: %w", name, syscall.EISDIR)
	}
	return fmt.Errorf("%s %w", name, errSpecial)
}

// notDir is what stands where a directory should be and is none. A link there
// is meant well, so that there is advice for it.
func notDir(name string, fi fs.FileInfo) error {
	if fi.Mode().Type() == fs.ModeSymlink {
		return fail.WithHint(fmt.Errorf("%s %w", name, errLink), "links inside a store are not followed: mount what it leads to there, or open that as a store of its own")
	}
	return fmt.Errorf("%s: %w", name, syscall.ENOTDIR)
}

// openDir opens the directory name, "." for the root. The caller closes it.
func (s *Store) openDir(name string) (*os.Root, error) { return s.walkTo(name, openBelow) }

// makeDir is openDir that makes what is missing.
func (s *Store) makeDir(name string) (*os.Root, error) {
	return s.walkTo(name, func(dir *os.Root, element string) (*os.Root, error) {
		below, err := openBelow(dir, element)
		if !errors.Is(err, fs.ErrNotExist) {
			return below, err
		}
		if err := dir.Mkdir(element, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return openBelow(dir, element)
	})
}

func (s *Store) walkTo(name string, step func(dir *os.Root, element string) (*os.Root, error)) (*os.Root, error) {
	dir, err := s.root.OpenRoot(".")
	if err != nil || name == "." {
		return dir, err
	}
	for element := range strings.SplitSeq(name, "/") {
		below, err := step(dir, element)
		_ = dir.Close()
		if err != nil {
			return nil, err
		}
		dir = below
	}
	return dir, nil
}

// openBelow opens a directory in dir, but not what a link leads to: what was
// opened has to be what was called name. It looks before, because OpenRoot
// waits at a pipe.
func openBelow(dir *os.Root, name string) (*os.Root, error) {
	var openErr error
	for range maxTries {
		fi, err := dir.Lstat(name)
		if err != nil {
			return nil, err
		}
		if !fi.IsDir() {
			return nil, notDir(name, fi)
		}
		var below *os.Root
		if below, openErr = dir.OpenRoot(name); openErr != nil {
			continue // it may be replaced by now
		}
		if isHeld(below, fi) {
			return below, nil
		}
		_ = below.Close()
	}
	return nil, cmp.Or(openErr, fmt.Errorf("%s %w", name, errRestless))
}

func isHeld(dir *os.Root, fi fs.FileInfo) bool {
	is, err := dir.Stat(".")
	return err == nil && os.SameFile(is, fi)
}

// openFile opens a regular file in dir to read it; [fs.ErrNotExist] if there is
// something else. It does not wait for who writes to a pipe.
func openFile(dir *os.Root, name string) (*os.File, error) {
	for range maxTries {
		fi, err := dir.Lstat(name)
		if err == nil && !fi.Mode().IsRegular() {
			err = fs.ErrNotExist // a directory of objects, or nothing that Put has made
		}
		if err != nil {
			return nil, err
		}
		f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		if is, err := f.Stat(); err == nil && os.SameFile(is, fi) {
			return f, nil
		}
		_ = f.Close()
	}
	return nil, fmt.Errorf("%s %w", name, errRestless)
}

// alive is the error of a root that was removed. Its entries are only missing.
func (s *Store) alive() error {
	root, err := s.root.Open(".")
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Readdirnames(1); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// syncDir makes the names in dir durable.
func (s *Store) syncDir(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return s.sync(d)
}

// syncAbove makes the name of a directory durable, and of those above it. They
// may be there because another Put has made them a moment ago.
func (s *Store) syncAbove(name string) error {
	for name != "." {
		name = path.Dir(name)
		dir, err := s.openDir(name)
		if err != nil {
			return err
		}
		err = s.syncDir(dir)
		_ = dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty removes a directory and those above it as long as they are empty.
// One that stays harms nobody: List does not show it.
func (s *Store) removeEmpty(name string) {
	for ; name != "."; name = path.Dir(name) {
		dir, err := s.openDir(path.Dir(name))
		if err != nil {
			return
		}
		err = removeDir(dir, path.Base(name))
		_ = dir.Close()
		if err != nil {
			return
		}
	}
}

// removeDir removes an empty directory and, unlike [os.Root.Remove], nothing
// else: there may be an object of its name by now.
func removeDir(dir *os.Root, name string) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Unlinkat(int(d.Fd()), name, unix.AT_REMOVEDIR)
}
