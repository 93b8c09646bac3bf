// Package file keeps objects in a directory of a POSIX file system.
//
// Keys are paths below the directory. An object is written under a temporary
// name that starts with a dot, synced, and linked to its own name, which fails
// if that exists; then the directory is synced. Directories are walked one
// element at a time and held open, so that no symbolic link is ever followed,
// not even one that is swapped in meanwhile. Only the root may be behind links.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/etcdha/etcdha/storage"
)

const (
	fileMode fs.FileMode = 0o600
	dirMode  fs.FileMode = 0o700
)

// Store is a directory. See [storage.Store], [storage.Sweeper] and [storage.Clock].
type Store struct {
	root *os.Root
	url  string

	// What tests let fail: it decides about durability and exclusiveness.
	sync func(f *os.File) error
	link func(dir *os.Root, from, to string) error
}

// Open opens the directory of a file URL. With create, a missing directory is
// made, but not its parents: a path under an absent mount must not be filled.
func Open(_ context.Context, u *url.URL, create bool) (storage.Store, error) {
	if u.Host != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path == "" {
		return nil, fmt.Errorf("%w: a directory store is file:///path or /path", storage.ErrUnavailable)
	}
	dir, err := filepath.Abs(u.Path)
	if err != nil {
		return nil, unavailable(err)
	}
	if create {
		if err := makeRoot(dir); err != nil {
			return nil, unavailable(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unavailable(err)
	}
	own := url.URL{Scheme: "file", Path: dir}
	return &Store{root: root, url: own.String(), sync: (*os.File).Sync, link: (*os.Root).Link}, nil
}

// makeRoot makes dir durable, if it is missing.
func makeRoot(dir string) error {
	if err := os.Mkdir(dir, dirMode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

func (s *Store) String() string { return s.url }

// Open opens the object's file.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := storage.CheckKey(key); err != nil {
		return nil, err
	}
	f, err := s.open(ctx, key)
	switch {
	case err == nil:
		return f, nil
	case s.isAbsence(err):
		return nil, fmt.Errorf("open %s: %w", key, storage.ErrNotExist)
	default:
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
}

func (s *Store) open(ctx context.Context, key string) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := s.openDir(path.Dir(key))
	if err != nil {
		return nil, unavailable(err)
	}
	defer dir.Close()
	f, err := openFile(dir, path.Base(key))
	if err != nil {
		return nil, unavailable(err)
	}
	return f, nil
}

// Delete removes the object's file, and directories that are empty then.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	if err := s.delete(ctx, key); err != nil && !s.isAbsence(err) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := s.openDir(path.Dir(key))
	if err != nil {
		return unavailable(err)
	}
	defer dir.Close()
	fi, err := dir.Lstat(path.Base(key))
	if err == nil && fi.Mode().IsRegular() { // nothing else has been put
		err = dir.Remove(path.Base(key))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = s.alive()
	}
	if err != nil {
		return unavailable(err)
	}
	// Also if it was not there: a Delete before this one may have failed here.
	if err := s.syncDir(dir); err != nil {
		return unavailable(err)
	}
	s.removeEmpty(path.Dir(key))
	return nil
}

// isAbsence tells whether an object is not there, or cannot be because one is
// where its directory would be. In a directory that is gone nothing is known.
func (s *Store) isAbsence(err error) bool {
	return (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && s.alive() == nil
}
