package file_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/file"
)

// putIn makes this program put an object into the directory that it names, and
// wait in the middle until it is killed.
const putIn = "ETCDHA_TEST_PUT_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(putIn); dir != "" {
		putAndWait(dir)
		return
	}
	m.Run()
}

func putAndWait(dir string) {
	var out io.Writer = os.Stdout
	s, err := file.Open(context.Background(), &url.URL{Scheme: "file", Path: dir}, false)
	if err == nil {
		wait := atEnd(func() {
			fmt.Fprintln(out, "half written")
			_, _ = io.Copy(io.Discard, os.Stdin) // the parent's, which it keeps open
		})
		err = s.Put(context.Background(), "cluster/life/object", io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), wait))
	}
	fmt.Fprintln(out, "ended:", err)
}

// A killed Put leaves a temporary file. It is not listed, does not stand in the
// way, and goes when it is swept - with its directories, if they are empty.
func TestKilledPutIsSwept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	start := time.Now()
	killPut(t, dir)
	if keys := list(t, s, ""); len(keys) > 0 {
		t.Errorf("a killed put is listed: %q", keys)
	}
	if left := leftovers(t, s, start.Add(-time.Minute)); len(left) > 0 {
		t.Errorf("leftovers before the put: %v; want none", left)
	}
	left := leftovers(t, s, time.Now().Add(time.Minute))
	if len(left) != 1 || !strings.HasPrefix(left[0].Name, "cluster/life/.") || left[0].Since.Before(start.Add(-time.Minute)) {
		t.Fatalf("leftovers: %v; want one of the put", left)
	}
	put(t, s, "cluster/life/object", "of another try")
	for range 2 { // the second time it is gone already
		if err := left[0].Remove(t.Context()); err != nil {
			t.Errorf("remove: %v", err)
		}
		if is, want := names(t, dir), []string{".", "cluster", "cluster/life", "cluster/life/object"}; !slices.Equal(is, want) {
			t.Errorf("when it is swept there is %q, want %q", is, want)
		}
	}

	killPut(t, filepath.Join(dir, "cluster", "life")) // a store in the store, of nothing but what is left
	for _, l := range leftovers(t, s, time.Now().Add(time.Minute)) {
		if err := l.Remove(t.Context()); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if is, want := names(t, dir), []string{".", "cluster", "cluster/life", "cluster/life/object"}; !slices.Equal(is, want) {
		t.Errorf("in the end there is %q, want %q", is, want)
	}
}

func killPut(t *testing.T, dir string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), putIn+"="+dir)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "half written\n" {
		t.Errorf("the child says %q, %v", line, err)
	}
	_ = child.Process.Kill()
	_ = child.Wait() // killed, as it should be
}

// Only what a Put has named is swept, and only if nobody writes to it.
func TestWhatIsNoLeftover(t *testing.T) {
	const old, fresh = ".AAAAAAAAAAAAAAAAAAAAAAAAA2.tmp", ".AAAAAAAAAAAAAAAAAAAAAAAAA3.tmp"
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{
		".hidden.tmp", ".nfs0000000000a1b2c300000001", "AAAAAAAAAAAAAAAAAAAAAAAAAA.tmp", ".AAAAAAAAAAAAAAAAAAAAAAAAAA", ".tmp",
		".AAAAAAAAAAAAAAAAAAAAAAAAA1.tmp", ".aaaaaaaaaaaaaaaaaaaaaaaaaa.tmp", ".AAAAAAAAAAAAAAAAAAAAAAAAAAA.tmp", ".AAAAAAAAAAAAA.AAAAAAAAAAAA.tmp",
		".snapshot/" + old, "lost+found/" + old, "AAAAAAAAAAAAAAAAAAAAAAAAAA.tmp.d/object", old, "cluster/" + fresh,
	} {
		writeFile(t, filepath.Join(dir, name))
	}
	if err := os.Symlink(old, filepath.Join(dir, "cluster", old)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "cluster", ".AAAAAAAAAAAAAAAAAAAAAAAAA4.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, ".AAAAAAAAAAAAAAAAAAAAAAAAA5.tmp"), 0o600); err != nil {
		t.Fatal(err)
	}
	age(t, dir)
	now := time.Now()
	if err := os.Chtimes(filepath.Join(dir, "cluster", fresh), now, now); err != nil {
		t.Fatal(err)
	}
	left := leftovers(t, s, now.Add(-time.Minute))
	if len(left) != 1 || left[0].Name != old {
		t.Fatalf("leftovers: %v; want %s alone", left, old)
	}
	if err := os.Chtimes(filepath.Join(dir, old), now, now); err != nil { // it was slow, not dead
		t.Fatal(err)
	}
	before := names(t, dir)
	if err := left[0].Remove(t.Context()); err != nil {
		t.Errorf("remove of what is written to: %v", err)
	}
	if is := names(t, dir); !slices.Equal(is, before) {
		t.Errorf("there is %q, want %q", is, before)
	}
}

// age makes all files in dir an hour old.
func age(t *testing.T, dir string) {
	t.Helper()
	hourAgo := unix.NsecToTimespec(time.Now().Add(-time.Hour).UnixNano())
	for name := range tree(t, dir) {
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, name), []unix.Timespec{hourAgo, hourAgo}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
}

// A Put killed right after its commit has two names. Only one of them goes.
func TestSweepingLeavesTheObject(t *testing.T) {
	const temp = ".AAAAAAAAAAAAAAAAAAAAAAAAA2.tmp"
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "object", "content")
	if err := os.Link(filepath.Join(dir, "object"), filepath.Join(dir, temp)); err != nil {
		t.Fatal(err)
	}
	left := leftovers(t, s, time.Now().Add(time.Minute))
	if len(left) != 1 || left[0].Name != temp {
		t.Fatalf("leftovers: %v; want %s", left, temp)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := left[0].Remove(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled remove: %v; want %v", err, context.Canceled)
	}
	if err := left[0].Remove(t.Context()); err != nil {
		t.Errorf("remove: %v", err)
	}
	if is := read(t, s, "object"); is != "content" || !slices.Equal(names(t, dir), []string{".", "object"}) {
		t.Errorf("the object holds %q, beside %q", is, names(t, dir))
	}
	if _, err := s.(storage.Sweeper).Leftovers(cancelled, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled leftovers: %v; want %v", err, context.Canceled)
	}
}

func leftovers(t *testing.T, s storage.Store, before time.Time) []storage.Leftover {
	t.Helper()
	left, err := s.(storage.Sweeper).Leftovers(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	return left
}
