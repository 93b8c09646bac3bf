package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ofContent are the attributes that vouch for the content, which changes.
var ofContent = []string{"security.ima", "security.evm"}

// keepExtended gives a file the extended attributes of the one at path: its
// SELinux context, its access list, and others that the caller may see.
func keepExtended(f *os.File, path string) error {
	names, err := extended(path)
	if err != nil {
		return fmt.Errorf("list the extended attributes of %s: %w", path, err)
	}
	for _, name := range names {
		if slices.Contains(ofContent, name) {
			continue
		}
		value, err := readAttribute(func(buffer []byte) (int, error) { return unix.Getxattr(path, name, buffer) })
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", name, path, err)
		}
		has, err := readAttribute(func(buffer []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buffer) })
		if err == nil && bytes.Equal(has, value) {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
			return fmt.Errorf("keep %s of %s: %w", name, path, err)
		}
	}
	return withoutList(f, names)
}

// accessList is the attribute that a new file has from the default of its
// directory. The others that the system gives are kept: SELinux needs a context.
const accessList = "system.posix_acl_access"

// withoutList takes the access list from a file, unless the old one has one, too.
func withoutList(f *os.File, names []string) error {
	if slices.Contains(names, accessList) {
		return nil
	}
	err := unix.Fremovexattr(int(f.Fd()), accessList)
	if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("take the access list of the directory from %s: %w", f.Name(), err)
	}
	return nil
}

// extended are the names of the attributes.
func extended(path string) ([]string, error) {
	list, err := readAttribute(func(buffer []byte) (int, error) { return unix.Listxattr(path, buffer) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 }), err
}

// readAttribute reads into a buffer of the size that the first call tells.
func readAttribute(read func([]byte) (int, error)) ([]byte, error) {
	size, err := read(nil)
	if err != nil || size == 0 {
		return nil, err
	}
	buffer := make([]byte, size)
	n, err := read(buffer)
	return buffer[:max(n, 0)], err
}
