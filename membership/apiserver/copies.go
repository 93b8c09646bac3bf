package apiserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/fail"
)

const (
	// keptCopies is how many copies of a file are kept.
	keptCopies = 10
	// copyTime is the time in the name of a copy, UTC. Names sort by it.
	copyTime = "20060102T150405.000000000Z"
	// maxEscaped leaves room for the time in a name, which has 255 bytes at most.
	maxEscaped = 200
)

// copies are those of one file, in a directory that may have copies of others.
type copies struct{ dir, file string }

// outside refuses a directory in, or below, one of those that kubelet reads.
func (c copies) outside(manifests ...string) error {
	if c.dir == "" {
		return nil
	}
	dir, err := resolved(c.dir)
	if err != nil {
		return fmt.Errorf("find the directory for copies: %w", err)
	}
	for _, m := range manifests {
		m, err := resolved(m)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(m, dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return fail.Unsafef("the directory for copies, %s, is in that of the manifests: kubelet would run a copy", c.dir)
		}
	}
	return nil
}

// resolved follows the links of a path, whose last parts need not be there yet.
func resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) || path == "/" {
		return real, err
	}
	parent, err := resolved(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}

// prefix begins the names of the file's copies. It is the file's path, escaped;
// one that is too long is told from others by its sum.
func (c copies) prefix() string {
	name := url.PathEscape(c.file)
	if len(name) > maxEscaped {
		name = sum([]byte(c.file))[:16] + "-" + name[len(name)-maxEscaped+17:]
	}
	return name + "."
}

// keep keeps a copy, unless the newest one is the same, and returns its name.
func (c copies) keep(data []byte, now time.Time) (name string, err error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return "", fmt.Errorf("keep a copy: %w", err)
	}
	names, err := c.list()
	if err != nil {
		return "", err
	}
	if len(names) > 0 {
		if newest, err := c.read(names[0]); err == nil && bytes.Equal(newest, data) {
			return names[0], nil
		}
	}
	for at := now.UTC(); ; at = at.Add(1) {
		name = c.prefix() + at.Format(copyTime)
		if len(names) > 0 && name <= names[0] { // the clock went back
			if at, err = time.Parse(copyTime, strings.TrimPrefix(names[0], c.prefix())); err != nil {
				return "", err
			}
			continue
		}
		if err := writeNew(filepath.Join(c.dir, name), data); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

func writeNew(path string, data []byte) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return fmt.Errorf("keep a copy: %w", err)
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("keep a copy: %w", err)
	}
	if err := f.CommitNew(); err != nil {
		return fmt.Errorf("keep a copy: %w", err)
	}
	return nil
}

// list returns the names of the copies, newest first.
func (c copies) list() ([]string, error) {
	entries, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list copies: %w", err)
	}
	var names []string
	for _, e := range entries {
		at, ok := strings.CutPrefix(e.Name(), c.prefix())
		if _, err := time.Parse(copyTime, at); ok && err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

func (c copies) read(name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		return nil, fmt.Errorf("read copy: %w", err)
	}
	return data, nil
}

// prune removes the oldest copies.
func (c copies) prune() error {
	names, err := c.list()
	if err != nil || len(names) <= keptCopies {
		return err
	}
	var errs []error
	for _, name := range names[keptCopies:] {
		errs = append(errs, os.Remove(filepath.Join(c.dir, name)))
	}
	return errors.Join(errs...)
}

// sum identifies a content.
func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
