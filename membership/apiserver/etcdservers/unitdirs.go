package etcdservers

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// unitDirs are the directories of the system's units, the one that counts most
// first: systemd.unit(5), UNIT FILE LOAD PATH, and those for tools.
var unitDirs = []string{
	"/etc/systemd/system.control",
	"/run/systemd/system.control",
	"/run/systemd/transient",
	"/run/systemd/generator.early",
	"/etc/systemd/system",
	"/etc/systemd/system.attached",
	"/run/systemd/system",
	"/run/systemd/system.attached",
	"/run/systemd/generator",
	"/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system",
	"/lib/systemd/system",
	"/run/systemd/generator.late",
}

// hierarchy is where the files of a unit are looked for.
type hierarchy struct {
	fsys fs.FS
	root string   // of the host or image; "" for fsys itself
	dirs []string // with root
}

// hierarchyOf returns the directories that belong together with dir. A directory that
// is none of systemd's stands alone.
func hierarchyOf(fsys fs.FS, dir string) hierarchy {
	h := hierarchy{fsys: fsys}
	own := ""
	for _, d := range unitDirs {
		if strings.HasSuffix(dir, d) && len(d) > len(own) {
			own = d
		}
	}
	if own == "" {
		h.dirs = []string{dir}
		return h
	}
	h.root = strings.TrimSuffix(dir, own)
	for _, d := range unitDirs {
		h.dirs = append(h.dirs, h.root+d)
	}
	return h
}

// listing returns the file system that lists directories: an overlay has other
// content, and the same names.
func listing(fsys fs.FS) fs.FS {
	for {
		o, ok := fsys.(overlay)
		if !ok {
			return fsys
		}
		fsys = o.under
	}
}

// inside is the name of an absolute path within an [fs.FS].
func inside(name string) string { return cmp.Or(strings.TrimPrefix(path.Clean(name), "/"), ".") }

// exists tells whether there is a file, or a link that masks one.
func (h hierarchy) exists(name string) bool {
	_, err := fs.Stat(listing(h.fsys), inside(name))
	return err == nil || h.masked(name)
}

// masked tells whether a unit or drop-in is a link to /dev/null.
func (h hierarchy) masked(name string) bool {
	target, err := fs.ReadLink(listing(h.fsys), inside(name))
	return err == nil && target == "/dev/null"
}

// same tells whether two names are one file, as they are where /lib is a link.
func (h hierarchy) same(a, b string) bool {
	if a == b {
		return true
	}
	as, errA := fs.Stat(listing(h.fsys), inside(a))
	bs, errB := fs.Stat(listing(h.fsys), inside(b))
	return errA == nil && errB == nil && os.SameFile(as, bs)
}

// find returns the main file of a unit; of an instance, that is mostly the one of
// its template.
func (h hierarchy) find(unit string) (string, bool) {
	for _, name := range []string{unit, templateOf(unit)} {
		for _, dir := range h.dirs {
			if full := path.Join(dir, name); name != "" && h.exists(full) {
				return full, true
			}
		}
	}
	return "", false
}

// templateOf is "a@.service" for "a@b.service", and "" for a unit without instance.
func templateOf(unit string) string {
	prefix, instance, ok := strings.Cut(strings.TrimSuffix(unit, ".service"), "@")
	if !ok || instance == "" {
		return ""
	}
	return prefix + "@.service"
}

// shorter is the name whose drop-ins a unit shares with others: "a-b-.service" for
// "a-b-c.service"; "" if there is none.
func shorter(unit string) string {
	prefix, instance, at := strings.Cut(strings.TrimSuffix(unit, ".service"), "@")
	dash := strings.LastIndexByte(strings.TrimSuffix(prefix, "-"), '-')
	switch {
	case dash < 0:
		return ""
	case at:
		return prefix[:dash+1] + "@" + instance + ".service"
	}
	return prefix[:dash+1] + ".service"
}

// dropins returns the drop-ins of a unit in the order in which they are read. Of
// several of one name only that in the first directory counts, even if it is
// masked.
func (h hierarchy) dropins(unit string) ([]string, error) {
	var dirs []string
	for _, dir := range h.dirs {
		for name := unit; name != ""; name = shorter(name) {
			dirs = append(dirs, path.Join(dir, name+".d"))
			if template := templateOf(name); template != "" {
				dirs = append(dirs, path.Join(dir, template+".d"))
			}
		}
	}
	for _, dir := range h.dirs {
		dirs = append(dirs, path.Join(dir, "service.d"))
	}
	byName := map[string]string{}
	for _, dir := range dirs {
		entries, err := fs.ReadDir(listing(h.fsys), inside(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name := e.Name()
			if _, ok := byName[name]; !ok && strings.HasSuffix(name, ".conf") && !e.IsDir() {
				byName[name] = path.Join(dir, name)
			}
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if !h.masked(byName[name]) {
			all = append(all, byName[name])
		}
	}
	return all, nil
}
