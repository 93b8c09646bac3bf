package file_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
	"github.com/etcdha/etcdha/storage/storagetest"
)

func TestDirectoryKeepsTheContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, t.TempDir()) })
}

// Backups hold Secrets: whatever the umask, nobody else can read them.
func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		defer unix.Umask(unix.Umask(umask))
		dir := filepath.Join(t.TempDir(), "store")
		s, err := openURL(t, dir, true)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "cluster/life/snapshots/id/db.zst", "secret")
		got := map[string]fs.FileMode{}
		for name, fi := range tree(t, dir) {
			got[name] = fi.Mode()
		}
		want := map[string]fs.FileMode{
			".": fs.ModeDir | 0o700, "cluster": fs.ModeDir | 0o700, "cluster/life": fs.ModeDir | 0o700,
			"cluster/life/snapshots": fs.ModeDir | 0o700, "cluster/life/snapshots/id": fs.ModeDir | 0o700,
			"cluster/life/snapshots/id/db.zst": 0o600,
		}
		if len(got) != len(want) {
			t.Errorf("umask %03o: the store holds %v; want %v", umask, got, want)
		}
		for name, mode := range want {
			if got[name] != mode {
				t.Errorf("umask %03o: mode of %s is %v, want %v", umask, name, got[name], mode)
			}
		}
	}
}

// A Put that fails or loses leaves neither the object nor a temporary file.
func TestNothingIsLeftOver(t *testing.T) {
	errReader := errors.New("the reader has failed")
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "cluster/there", "content")
	for _, c := range []struct {
		key  string
		r    io.Reader
		want error
	}{
		{"cluster/failed", iotest.ErrReader(errReader), errReader},
		{"cluster/failed", io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(errReader)), errReader},
		{"cluster/there", strings.NewReader("other"), storage.ErrExist},
		{"cluster/overtaken", overtake{t, s, "cluster/overtaken"}, storage.ErrExist},
		{"cluster/there/below", strings.NewReader("content"), unix.ENOTDIR},
	} {
		if err := s.Put(t.Context(), c.key, c.r); !errors.Is(err, c.want) {
			t.Errorf("put %s: %v; want %v", c.key, err, c.want)
		}
	}
	if is, want := names(t, dir), []string{".", "cluster", "cluster/overtaken", "cluster/there"}; !slices.Equal(is, want) {
		t.Errorf("the store holds %q, want %q", is, want)
	}
	for key, want := range map[string]string{"cluster/there": "content", "cluster/overtaken": "by another"} {
		if is := read(t, s, key); is != want {
			t.Errorf("%s holds %q, want %q", key, is, want)
		}
	}
}

// overtake puts its key itself while it is read.
type overtake struct {
	t   *testing.T
	s   storage.Store
	key string
}

func (o overtake) Read([]byte) (int, error) {
	put(o.t, o.s, o.key, "by another")
	return 0, io.EOF
}

// A key that cannot be kept says what is in its way. It is not an object that
// is there already, which who copies would take for success.
func TestWhatStandsInTheWay(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "cluster/object", "content")
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"cluster":            "put cluster: store unavailable: cluster: is a directory",
		"cluster/object/new": "put cluster/object/new: store unavailable: object: not a directory",
		"fifo":               "put fifo: store unavailable: fifo is not a regular file",
		"fifo/new":           "put fifo/new: store unavailable: fifo: not a directory",
	} {
		err := s.Put(t.Context(), key, strings.NewReader("content"))
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrExist) || err.Error() != want {
			t.Errorf("put: %v; want %s", err, want)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if is, want := names(t, dir), []string{".", "cluster", "cluster/object", "fifo"}; !slices.Equal(is, want) {
		t.Errorf("the store holds %q, want %q", is, want)
	}
}

// A store may be a mount point, and a killed Put leaves its temporary file.
func TestWhatIsNotOursIsNotListed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "cluster/object", "content")
	for _, name := range []string{
		".hidden", "cluster/.K5XQ2.tmp", "cluster/.nfs0000000000a1b2c300000001", ".snapshot/daily/object", "cluster/.git/object", "lost+found/#123", "cluster/a file", "cluster/ä",
	} {
		writeFile(t, filepath.Join(dir, name))
	}
	if err := unix.Mkfifo(filepath.Join(dir, "cluster/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "cluster/", ".", ".snapshot/", ".snapshot/daily/", "cluster/.", "cluster/a", "cluster/f", "lost"} {
		var want []string
		if strings.HasPrefix("cluster/object", prefix) {
			want = []string{"cluster/object"}
		}
		if keys := list(t, s, prefix); !slices.Equal(keys, want) {
			t.Errorf("list %q: %q; want %q", prefix, keys, want)
		}
	}
	if _, err := s.Open(t.Context(), "cluster/fifo"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("open of a pipe: %v; want %v", err, storage.ErrNotExist)
	}
}

func open(t *testing.T, dir string) storage.Store {
	t.Helper()
	s, err := openURL(t, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openURL(t *testing.T, dir string, create bool) (storage.Store, error) {
	return file.Open(t.Context(), &url.URL{Scheme: "file", Path: dir}, create)
}

func put(t *testing.T, s storage.Store, key, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, s storage.Store, key string) string {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func list(t *testing.T, s storage.Store, prefix string) (keys []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// tree is everything in dir, hidden or not, by its path below dir.
func tree(t *testing.T, dir string) map[string]fs.FileInfo {
	t.Helper()
	found := map[string]fs.FileInfo{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			found[name], err = d.Info()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	for name := range tree(t, dir) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func writeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
}
