package apiserver

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
)

// A file that is replaced looks as before: mode, owner, group, and attributes such
// as the SELinux context, but for those that vouch for the old content.
func TestReplaceKeepsHowTheFileLooks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	attributes := map[string]string{"user.note": "of an operator", "user.empty": ""}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 1234, 5678
		attributes["security.selinux"] = "system_u:object_r:etc_t:s0\x00"
		attributes["trusted.note"] = "of root"
	}
	if err := errors.Join(os.Chown(path, uid, gid), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, value := range attributes {
		if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := ReplaceFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); info.Mode() != 0o644 || int(stat.Uid) != uid || int(stat.Gid) != gid {
		t.Errorf("mode %v, owner %d:%d", info.Mode(), stat.Uid, stat.Gid)
	}
	for name, want := range attributes {
		value, err := readAttribute(func(buffer []byte) (int, error) { return unix.Getxattr(path, name, buffer) })
		if string(value) != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", name, value, err, want)
		}
	}
	wantOnly(t, path, "new")
}

// The default access list of a directory is for new files. One that is replaced is
// none.
func TestReplaceAddsNoAccessList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	var list []byte // see posix_acl_xattr.h: a version, and entries of a tag, permissions and an id
	list = binary.LittleEndian.AppendUint32(list, 2)
	for _, entry := range []struct {
		tag, permissions uint16
		id               uint32
	}{{0x01, 7, ^uint32(0)}, {0x02, 7, 4321}, {0x04, 5, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, 0, ^uint32(0)}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.permissions)
		list = binary.LittleEndian.AppendUint32(list, entry.id)
	}
	if err := unix.Setxattr(filepath.Dir(path), "system.posix_acl_default", list, 0); errors.Is(err, unix.ENOTSUP) {
		return // there are no such lists on this file system
	} else if err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if names, err := extended(path); err != nil || slices.Contains(names, accessList) {
		t.Errorf("its attributes are %q, %v", names, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	wantOnly(t, path, "new")
}

// wantOnly fails unless the file holds the text, alone in its directory.
func wantOnly(t *testing.T, path, text string) {
	t.Helper()
	if data, err := os.ReadFile(path); string(data) != text || err != nil {
		t.Errorf("%s holds %q, %v; want %q", path, data, err, text)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside it there are %v, %v", entries, err)
	}
}

// Of a link, what it leads to is replaced, where that is.
func TestReplaceFollowsLinks(t *testing.T) {
	target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.WriteFile(target, []byte("old"), 0o600), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, target, "new")
	if to, err := os.Readlink(link); to != target || err != nil {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

func TestReplaceRefuses(t *testing.T) {
	dir := t.TempDir()
	path, second, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "second"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Link(path, second), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, []byte("new")); !errors.Is(err, fail.ErrUnsafe) || !strings.Contains(err.Error(), "has 2 names (hard links)") {
		t.Error(err)
	}
	if err := ReplaceFile(pipe, []byte("new")); !errors.Is(err, fail.ErrUnsafe) || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
	if err := ReplaceFile(filepath.Join(dir, "none"), []byte("new")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if data, err := os.ReadFile(second); string(data) != "old" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

// What the system refuses in a word or two is explained.
func TestAnImmutableFile(t *testing.T) {
	err := hintImmutable(&os.LinkError{Op: "rename", Old: ".x.tmp", New: "kube-apiserver.yaml", Err: syscall.EPERM})
	if !strings.Contains(fail.Hint(err), "chattr -i") {
		t.Errorf("hint: %q", fail.Hint(err))
	}
	if err := hintImmutable(syscall.ENOSPC); fail.Hint(err) != "" {
		t.Errorf("hint: %q", fail.Hint(err))
	}
}
