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
	"slices"
	"strings"
	"syscall"

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
	return &Store{root: root, url: own.String()}, nil
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
	temp := path.Join(dir, "."+rand.Text()+".tmp") // an element with a prefix could be too long
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
	if fi, err := s.root.Lstat(dir); err == nil {
		if !fi.IsDir() { // List would not see what is put through a link
			return fmt.Errorf("%s: %w", dir, syscall.ENOTDIR)
		}
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
	fi, err := s.root.Lstat(key)
	if err == nil && !fi.Mode().IsRegular() {
		err = fs.ErrNotExist // a directory of objects, or nothing that Put has made
	}
	var f *os.File
	if err == nil {
		f, err = s.root.Open(key)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("open %s: %w", key, storage.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", key, unavailable(err))
	}
	return f, nil
}

// List walks the directories that prefix leads to. Names that are no element
// of a key are temporary files, or not ours.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		err := s.list(ctx, ".", prefix, func(o storage.Object) bool { return yield(o, nil) })
		switch {
		case err == nil, errors.Is(err, fs.SkipAll):
		case ctx.Err() != nil:
			yield(storage.Object{}, fmt.Errorf("list %s: %w", prefix, ctx.Err()))
		default:
			yield(storage.Object{}, fmt.Errorf("list %s: %w", prefix, unavailable(err)))
		}
	}
}

// list yields what is in dir and below it; [fs.SkipAll] if yield wants no more.
func (s *Store) list(ctx context.Context, dir, prefix string, yield func(storage.Object) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) && dir != "." { // removed since its parent was read
		return nil
	}
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(keyBelow(a), keyBelow(b)) })
	for _, e := range entries {
		if err := s.listEntry(ctx, path.Join(dir, e.Name()), e, prefix, yield); err != nil {
			return err
		}
	}
	return nil
}

// keyBelow is how the keys in a directory begin: a-b comes before a/b.
func keyBelow(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func (s *Store) listEntry(ctx context.Context, name string, e fs.DirEntry, prefix string, yield func(storage.Object) bool) error {
	if storage.CheckElement(e.Name()) != nil {
		return nil
	}
	if e.IsDir() {
		if below := name + "/"; strings.HasPrefix(below, prefix) || strings.HasPrefix(prefix, below) {
			return s.list(ctx, name, prefix, yield)
		}
		return nil
	}
	if !e.Type().IsRegular() || !strings.HasPrefix(name, prefix) {
		return nil
	}
	fi, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !yield(storage.Object{Key: name, Size: fi.Size()}) {
		err = fs.SkipAll
	}
	return err
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
