package seal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"

	"github.com/etcdha/etcdha/storage/seal"
)

// plains are contents of all kinds; those of several MiB take several blocks
// and more than a window.
var plains = map[string][]byte{
	"nothing":      {},
	"a byte":       {0x2a},
	"text":         []byte(strings.Repeat("/registry/secrets/kube-system/bootstrap-token ", 20)),
	"random bytes": random(300_000),
	"zeros":        make([]byte, 5<<20),
	"a mixture":    slicesOf(random(1<<20), make([]byte, 1<<20), random(2<<20), make([]byte, 1<<20)),
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// sumOf is the Sum as everyone else computes it.
func sumOf(b []byte) seal.Sum {
	return seal.Sum{SHA256: fmt.Sprintf("%x", sha256.Sum256(b)), Size: int64(len(b))}
}

func sealed(t *testing.T, plain []byte) []byte {
	t.Helper()
	r, err := seal.NewReader(t.Context(), bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stored, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if is, want := r.Sum(), sumOf(stored); is != want {
		t.Errorf("sum of what was stored is %+v, want %+v", is, want)
	}
	return stored
}

func open(t *testing.T, stored io.Reader) *seal.Opened {
	t.Helper()
	o, err := seal.Open(stored)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func TestSealedAndOpened(t *testing.T) {
	for name, plain := range plains {
		t.Run(name, func(t *testing.T) {
			stored := sealed(t, plain)
			for _, r := range []io.Reader{bytes.NewReader(stored), iotest.HalfReader(bytes.NewReader(stored)), iotest.DataErrReader(bytes.NewReader(stored))} {
				o := open(t, r)
				meter := seal.NewMeter()
				is, err := io.ReadAll(io.TeeReader(o, meter))
				if err != nil || !bytes.Equal(is, plain) {
					t.Fatalf("opened are %d bytes, %v; want the %d that were sealed", len(is), err, len(plain))
				}
				if is, want := meter.Sum(), sumOf(plain); is != want {
					t.Errorf("sum of the plain bytes is %+v, want %+v", is, want)
				}
				if is, err := o.Sum(); err != nil || is != sumOf(stored) {
					t.Errorf("sum of the stored bytes is %+v, %v; want %+v", is, err, sumOf(stored))
				}
			}
		})
	}
}

// What was sealed is a zstd stream to others: one frame with a checksum, whose
// window no decoder may refuse.
func TestAnyDecoderOpensIt(t *testing.T) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	for name, plain := range plains {
		t.Run(name, func(t *testing.T) {
			stored := sealed(t, plain)
			var header zstd.Header
			if err := header.Decode(stored); err != nil {
				t.Fatal(err)
			}
			if !header.HasCheckSum || header.Skippable || header.DictionaryID != 0 || header.WindowSize > 8<<20 {
				t.Errorf("the frame is %+v; want a checksum, no dictionary, and a window of at most 8 MiB", header)
			}
			is, err := decoder.DecodeAll(stored, nil)
			if err != nil || !bytes.Equal(is, plain) {
				t.Errorf("decoded are %d bytes, %v; want the %d that were sealed", len(is), err, len(plain))
			}
		})
	}
	if n, all := len(sealed(t, plains["zeros"])), len(plains["zeros"]); n > all/1000 {
		t.Errorf("%d zeros are stored in %d bytes", all, n)
	}
}

// The sum is that of all stored bytes, however much of the plain was read.
func TestSumOfWhatIsLeft(t *testing.T) {
	stored := sealed(t, plains["a mixture"])
	for _, n := range []int64{0, 1, 2 << 20} {
		o := open(t, bytes.NewReader(stored))
		if _, err := io.CopyN(io.Discard, o, n); err != nil {
			t.Fatal(err)
		}
		if is, err := o.Sum(); err != nil || is != sumOf(stored) {
			t.Errorf("sum after %d plain bytes is %+v, %v; want %+v", n, is, err, sumOf(stored))
		}
	}
}

var errPlain = errors.New("the member has gone away")

// A snapshot that breaks off must not become an object.
func TestFailingPlain(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 300_000, 5 << 20} {
		r, err := seal.NewReader(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(errPlain)))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := io.ReadAll(r)
		if err != errPlain { //nolint:errorlint // as it is
			t.Errorf("sealing fails after %d bytes with %v; want %v", n, err, errPlain)
		}
		if again, err := r.Read(make([]byte, 1)); again != 0 || !errors.Is(err, errPlain) {
			t.Errorf("reading on: %d, %v; want %v", again, err, errPlain)
		}
		if _, err := io.ReadAll(open(t, bytes.NewReader(stored))); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("what was sealed of %d bytes opens with %v; want %v", n, err, seal.ErrDamaged)
		}
		r.Close()
	}
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
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	plain := &endless{}
	r, err := seal.NewReader(ctx, plain)
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
}

// The work ends with the Reader: this test would not return otherwise.
func TestCloseEndsSealing(t *testing.T) {
	for _, n := range []int64{0, 1, 100} {
		synctest.Test(t, func(t *testing.T) {
			plain := &endless{}
			r, err := seal.NewReader(t.Context(), plain)
			if err != nil {
				t.Fatal(err)
			}
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
}
