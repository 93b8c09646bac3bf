package snapshot

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
)

// Spool is a file that can be read while it is written: it takes the stream as
// fast as the member sends, and slow readers follow. Its file has no name, so
// that it is gone when the process is.
type Spool struct {
	f    *os.File
	hint string // what else to name if it is full

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	size    int64
	ended   bool
	err     error // what the readers get at the end instead of io.EOF
}

const (
	spoolHint = "--spool-dir names another directory, with more room"
	fileHint  = "name another FILE, in a directory with more room"
)

// NewSpool makes an empty spool in dir; "" is the temporary directory.
func NewSpool(dir string) (*Spool, error) {
	f, err := os.CreateTemp(dir, ".etcdha-spool-") // mode 0600
	if err != nil {
		return nil, fail.WithHint(fmt.Errorf("make spool file: %w", err), spoolHint)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("make spool file: %w", err)
	}
	return newSpool(f, spoolHint), nil
}

// spoolInto spools into the file f by a handle of its own, so that f can be
// closed while readers still follow.
func spoolInto(f *os.File) (*Spool, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate file handle: %w", err)
	}
	return newSpool(os.NewFile(uintptr(fd), f.Name()), fileHint), nil
}

func newSpool(f *os.File, hint string) *Spool {
	return &Spool{f: f, hint: hint, changed: make(chan struct{})}
}

// Write appends to the spool.
func (s *Spool) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	s.update(func() { s.size += int64(n) })
	if err != nil {
		err = fail.WithHint(fmt.Errorf("write spool: %w", err), "%s", s.hint)
	}
	return n, err
}

// End lets the readers come to an end: io.EOF if err is nil, else err.
func (s *Spool) End(err error) {
	s.update(func() {
		if !s.ended {
			s.ended, s.err = true, err
		}
	})
}

func (s *Spool) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// ReadAt reads what has been written.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) { return s.f.ReadAt(p, off) }

// Size is the number of bytes written so far.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Close frees the file.
func (s *Spool) Close() error { return s.f.Close() }

// Follow returns a reader of everything from the beginning, which waits for
// what is not written yet, until End is called or ctx is done.
func (s *Spool) Follow(ctx context.Context) io.Reader {
	return &follower{ctx: ctx, spool: s}
}

type follower struct {
	ctx   context.Context
	spool *Spool
	off   int64
}

func (f *follower) Read(p []byte) (int, error) {
	s := f.spool
	for {
		s.mu.Lock()
		have, ended, err, changed := s.size-f.off, s.ended, s.err, s.changed
		s.mu.Unlock()
		switch {
		case ended && err != nil:
			return 0, err // whatever is left must not be taken for whole
		case have > 0:
			n, err := s.f.ReadAt(p[:min(int64(len(p)), have)], f.off)
			f.off += int64(n)
			return n, err
		case ended:
			return 0, io.EOF
		}
		select {
		case <-f.ctx.Done():
			return 0, context.Cause(f.ctx)
		case <-changed:
		}
	}
}
