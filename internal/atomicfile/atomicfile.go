// Package atomicfile writes files that are either there, whole and on the
// disk, or not there at all.
//
// A file is written under no name where the system can do that, else under a
// temporary one that starts with a dot, and gets its name by Commit: fsync,
// rename, fsync of the directory.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Mode of every file written here: a snapshot holds every Secret of a cluster.
const Mode fs.FileMode = 0o600

// File is a file on its way to its name. Write to it, then either Commit or
// Abort it; Abort after Commit does nothing, so that it can be deferred.
type File struct {
	*os.File
	path  string
	temp  string // "" while the file has no name
	ended bool
}

// Create starts a file that will be at path. The directory must exist.
func Create(path string) (*File, error) {
	dir := filepath.Dir(path)
	if f, err := createUnnamed(dir); err == nil {
		return &File{File: f, path: path}, nil
	} else if !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	temp := tempName(path)
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, Mode)
	if err != nil {
		return nil, err
	}
	return &File{File: f, path: path, temp: temp}, nil
}

// Commit makes the file durable and gives it its name, replacing what was
// there. After an error nothing has changed at path.
func (f *File) Commit() error {
	return f.commit(os.Rename)
}

// CommitNew is Commit for a path that must not exist yet: [fs.ErrExist].
func (f *File) CommitNew() error {
	return f.commit(func(from, to string) error {
		if err := os.Link(from, to); err != nil {
			return err
		}
		return os.Remove(from)
	})
}

func (f *File) commit(place func(from, to string) error) error {
	defer f.Abort()
	if err := f.Sync(); err != nil {
		return err
	}
	if f.temp == "" {
		temp := tempName(f.path)
		if err := linkUnnamed(f.File, temp); err != nil {
			return err
		}
		f.temp = temp
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := place(f.temp, f.path); err != nil {
		return err
	}
	f.ended = true
	return SyncDir(filepath.Dir(f.path))
}

// Abort forgets the file.
func (f *File) Abort() {
	if f.ended {
		return
	}
	f.ended = true
	_ = f.Close() // nothing that was written matters any more
	if f.temp != "" {
		_ = os.Remove(f.temp)
	}
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// tempName has nothing of the name in it, which may be as long as a name can be.
func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+rand.Text()+".tmp")
}
