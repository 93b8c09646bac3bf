// Package file keeps objects in a directory of a POSIX file system.
//
// Keys are paths below the directory. An object is written under a temporary
// name that starts with a dot, synced, and linked to its own name, which fails
// if that exists; then the directory is synced. Nothing outside the directory
// is ever reached, not even through a symbolic link.
package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/etcdha/etcdha/storage"
)

const (
	fileMode fs.FileMode = 0o600
	dirMode  fs.FileMode = 0o700
)

// Store is a directory. See [storage.Store].
type Store struct {
	root *os.Root
	url  string
}

// Open opens the directory of a file URL. With create, a missing directory is
// made, but not its parents: a path under an absent mount must not be filled.
func Open(_ context.Context, u *url.URL, create bool) (storage.Store, error) {
	if u.Host != "" || u.RawQuery != "" || u.Path == "" {
		return nil, fmt.Errorf("%w: a directory store is file:///path or /path", storage.ErrUnavailable)
	}
	dir, err := filepath.Abs(u.Path)
	if err != nil {
		return nil, unavailable(err)
	}
	if create {
		if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, unavailable(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unavailable(err)
	}
	return &Store{root: root, url: "file://" + dir}, nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

func (s *Store) String() string { return s.url }

// Put writes, syncs and links the object.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	if _, err := s.root.Lstat(key); err == nil {
		return fmt.Errorf("put %s: %w", key, storage.ErrExist)
	}
	if err := s.put(ctx, key, r); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, r io.Reader) error {
	dir := path.Dir(key)
	if err := s.makeDirs(dir); err != nil {
		return unavailable(err)
	}
	temp := path.Join(dir, "."+path.Base(key)+"."+rand.Text()[:8]+".tmp")
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = s.root.Remove(temp) }() // also after the link, when it has its own name
	defer f.Close()
	if _, err := io.Copy(f, contextReader{ctx, r}); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := s.root.Link(temp, key); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return storage.ErrExist
		}
		return err
	}
	return s.syncDir(dir)
}

// makeDirs makes dir durable with its parents, each synced into the one above.
func (s *Store) makeDirs(dir string) error {
	if dir == "." {
		return nil
	}
	if fi, err := s.root.Stat(dir); err == nil && fi.IsDir() {
		return nil
	}
	parent := path.Dir(dir)
	if err := s.makeDirs(parent); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncDir(parent)
}

func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Open opens the object's file.
func (s *Store) Open(_ context.Context, key string) (io.ReadCloser, error) {
	if err := storage.CheckKey(key); err != nil {
		return nil, err
	}
	f, err := s.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		err = storage.ErrNotExist
	} else if err != nil {
		err = unavailable(err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	return f, nil
}

// List walks the directories below the last slash of prefix. Names that start
// with a dot are temporary files, or not ours.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		start := path.Clean(path.Dir(prefix + "x"))
		err := fs.WalkDir(s.root.FS(), start, func(name string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // a directory that is not there, or no longer
				return nil
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case name != "." && strings.HasPrefix(d.Name(), "."):
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			case !d.Type().IsRegular() || !strings.HasPrefix(name, prefix):
				return nil
			}
			fi, err := d.Info()
			if err != nil {
				return err
			}
			if !yield(storage.Object{Key: name, Size: fi.Size()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(storage.Object{}, unavailable(err))
		}
	}
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
