// Package listen opens sockets that only their owner can connect to.
package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
)

// UnixScheme is in front of the path of a socket, where an address could also be host:port.
const UnixScheme = "unix://"

// maxPath is the longest path, in bytes, that the systems have room for in the address of a Unix
// socket: 104 on the BSDs, 108 on Linux, with a zero at the end.
const maxPath = 103

// A socket is first opened by the name of first, in a directory of its own beside it, which
// os.MkdirTemp names: at most ten digits behind the prefix.
const (
	prefix = ".etcdha-"
	first  = "s"
	digits = 10
)

// CheckPath refuses, as a [fail.ErrUsage], a path that is too long for a socket, or for the name by which it is
// opened first.
func CheckPath(path string) error {
	opened := filepath.Join(filepath.Dir(path), prefix+strings.Repeat("0", digits), first)
	if most := maxPath - (len(opened) - len(filepath.Dir(path))); len(path) > maxPath || len(opened) > maxPath {
		return fail.WithHint(fail.Usagef("%s is too long for a socket", path),
			"use a directory of at most %d bytes and a short name, as in %s/run/etcdha/daemon.sock", most, UnixScheme)
	}
	return nil
}

// Unix opens a socket that nobody else can connect to, not even before its
// mode is set: until then it lies in a directory of its own. It takes the place of a
// socket that a process has left behind; anything else that is there, or a socket at which
// somebody answers, is a [fail.ErrUsage].
func Unix(path string) (net.Listener, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	if err := free(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), prefix)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is empty by then
	opened := filepath.Join(dir, first)
	l, err := net.Listen("unix", opened)
	if err != nil {
		return nil, err
	}
	if err = os.Chmod(opened, 0o600); err == nil {
		err = os.Rename(opened, path) // in place of what a process that was killed has left
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// free refuses to take the place of what is there, unless it is a socket at which nobody answers.
func free(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fail.WithHint(fail.Usagef("%s is there, and is no socket", path), "choose another path, or move it away")
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		return nil // its process was killed
	}
	_ = c.Close()
	return fail.WithHint(fail.Usagef("somebody answers at %s already", path), "stop that process, or choose another path")
}
