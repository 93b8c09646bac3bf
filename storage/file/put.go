package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// Put writes, syncs and links the object.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	if err := s.put(ctx, key, r); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w, err := s.begin(key)
	if err != nil {
		return err
	}
	defer s.end(w)
	if _, err := io.Copy(w, contextReader{ctx, r}); err != nil {
		return err
	}
	if err := s.sync(w.file); err != nil {
		return unwritten(err)
	}
	if err := ctx.Err(); err != nil { // the sync may have taken long
		return err
	}
	if err := s.commit(w); err != nil {
		return err
	}
	if err := s.syncDir(w.dir); err != nil {
		_ = w.dir.Remove(w.name) // what could be gone after a crash was never there
		return unwritten(err)
	}
	return nil
}

// writing is an object that has a temporary name yet.
type writing struct {
	key  string
	dir  *os.Root // of the key
	name string   // in dir
	temp string   // in dir
	file *os.File
}

func (w *writing) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if err != nil {
		err = unwritten(err)
	}
	return n, err
}

// unwritten tells errors of the disk from those of the reader of a Put.
func unwritten(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fail.WithHint(unavailable(err), "the store is full: prune old backups, or give it more room")
	}
	return unavailable(err)
}

// begin creates the temporary file in a durable directory. A Delete may remove
// that directory while it is empty still.
func (s *Store) begin(key string) (*writing, error) {
	for try := 1; ; try++ {
		w, err := s.tryBegin(key)
		if err == nil {
			if err = s.syncAbove(path.Dir(key)); err != nil {
				s.end(w)
				return nil, unwritten(err)
			}
			return w, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == maxTries || s.alive() != nil {
			return nil, err
		}
	}
}

func (s *Store) tryBegin(key string) (*writing, error) {
	dir, err := s.makeDir(path.Dir(key))
	if err != nil {
		return nil, unwritten(err)
	}
	// An element with a prefix could be too long.
	w := &writing{key: key, dir: dir, name: path.Base(key), temp: "." + rand.Text() + tempSuffix}
	if _, err = dir.Lstat(w.name); err == nil {
		err = w.occupied()
	} else if w.file, err = dir.OpenFile(w.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode); err != nil {
		err = unwritten(err)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return w, nil
}

// end removes the temporary name, and the directories if nothing was put.
func (s *Store) end(w *writing) {
	_ = w.file.Close() // it was synced if it is to stay; and an open file keeps a name on NFS
	_ = w.dir.Remove(w.temp)
	_ = w.dir.Close()
	s.removeEmpty(path.Dir(w.key))
}

// commit gives the object its name, if nothing has that.
func (s *Store) commit(w *writing) error {
	err := s.link(w.dir, w.temp, w.name)
	if cannotLink(err) {
		if renameErr := renameNew(w.dir, w.temp, w.name); renameErr == nil || !cannotLink(renameErr) {
			err = renameErr
		}
	}
	if err == nil || w.isThere() {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return w.occupied()
	}
	return uncommitted(err)
}

func uncommitted(err error) error {
	if cannotLink(err) {
		return fail.WithHint(unavailable(err), "this file system cannot make a name only if it is free; keep the store on another one")
	}
	return unavailable(err)
}

// cannotLink tells whether a file system does not have a system call: link on
// FAT and on many shares, a rename that never replaces on others.
func cannotLink(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// isThere settles what an error leaves open. A network file system repeats a
// call whose answer was lost, and the second one finds what the first has done.
func (w *writing) isThere() bool {
	is, err := w.dir.Lstat(w.name)
	if err != nil {
		return false
	}
	ours, err := w.file.Stat()
	return err == nil && os.SameFile(is, ours)
}

// occupied is why nothing can be put where something is.
func (w *writing) occupied() error {
	fi, err := w.dir.Lstat(w.name)
	switch {
	case err != nil:
		return unavailable(err)
	case fi.Mode().IsRegular():
		return storage.ErrExist
	default:
		return unavailable(notObject(w.key, fi))
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
