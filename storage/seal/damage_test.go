package seal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"

	"github.com/etcdha/etcdha/storage/seal"
)

// tableSize is that of a seek table of n frames.
func tableSize(n int) int { return 8 + 12*n + 9 }

// refused fails unless damage is seen: the sum always tells, and what is read
// without an error is what was sealed, where anything else could tell. It
// returns what reading says.
func (s sealer) refused(t *testing.T, damaged, stored, plain []byte) error {
	t.Helper()
	o := s.open(t, bytes.NewReader(damaged))
	is, err := io.ReadAll(o)
	f := s.options.Format()
	if err != nil && !errors.Is(err, seal.ErrDamaged) && (!f.Encrypted || !errors.Is(err, seal.ErrNoIdentity)) {
		t.Errorf("read: %v; want %v", err, seal.ErrDamaged)
	}
	want := plain
	if f == (seal.Format{Compression: seal.None}) {
		want = damaged
	}
	if err == nil && !bytes.Equal(is, want) {
		t.Errorf("read without an error: %q", is)
	}
	if is, sumErr := o.Sum(); sumErr != nil || is != sumOf(damaged) || is == sumOf(stored) {
		t.Errorf("sum: %+v, %v; want %+v, and not that of the sound object", is, sumErr, sumOf(damaged))
	}
	return err
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		t.Parallel()
		plain := plains["text"][:60]
		stored := s.sealed(t, plain)
		seen := 0
		for i := range len(stored) * 8 {
			damaged := slices.Clone(stored)
			damaged[i/8] ^= 1 << (i % 8)
			if err := s.refused(t, damaged, stored, plain); err != nil {
				seen++
			}
		}
		least := 0
		switch f := s.options.Format(); {
		case f.Encrypted:
			least = len(stored) * 8 // age leaves no bit to chance
		case f.Compression == seal.Zstd:
			least = (len(stored) - tableSize(1)) * 8 * 9 / 10 // nobody needs the table
		}
		if seen < least {
			t.Errorf("Read saw %d of %d flipped bits, want %d at least", seen, len(stored)*8, least)
		}
	})
}

func TestEveryTruncationIsRefused(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		t.Parallel()
		for _, name := range []string{"nothing", "text", "random bytes"} {
			plain := plains[name]
			stored := s.sealed(t, plain)
			for _, n := range truncations(len(stored)) {
				if err := s.refused(t, stored[:n], stored, plain); err == nil && s.options.Format() != (seal.Format{Compression: seal.None}) {
					t.Errorf("%s: the first %d of %d bytes opened without an error", name, n, len(stored))
				}
			}
		}
	})
}

// truncations are all of a short object; of a long one, those around age's
// chunks and others.
func truncations(size int) []int {
	var all []int
	for n := range size {
		if size < 4096 || n%20_003 == 0 || n > size-10 || n%(64<<10+16) == 216 {
			all = append(all, n)
		}
	}
	return all
}

// Where whole frames are missing, zstd alone sees nothing.
func TestMissingFramesAreRefused(t *testing.T) {
	s := sealers(t)[".zst"]
	plain := plains["a mixture"]
	stored := s.sealed(t, plain)
	table := seekTable(t, stored)
	if n := table.NumFrames(); n != 5 {
		t.Fatalf("%d frames of 5 MiB", n)
	}
	for i := range table.NumFrames() {
		frame, _ := table.EntryByID(i)
		ends := int(frame.CompressedOffset) + int(frame.CompressedSize)
		if err := s.refused(t, stored[:ends], stored, plain); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after frame %d nothing follows: %v; want %v", i, err, io.ErrUnexpectedEOF)
		}
	}
}

