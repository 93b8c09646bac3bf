package file

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// The time is that of the file system, and to ask for it leaves nothing behind.
func TestNowIsTheTimeOfTheFileSystem(t *testing.T) {
	s, _ := failing(t, 0, nil)
	var clock storage.Clock = s
	before := time.Now().Add(-time.Second)
	now, err := clock.Now(t.Context())
	if err != nil || now.Before(before) || now.After(time.Now().Add(time.Second)) {
		t.Errorf("it is %v (%v), want about %v", now, err, before)
	}
	if left := entries(t, s); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// What a killed question for the time leaves behind lies where prunes of every
// cluster look for leftovers.
func TestTheTimeIsAskedWhereChecksAre(t *testing.T) {
	s, _ := failing(t, 0, nil)
	sync, seen := s.sync, []storage.Leftover{}
	s.sync = func(f *os.File) error {
		var err error
		seen, err = s.Leftovers(t.Context(), time.Now().Add(time.Minute))
		return errors.Join(err, sync(f))
	}
	if _, err := s.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || !strings.HasPrefix(seen[0].Name, storage.ProbePrefix) {
		t.Errorf("while it is asked there are %v", seen)
	}
}

// A store that cannot be written to does not know its time.
func TestNoTimeOfTheFileSystem(t *testing.T) {
	s, _ := failing(t, 1, syscall.ENOSPC)
	if now, err := s.Now(t.Context()); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) || fail.Hint(err) == "" || !now.IsZero() {
		t.Errorf("of a full disk: %v, %v", now, err)
	}
	if left := entries(t, s); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if now, err := s.Now(ended); !errors.Is(err, context.Canceled) || !now.IsZero() {
		t.Errorf("when the context is done: %v, %v", now, err)
	}
	if err := os.RemoveAll(s.root.Name()); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Now(t.Context()); !errors.Is(err, storage.ErrUnavailable) || !now.IsZero() {
		t.Errorf("of a directory that is gone: %v, %v", now, err)
	}
}
