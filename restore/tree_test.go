package restore_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"testing"
)

// files is everything below a directory, by path: mode, owner, inode, content.
type files map[string]string

func tree(root string) files {
	all := make(files)
	must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		must(err)
		fi := must1(d.Info())
		st := fi.Sys().(*syscall.Stat_t)
		content := ""
		if fi.Mode().IsRegular() {
			content = fmt.Sprintf("%d bytes, %x", fi.Size(), sha256.Sum256(must1(os.ReadFile(path))))
		}
		all[must1(filepath.Rel(root, path))] = fmt.Sprintf("%v %d:%d inode %d %s", fi.Mode(), st.Uid, st.Gid, st.Ino, content)
		return nil
	}))
	return all
}

func (f files) names() []string { return slices.Sorted(maps.Keys(f)) }

// names is the paths below a directory.
func names(root string) []string {
	var all []string
	must(filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, must1(filepath.Rel(root, path)))
		return err
	}))
	return all
}

// wantTree asserts that nothing below root has changed.
func wantTree(t testing.TB, root string, before files) {
	t.Helper()
	after := tree(root)
	if !reflect.DeepEqual(after.names(), before.names()) {
		t.Errorf("left are %q, before there were %q", after.names(), before.names())
		return
	}
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s is now %s, was %s", name, after[name], was)
		}
	}
}
