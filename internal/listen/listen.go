// Package listen opens sockets that only their owner can connect to.
package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/etcdha/etcdha/internal/fail"
)

// UnixScheme is in front of the path of a socket, where an address could also be host:port.
const UnixScheme = "unix://"

// Unix opens a socket that nobody else can connect to, not even before its
// mode is set: until then it lies in a directory of its own. It takes the place of a
// socket that is there; anything else that is there is a [fail.ErrUsage].
func Unix(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fail.Usagef("%s is there, and is no socket", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".etcdha-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is empty by then
	first := filepath.Join(dir, "s")
	l, err := net.Listen("unix", first)
	if err != nil {
		return nil, err
	}
	if err = os.Chmod(first, 0o600); err == nil {
		err = os.Rename(first, path) // in place of what a process that was killed has left
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
