package seal_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/etcdha/etcdha/storage/seal"
)

// refused fails unless damage is seen: the sum always tells, and what is read
// without an error is what was sealed. It returns what zstd says.
func refused(t *testing.T, damaged, stored, plain []byte) error {
	t.Helper()
	o := open(t, bytes.NewReader(damaged))
	is, err := io.ReadAll(o)
	if err != nil && !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("read: %v; want %v", err, seal.ErrDamaged)
	}
	if err == nil && !bytes.Equal(is, plain) {
		t.Errorf("read without an error: %q", is)
	}
	if is, sumErr := o.Sum(); sumErr != nil || is != sumOf(damaged) || is == sumOf(stored) {
		t.Errorf("sum: %+v, %v; want %+v, and not that of the sound object", is, sumErr, sumOf(damaged))
	}
	return err
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	plain := plains["text"]
	stored := sealed(t, plain)
	seen := 0
	for i := range len(stored) * 8 {
		damaged := slices.Clone(stored)
		damaged[i/8] ^= 1 << (i % 8)
		if err := refused(t, damaged, stored, plain); err != nil {
			seen++
		}
	}
	if least := len(stored) * 8 * 9 / 10; seen < least {
		t.Errorf("zstd saw %d of %d flipped bits, want %d at least", seen, len(stored)*8, least)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for _, name := range []string{"nothing", "text"} {
		plain := plains[name]
		stored := sealed(t, plain)
		for n := range stored {
			if err := refused(t, stored[:n], stored, plain); err == nil {
				t.Errorf("the first %d of %d bytes opened without an error", n, len(stored))
			}
		}
	}
}

func TestWhatFollowsTheFrameIsRefused(t *testing.T) {
	plain := plains["text"]
	stored := sealed(t, plain)
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'} // RFC 8878, section 3.1.2
	if err := refused(t, slicesOf(stored, skippable), stored, plain); err != nil {
		t.Errorf("a skippable frame: %v; only the sum can tell", err)
	}
	for n := 1; n <= 64; n++ {
		if err := refused(t, slicesOf(stored, random(n)), stored, plain); err == nil {
			t.Errorf("%d bytes after the end opened without an error", n)
		}
	}

	// A second frame is one stream to zstd; only the sum tells.
	twice := slicesOf(stored, stored)
	o := open(t, bytes.NewReader(twice))
	if is, err := io.ReadAll(o); err != nil || !bytes.Equal(is, slicesOf(plain, plain)) {
		t.Errorf("two frames: %d bytes, %v", len(is), err)
	}
	if is, err := o.Sum(); err != nil || is != sumOf(twice) {
		t.Errorf("sum of two frames is %+v, %v; want %+v", is, err, sumOf(twice))
	}
}

// What a store could not read says nothing about the object.
func TestFailingStoreIsNoDamage(t *testing.T) {
	stored := sealed(t, plains["random bytes"])
	for _, want := range []error{errors.New("connection reset"), io.ErrUnexpectedEOF, io.ErrClosedPipe} {
		for _, n := range []int{0, 1, 5, 20, 200_000, len(stored) - 1, len(stored)} {
			o := open(t, io.MultiReader(bytes.NewReader(stored[:n]), iotest.ErrReader(want)))
			_, err := io.ReadAll(o)
			if err != want || errors.Is(err, seal.ErrDamaged) { //nolint:errorlint // as it is
				t.Errorf("open fails after %d bytes with %v; want %v", n, err, want)
			}
			if _, err := o.Sum(); err != want { //nolint:errorlint // as it is
				t.Errorf("sum: %v; want %v", err, want)
			}
		}
	}
}

// A frame may ask for as much memory as it likes; it does not get it.
func TestWindowIsBounded(t *testing.T) {
	plain := plains["text"]
	for _, c := range []struct {
		exponent, mantissa byte // of the window size, RFC 8878, section 3.1.1.1.2
		window             uint64
		want               error
	}{
		{13, 0, 8 << 20, nil},
		{13, 1, 9 << 20, zstd.ErrWindowSizeExceeded},
		{14, 0, 16 << 20, zstd.ErrWindowSizeExceeded},
		{31, 7, 15 << 38, zstd.ErrWindowSizeExceeded},
	} {
		stored := twoBlocks(t, plain)
		stored[5] = c.exponent<<3 | c.mantissa
		var header zstd.Header
		if err := header.Decode(stored); err != nil || header.WindowSize != c.window {
			t.Fatalf("the frame is %+v, %v; want a window of %d", header, err, c.window)
		}
		is, err := io.ReadAll(open(t, bytes.NewReader(stored)))
		switch {
		case c.want == nil && (err != nil || !bytes.Equal(is, plain)):
			t.Errorf("a window of %d: %d bytes, %v", c.window, len(is), err)
		case c.want != nil && (!errors.Is(err, seal.ErrDamaged) || !errors.Is(err, c.want) || len(is) > 0):
			t.Errorf("a window of %d: %d bytes, %v; want %v", c.window, len(is), err, c.want)
		}
	}
}

// twoBlocks makes a frame that has a window; one of a single block has none.
func twoBlocks(t *testing.T, plain []byte) []byte {
	t.Helper()
	var stored bytes.Buffer
	enc, err := zstd.NewWriter(&stored, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{plain[:100], plain[100:]} {
		if _, err := enc.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := enc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	return stored.Bytes()
}
