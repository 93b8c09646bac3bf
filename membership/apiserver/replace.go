package apiserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/fail"
)

// ReplaceFile gives a file other content: at any moment the old or the new one is
// there, whole and on the disk. Owner, group, mode and extended attributes, the
// SELinux context among them, stay. Of a link, the file that it leads to is
// replaced. One that has several names is refused, since only one would get the
// new content.
func ReplaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if err := replaceable(path); err != nil {
		return err
	}
	return replace(path, data)
}

// replaceable refuses what is no file of one name.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fail.Unsafef("%s is no regular file", path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return fail.WithHint(fail.Unsafef("%s has %d names (hard links), of which only one would get the new content", path, stat.Nlink),
			"make it a file of its own: cp -p, then mv")
	}
	return nil
}

// replace writes a file anew under a name that starts with a dot, which kubelet
// passes over, and gives it the name of the old one.
func replace(path string, data []byte) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return hintImmutable(err)
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := keepAttributes(f.File, path); err != nil {
		return err
	}
	return hintImmutable(f.Commit())
}

// keepAttributes makes a file look like the one at path.
func keepAttributes(f *os.File, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return fmt.Errorf("keep the owner of %s: %w", path, err)
		}
	}
	if err := f.Chmod(info.Mode().Perm()); err != nil {
		return fmt.Errorf("keep the mode of %s: %w", path, err)
	}
	return keepExtended(f, path)
}

// hintImmutable says what a bare "operation not permitted" may mean.
func hintImmutable(err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fail.WithHint(err, "lsattr shows whether the file or its directory is immutable; chattr -i ends that")
	}
	return err
}

// spareName is a name beside a file, for the old one while a change is under way.
func spareName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+rand.Text()+".old")
}
