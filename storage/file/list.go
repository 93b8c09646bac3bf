package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// List walks the directories that prefix leads to. Names that are no element
// of a key are temporary files, or not ours.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		err := s.walk(ctx, prefix, func(name string, fi fs.FileInfo) error {
			if storage.CheckElement(fi.Name()) == nil && !yield(storage.Object{Key: name, Size: fi.Size(), Modified: fi.ModTime()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(storage.Object{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// Leftovers are temporary files.
func (s *Store) Leftovers(ctx context.Context, before time.Time) ([]storage.Leftover, error) {
	var left []storage.Leftover
	err := s.walk(ctx, "", func(name string, fi fs.FileInfo) error {
		if isTemp(fi.Name()) && fi.ModTime().Before(before) {
			left = append(left, storage.Leftover{Name: name, Since: fi.ModTime(), Remove: func(ctx context.Context) error {
				return s.sweep(ctx, name, fi)
			}})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list leftovers: %w", err)
	}
	return left, nil
}

// tempSuffix ends the names of temporary files: a dot, [rand.Text], and this.
const tempSuffix = ".tmp"

// isTemp tells whether a Put could have made that name. Programs that copy a
// directory have dotfiles of their own.
func isTemp(name string) bool {
	random, ok := strings.CutPrefix(name, ".")
	random, okEnd := strings.CutSuffix(random, tempSuffix)
	return ok && okEnd && len(random) == len("AAAAAAAAAAAAAAAAAAAAAAAAAA") && strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// sweep removes a temporary file, unless it was written to since it was seen.
func (s *Store) sweep(ctx context.Context, name string, seen fs.FileInfo) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := s.openDir(path.Dir(name))
	if err == nil {
		defer dir.Close()
		var fi fs.FileInfo
		fi, err = dir.Lstat(seen.Name())
		if err == nil && os.SameFile(fi, seen) && fi.ModTime().Equal(seen.ModTime()) {
			err = dir.Remove(seen.Name())
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove leftover %s: %w", name, unavailable(err))
	}
	s.removeEmpty(path.Dir(name))
	return nil
}

// walk visits, in the order of their names, the regular files whose path begins
// with prefix, in directories that a key can have. [fs.SkipAll] ends it.
func (s *Store) walk(ctx context.Context, prefix string, visit func(name string, fi fs.FileInfo) error) error {
	w := &walker{ctx, prefix, visit}
	root, err := s.root.OpenRoot(".")
	if err == nil {
		defer root.Close()
		err = w.walk(root, ".")
	}
	switch {
	case err == nil, errors.Is(err, fs.SkipAll):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return unavailable(err)
	}
}

type walker struct {
	ctx    context.Context
	prefix string
	visit  func(name string, fi fs.FileInfo) error
}

// walk visits what is in dir, which is called name, and below it.
func (w *walker) walk(dir *os.Root, name string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(dir.FS(), ".")
	if errors.Is(err, fs.ErrNotExist) && name != "." { // removed since its parent was read
		return nil
	}
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(keyBelow(a), keyBelow(b)) })
	for _, e := range entries {
		if err := w.entry(dir, path.Join(name, e.Name()), e); err != nil {
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

func (w *walker) entry(dir *os.Root, name string, e fs.DirEntry) error {
	if e.IsDir() {
		return w.enter(dir, name, e.Name())
	}
	if !e.Type().IsRegular() || !strings.HasPrefix(name, w.prefix) {
		return nil
	}
	fi, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.visit(name, fi)
}

func (w *walker) enter(dir *os.Root, name, element string) error {
	below := name + "/"
	if storage.CheckElement(element) != nil || !strings.HasPrefix(below, w.prefix) && !strings.HasPrefix(w.prefix, below) {
		return nil
	}
	opened, err := openBelow(dir, element)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLink) || errors.Is(err, syscall.ENOTDIR) {
		return nil // it was a directory a moment ago
	}
	if err != nil {
		return err
	}
	defer opened.Close()
	return w.walk(opened, name)
}
