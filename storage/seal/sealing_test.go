package seal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/etcdha/etcdha/storage/seal"
)

// breaks are where plain bytes end too early: around chunks and frames.
var breaks = []int{0, 1, 1000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300_000, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + 64<<10, 2 << 20, 5 << 20}

// A snapshot that breaks off must not become an object.
func TestFailingPlain(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		for _, want := range failures {
			for _, n := range breaks {
				r := s.reader(t, io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(want)))
				stored, err := io.ReadAll(r)
				if err != want { //nolint:errorlint // as it is
					t.Errorf("sealing fails after %d bytes with %v; want %v", n, err, want)
				}
				if again, err := r.Read(make([]byte, 1)); again != 0 || err != want { //nolint:errorlint // as it is
					t.Errorf("reading on: %d, %v; want %v", again, err, want)
				}
				r.Close()
				if s.options.Format() == (seal.Format{Compression: seal.None}) {
					continue // nothing but its sum tells
				}
				if _, err := io.ReadAll(s.open(t, bytes.NewReader(stored))); !errors.Is(err, seal.ErrDamaged) {
					t.Errorf("what was sealed of %d bytes opens with %v; want %v", n, err, seal.ErrDamaged)
				}
			}
		}
	})
}

// secrets knows each run of eight bytes that starts at a multiple of eight.
type secrets map[uint64]bool

func secretsOf(plain []byte) secrets {
	s := secrets{}
	for ; len(plain) >= 8; plain = plain[8:] {
		s[binary.LittleEndian.Uint64(plain)] = true
	}
	return s
}

// in counts them in what has left.
func (s secrets) in(stored []byte) int {
	n := 0
	for ; len(stored) >= 8; stored = stored[1:] {
		if s[binary.LittleEndian.Uint64(stored)] {
			n++
		}
	}
	return n
}

// Where encryption was asked for, plain bytes never come out, whatever fails.
func TestPlainBytesNeverComeOut(t *testing.T) {
	var offsets []int
	for n := 0; n < 250_000; n += 9973 {
		offsets = append(offsets, n)
	}
	noneComesOut(t, random(250_000), offsets)
	noneComesOut(t, random(1<<20+100_000), []int{1<<20 - 1, 1 << 20, 1<<20 + 1})
}

func noneComesOut(t *testing.T, plain []byte, offsets []int) {
	t.Helper()
	secret := secretsOf(plain)
	for suffix, s := range sealers(t) {
		check := func(what string, stored []byte) {
			t.Helper()
			if n := secret.in(stored); n > 0 {
				t.Errorf("db%s: %d secrets have come out of %d bytes, %s", suffix, n, len(stored), what)
			}
		}
		if s.options.Recipients == nil {
			if n := secret.in(s.sealed(t, plain)); n < len(secret)*9/10 {
				t.Errorf("%d of %d secrets are found in db%s, which is not encrypted", n, len(secret), suffix)
			}
			continue
		}
		check("when all goes well", s.sealed(t, plain))
		for _, n := range offsets {
			check("when the plain bytes fail", s.failing(t, plain[:n]))
			check("when it is cancelled", s.cancelled(t, plain, n))
			check("when it is closed", s.closed(t, plain, n))
		}
	}
}

// failing seals plain bytes that fail at their end, and returns all that came
// out, before the failure and after.
func (s sealer) failing(t *testing.T, plain []byte) []byte {
	t.Helper()
	r := s.reader(t, io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(errPlain)))
	defer r.Close()
	stored, err := io.ReadAll(r)
	if !errors.Is(err, errPlain) {
		t.Errorf("failing after %d bytes: %v", len(plain), err)
	}
	rest, _ := io.ReadAll(r)
	return append(stored, rest...)
}

// closed seals plain until n bytes have come out, and returns all that did,
// before it was closed and after.
func (s sealer) closed(t *testing.T, plain []byte, n int) []byte {
	t.Helper()
	r := s.reader(t, bytes.NewReader(plain))
	stored, err := io.ReadAll(io.LimitReader(r, int64(n)))
	must(t, err)
	r.Close()
	rest, err := io.ReadAll(r)
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("closed after %d bytes: %v", n, err)
	}
	return append(stored, rest...)
}

// cancelled seals plain until n bytes of it were read, and returns all that
// came out.
func (s sealer) cancelled(t *testing.T, plain []byte, n int) []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := seal.NewReader(ctx, io.MultiReader(bytes.NewReader(plain[:n]), atRead(cancel), bytes.NewReader(plain[n:])), 0, s.options)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stored, err := io.ReadAll(r)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after %d bytes: %v", n, err)
	}
	return stored
}

// atRead is called where it stands among other readers.
type atRead func()

func (f atRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// endless yields zeros until it has yielded far too many, and counts them.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n > 1<<30 {
		return 0, errors.New("read on and on")
	}
	e.n += int64(len(p))
	return len(p), nil
}

func TestCancelEndsSealing(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		plain := &endless{}
		r, err := seal.NewReader(ctx, plain, 0, s.options)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.CopyN(io.Discard, r, 100); err != nil {
			t.Fatal(err)
		}
		cancel()
		rest, err := io.ReadAll(r)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled sealing ends with %v after %d bytes of %d; want %v", err, len(rest), plain.n, context.Canceled)
		}
	})
}

// An end that comes with the cancel is not taken for the end of the snapshot.
func TestCancelAtTheEndMakesNoObject(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		plain := plains["text"]
		stored := s.cancelled(t, plain, len(plain))
		if s.options.Format() == (seal.Format{Compression: seal.None}) {
			return // nothing but the error tells
		}
		if _, err := io.ReadAll(s.open(t, bytes.NewReader(stored))); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("it opens with %v; want %v", err, seal.ErrDamaged)
		}
	})
}

// The work ends with the Reader: this test would not return otherwise.
func TestCloseEndsSealing(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		for _, n := range []int64{0, 1, 100} {
			synctest.Test(t, func(t *testing.T) {
				r := s.reader(t, &endless{})
				if _, err := io.CopyN(io.Discard, r, n); err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("read after close: %v; want %v", err, io.ErrClosedPipe)
				}
			})
		}
	})
}

// allocated is how many bytes the heap has given out while f ran.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// However long a snapshot is, a few frames of it are in memory. What was ever
// allocated is more than what is held at once.
func TestMemoryOfSealingIsBounded(t *testing.T) {
	const size = 128 << 20
	forEach(t, func(t *testing.T, s sealer) {
		got := allocated(func() {
			r := s.reader(t, io.LimitReader(&endless{}, size))
			defer r.Close()
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Fatal(err)
			}
		})
		if got > 12<<20 {
			t.Errorf("sealing %d MiB allocates %d KiB", size>>20, got>>10)
		}
	})
}
