package file_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Somebody swaps a directory for a link and back, as fast as they can, while
// the store works in it. Whoever wins, nothing is read or changed elsewhere.
func TestLinksSwappedInAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	s := open(t, dir)
	put(t, s, "swapped/below/stays", "ours")
	put(t, s, "inside/below/stays", "elsewhere")
	elsewhere := []string{filepath.Join(outside, "below"), filepath.Join(dir, "inside", "below")}
	if err := os.Mkdir(elsewhere[0], 0o700); err != nil {
		t.Fatal(err)
	}
	const rounds = 200
	for _, below := range elsewhere {
		for i := range rounds {
			if err := os.WriteFile(filepath.Join(below, "there-"+strconv.Itoa(i)), []byte("elsewhere"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := [][]string{names(t, elsewhere[0]), names(t, elsewhere[1])}

	stop := swap(t, filepath.Join(dir, "swapped"), outside, "inside")
	var kept []string
	for i := range rounds {
		key := "swapped/below/new-" + strconv.Itoa(i)
		if s.Put(t.Context(), key, strings.NewReader("ours")) == nil {
			kept = append(kept, key)
		}
		_ = s.Delete(t.Context(), "swapped/below/there-"+strconv.Itoa(i)) // may well fail
		for _, key := range []string{"swapped/below/there-" + strconv.Itoa(i), "swapped/below/stays"} {
			if r, err := s.Open(t.Context(), key); err == nil {
				if data, err := io.ReadAll(r); string(data) != "ours" {
					t.Errorf("%s holds %q, %v", key, data, err)
				}
				r.Close()
			}
		}
		for o, err := range s.List(t.Context(), "swapped/") {
			if err == nil && strings.Contains(o.Key, "there") {
				t.Errorf("%s is listed", o.Key)
			}
		}
	}
	stop()

	for i, below := range elsewhere {
		if is := names(t, below); !slices.Equal(is, before[i]) {
			t.Errorf("%s has changed from %q to %q", below, before[i], is)
		}
	}
	for _, key := range append(kept, "swapped/below/stays") {
		if is := read(t, s, key); is != "ours" {
			t.Errorf("%s holds %q", key, is)
		}
	}
}

// swap exchanges dir for a link to each of targets in turn and back, at one
// stroke, until stop is called.
func swap(t *testing.T, dir string, targets ...string) (stop func()) {
	t.Helper()
	for i, target := range targets {
		if err := os.Symlink(target, dir+".link"+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for i := 0; ; i++ {
			link := dir + ".link" + strconv.Itoa(i%len(targets))
			for range 2 {
				if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
					t.Errorf("swap: %v", err)
					return
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	return func() { close(done); swapping.Wait() }
}
