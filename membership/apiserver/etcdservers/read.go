package etcdservers

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
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
	read := readerOf(src)
	f, err := read(fsys, src)
	if err != nil {
		return nil, err
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
	data, err := fs.ReadFile(fsys, strings.TrimPrefix(path.Clean(name), "/"))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, &Refusal{Path: name, Reason: "is too large for a manifest, a unit or an environment file", Instead: "name the file that carries " + FlagName}
	}
	return data, nil
}

// overlay is a file system with one other file.
type overlay struct {
	under fs.FS
	path  string
	data  []byte
}

// Open opens what is under it; [readFile] knows the other file.
func (o overlay) Open(name string) (fs.File, error) { return o.under.Open(name) }