func seekTable(t *testing.T, stored []byte) seekable.SeekTable {
	t.Helper()
	r, err := seekable.NewReader(bytes.NewReader(stored), decoder(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	table, err := r.SeekTable()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// An object that was cut where one chunk of age ends, a frame of zstd too, and
// what looks like a seek table, is still cut.
func TestDamageBetweenFramesIsRefused(t *testing.T) {
	const chunk = 64 << 10
	all := sealers(t)
	table := all[".zst"].sealed(t, nil)
	filling := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, uint32(chunk-len(table)-8)) // a skippable frame
	packed := slices.Concat(filling, make([]byte, chunk-len(table)-8), table, all[".zst"].sealed(t, plains["text"]))
	var stored bytes.Buffer
	w, err := age.Encrypt(&stored, all[".zst.age"].identity.(*age.X25519Identity).Recipient())
	must(t, err)
	_, err = w.Write(packed)
	must(t, err)
	must(t, w.Close())

	whole := stored.Bytes()
	if is, err := io.ReadAll(all[".zst.age"].open(t, bytes.NewReader(whole))); err != nil || !bytes.Equal(is, plains["text"]) {
		t.Fatalf("whole: %d bytes, %v", len(is), err)
	}
	cut := whole[:len(whole)-(len(packed)-chunk+16)]
	if is, err := io.ReadAll(all[".zst.age"].open(t, bytes.NewReader(cut))); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("cut: %d bytes, %v; want %v", len(is), err, seal.ErrDamaged)
	}
}

func TestWhatFollowsIsRefused(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		f := s.options.Format()
		if f == (seal.Format{Compression: seal.None}) {
			return // only the sum tells, which flipped bits show
		}
		plain := plains["text"]
		stored := s.sealed(t, plain)
		skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'} // RFC 8878, section 3.1.2
		if err := s.refused(t, slices.Concat(stored, skippable), stored, plain); err == nil {
			t.Error("a skippable frame after the end opened without an error")
		}
		for n := 1; n <= 64; n++ {
			if err := s.refused(t, slices.Concat(stored, random(n)), stored, plain); err == nil {
				t.Errorf("%d bytes after the end opened without an error", n)
			}
		}

		// Two objects are one stream to zstd; only the sum tells.
		twice := slices.Concat(stored, stored)
		o := s.open(t, bytes.NewReader(twice))
		is, err := io.ReadAll(o)
		if f.Encrypted != errors.Is(err, seal.ErrDamaged) || !f.Encrypted && (err != nil || !bytes.Equal(is, slices.Concat(plain, plain))) {
			t.Errorf("twice the object: %d bytes, %v", len(is), err)
		}
		if is, err := o.Sum(); err != nil || is != sumOf(twice) {
			t.Errorf("sum of two objects is %+v, %v; want %+v", is, err, sumOf(twice))
		}
	})
}

// What a store could not read says nothing about the object.
func TestFailingStoreIsNoDamage(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		stored := s.sealed(t, plains["random bytes"])
		for _, want := range failures {
			for _, n := range []int{0, 1, 5, 20, 216, 200_000, len(stored) - tableSize(1), len(stored) - 1, len(stored)} {
				o := s.open(t, io.MultiReader(bytes.NewReader(stored[:n]), iotest.ErrReader(want)))
				_, err := io.ReadAll(o)
				if err != want || errors.Is(err, seal.ErrDamaged) { //nolint:errorlint // as it is
					t.Errorf("open fails after %d bytes with %v; want %v", n, err, want)
				}
				if _, err := o.Sum(); err != want { //nolint:errorlint // as it is
					t.Errorf("sum: %v; want %v", err, want)
				}
			}
		}
	})
}

// A frame may ask for as much memory as it likes; it does not get it.
func TestWindowIsBounded(t *testing.T) {
	s := sealers(t)[".zst"]
	plain := plains["text"]
	table := s.sealed(t, nil)
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
		stored := append(twoBlocks(t, plain), table...)
		stored[5] = c.exponent<<3 | c.mantissa
		var header zstd.Header
		if err := header.Decode(stored); err != nil || header.WindowSize != c.window {
			t.Fatalf("the frame is %+v, %v; want a window of %d", header, err, c.window)
		}
		is, err := io.ReadAll(s.open(t, bytes.NewReader(stored)))
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

// A few kilobytes can yield any number of plain bytes, but not in memory.
func TestMemoryOfABombIsBounded(t *testing.T) {
	const size = 256 << 20
	s := sealers(t)[".zst"]
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	oneFrame := append(enc.EncodeAll(make([]byte, size), nil), s.sealed(t, nil)...)
	r := s.reader(t, io.LimitReader(&endless{}, size))
	defer r.Close()
	frames, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, stored := range map[string][]byte{"many frames": frames, "one frame": oneFrame} {
		var n int64
		got := allocated(func() { n, err = io.Copy(io.Discard, s.open(t, bytes.NewReader(stored))) })
		if got > 32<<20 || err == nil && n != size {
			t.Errorf("%s: %d bytes swell to %d, %v, and %d KiB are allocated", name, len(stored), n, err, got>>10)
		}
	}
}
