package etcdservers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
)

// maxSize is more than any file that carries the list.
const maxSize = 1 << 20

// Read finds the list in a file by its absolute name. fsys is the root of a host:
// of a unit, its drop-ins and environment files are read as well. The error is a
// [*Refusal], an [ErrNotFound], or of fsys.
func Read(fsys fs.FS, name string) (*File, error) {
	name = path.Clean(name)
	data, err := readFile(fsys, name)
	if err != nil {
		return nil, err
	}
	src := &source{path: name, data: string(data)}
	if err := foreign(src); err != nil {
		return nil, err
	}
	f, err := readerOf(src)(fsys, src)
	if err != nil {
		return nil, src.hidden(err)
	}
	if len(f.Servers) == 0 {
		return nil, fmt.Errorf("%s: the list of servers is empty", name)
	}
	f.again = func(changed fs.FS) (*File, error) {
		o := changed.(overlay)
		o.under = fsys
		return Read(o, name)
	}
	return f, nil
}

// mention finds the list by its name in any text, also where a configuration of
// kubeadm lies within something else.
var mention = regexp.MustCompile(`(?i)etcd[-_]servers($|[^-_a-z0-9])|\bkind\\?["']?: *\\?["']?ClusterConfiguration\b`)

// hidden turns an [ErrNotFound] into a refusal if the text has the list after all,
// in a place that no reader looks at: whoever names such a file is not to believe
// that it says nothing.
func (s *source) hidden(err error) error {
	_, refused := errors.AsType[*Refusal](err)
	if refused || !errors.Is(err, ErrNotFound) {
		return err
	}
	line := 0
	for text := range strings.Lines(s.data) {
		line++
		if mention.MatchString(uncommented(text)) {
			return s.refuse(line, "mentions the list of etcd servers where it is not read, or does not count",
				"name the manifest, the unit or the environment file that kube-apiserver is started from, or edit this one by hand")
		}
	}
	return err
}

// reader reads one form.
type reader func(fs.FS, *source) (*File, error)

// readerOf tells the form of a file by its name and content.
func readerOf(src *source) reader {
	switch ext := path.Ext(src.path); {
	case ext == ".service", ext == ".conf" && strings.HasSuffix(path.Dir(src.path), ".service.d"):
		return readUnit
	case ext == ".yaml", ext == ".yml", ext == ".json":
		return readYAML
	case looksLikeUnit(src.data):
		return readUnit
	case looksLikeYAML(src.data):
		return readYAML
	}
	return readEnvironmentFile
}

// readFile reads a file of a host by its absolute path.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	if !path.IsAbs(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if o, ok := fsys.(overlay); ok && path.Clean(name) == o.path {
		return bytes.Clone(o.data), nil
	}
	if o, ok := fsys.(overlay); ok {
		fsys = o.under
	}
	data, err := readRegular(fsys, path.Clean(name))
	if len(data) > maxSize {
		return nil, &Refusal{Path: name, Reason: "is too large for a manifest, a unit or an environment file", Instead: "name the file that carries " + FlagName}
	}
	return data, err
}

// readRegular reads no more of a file than shows that it is too large, and
// nothing at all that has no end or waits for a writer. What is a link to
// /dev/null is empty: so systemd masks units.
func readRegular(fsys fs.FS, name string) ([]byte, error) {
	if target, err := fs.ReadLink(fsys, inside(name)); err == nil && target == os.DevNull || name == os.DevNull {
		return nil, nil
	}
	info, err := fs.Stat(fsys, inside(name))
	if err != nil {
		return nil, absolute(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &Refusal{Path: name, Reason: "is no regular file", Instead: "name the file that carries " + FlagName}
	}
	file, err := fsys.Open(inside(name))
	if err != nil {
		return nil, absolute(name, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	return data, absolute(name, err)
}

// absolute gives an error of a file system the name that the caller knows.
func absolute(name string, err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: of.Op, Path: name, Err: of.Err}
	}
	return err
}

// overlay is a file system with one other file.
type overlay struct {
	under fs.FS
	path  string
	data  []byte
}

// Open opens what is under it; [readFile] knows the other file.
func (o overlay) Open(name string) (fs.File, error) { return o.under.Open(name) }
