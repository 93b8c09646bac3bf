package seal_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"filippo.io/age"
	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"
)

// decoder is one that grants no more memory than every decoder must.
func decoder(t testing.TB) *zstd.Decoder {
	t.Helper()
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dec.Close)
	return dec
}

// What was sealed is a zstd stream to others: frames of 1 MiB with a checksum
// each, whose window no decoder may refuse.
func TestAnyDecoderOpensIt(t *testing.T) {
	s := sealers(t)[".zst"]
	for name, plain := range plains {
		stored := s.sealed(t, plain)
		is, err := decoder(t).DecodeAll(stored, nil)
		if err != nil || !bytes.Equal(is, plain) {
			t.Errorf("%s: decoded are %d bytes, %v; want the %d that were sealed", name, len(is), err, len(plain))
		}
		table := seekTable(t, stored)
		if frames := int64(len(plain)+1<<20-1) >> 20; table.NumFrames() != frames || table.Size() != uint64(len(plain)) || !table.HasChecksums() {
			t.Errorf("%s: the seek table has %d frames of %d bytes; want %d of %d, with checksums", name, table.NumFrames(), table.Size(), frames, len(plain))
		}
		for i := range table.NumFrames() {
			frame, _ := table.EntryByID(i)
			var header zstd.Header
			if err := header.Decode(stored[frame.CompressedOffset:]); err != nil {
				t.Fatal(err)
			}
			if !header.HasCheckSum || header.Skippable || header.DictionaryID != 0 || header.WindowSize > 8<<20 {
				t.Errorf("%s: frame %d is %+v; want a checksum, no dictionary, and a window of at most 8 MiB", name, i, header)
			}
		}
	}
	if n, all := len(s.sealed(t, plains["zeros"])), len(plains["zeros"]); n > all/1000 {
		t.Errorf("%d zeros are stored in %d bytes", all, n)
	}
}

// counted counts what is read at random.
type counted struct {
	r io.ReaderAt
	n int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// Any byte of an object can be had without reading all before it, encrypted or
// not: others can read a single page of a db in a store.
func TestAnyByteCanBeHadByItself(t *testing.T) {
	plain := plains["a mixture"]
	forEach(t, func(t *testing.T, s sealer) {
		stored := s.sealed(t, plain)
		object := &counted{r: bytes.NewReader(stored)}
		packed, size := io.ReaderAt(object), int64(len(stored))
		if s.identity != nil {
			var err error
			if packed, size, err = age.DecryptReaderAt(object, size, s.identity); err != nil {
				t.Fatal(err)
			}
		}
		db := packed
		if s.options.Format().Suffix() != "" && s.options.Compression != "none" {
			r, err := seekable.NewReader(io.NewSectionReader(packed, 0, size), decoder(t))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			db = r
		}
		at := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			off, page := at.Int64N(int64(len(plain)-4096)), make([]byte, 4096)
			object.n = 0
			if n, err := db.ReadAt(page, off); err != nil || !bytes.Equal(page, plain[off:off+4096]) {
				t.Fatalf("4096 bytes at %d: %d, %v", off, n, err)
			}
			if limit := int64(2<<20 + 4*64<<10); object.n > limit {
				t.Errorf("4096 bytes at %d need %d of %d stored bytes", off, object.n, len(stored))
			}
		}
	})
}
