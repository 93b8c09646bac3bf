// Package seal is what a stored object is made of: a zstd stream of the plain
// bytes, with the SHA-256 and the length of the plain and of the stored bytes.
//
// A sealed object can be opened with the zstd command alone.
package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Compression names the format in manifests.
const Compression = "zstd"

// maxWindow bounds the memory that opening an object can take: 8 MiB is what
// every zstd decoder must support (RFC 8878, section 3.1.1.1.2).
const maxWindow = 8 << 20

// Sum is the identity of a run of bytes.
type Sum struct {
	SHA256 string `json:"sha256"` // lower-case hex
	Size   int64  `json:"size"`   // bytes
}

// Meter computes the [Sum] of what is written to it.
type Meter struct {
	h hash.Hash
	n int64
}

// NewMeter returns an empty Meter.
func NewMeter() *Meter { return &Meter{h: sha256.New()} }

func (m *Meter) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	return m.h.Write(p)
}

// Sum returns the sum of everything written so far.
func (m *Meter) Sum() Sum {
	return Sum{SHA256: hex.EncodeToString(m.h.Sum(nil)), Size: m.n}
}

// Reader seals plain while it is read: it yields the stored bytes. After
// io.EOF, Sum tells what they were.
type Reader struct {
	pipe   *io.PipeReader
	stored *Meter
}

// NewReader starts sealing plain. Its work ends when plain does, when the
// Reader is closed, or, at the next read, when ctx is done.
func NewReader(ctx context.Context, plain io.Reader) (*Reader, error) {
	pr, pw := io.Pipe()
	// One worker: a second gains nothing beside the stream it works for, and
	// the fastest level loses no ratio on snapshots.
	enc, err := zstd.NewWriter(pw, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithWindowSize(maxWindow/2))
	if err != nil {
		return nil, err
	}
	go func() {
		_, err := io.Copy(enc, contextReader{ctx, plain})
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = enc.Close()
		}
		pw.CloseWithError(err) // nil is io.EOF
	}()
	return &Reader{pipe: pr, stored: NewMeter()}, nil
}

// contextReader makes a read loop end with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.pipe.Read(p)
	_, _ = r.stored.Write(p[:n]) // a hash never fails
	return n, err
}

// Close ends the sealing.
func (r *Reader) Close() error { return r.pipe.Close() }

// Sum is the identity of the stored bytes read so far.
func (r *Reader) Sum() Sum { return r.stored.Sum() }

// ErrDamaged says that stored bytes are no whole zstd stream.
var ErrDamaged = errors.New("damaged")

// Opened yields the plain bytes of a stored object.
type Opened struct {
	dec    *zstd.Decoder
	stored *Meter
	src    *source
}

// source remembers why reading failed, which is no damage.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Open opens stored bytes. Damage that zstd can see comes back from Read as
// [ErrDamaged]; only the sums prove the rest, see [Opened.Sum].
func Open(stored io.Reader) (*Opened, error) {
	meter := NewMeter()
	src := &source{r: io.TeeReader(stored, meter)}
	dec, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("open stored object: %w", err)
	}
	return &Opened{dec: dec, stored: meter, src: src}, nil
}

func (o *Opened) Read(p []byte) (int, error) {
	n, err := o.dec.Read(p)
	switch {
	case err == nil:
		return n, nil
	case o.src.err != nil: // also at io.EOF: the decoder takes some errors between frames for the end
		return n, o.src.err
	case errors.Is(err, io.EOF) && o.stored.n == 0:
		err = io.ErrUnexpectedEOF // no frame at all is no stream
	case errors.Is(err, io.EOF):
		return n, io.EOF
	}
	return n, fmt.Errorf("stored object is %w: %w", ErrDamaged, err)
}

// Sum reads what is left and returns the identity of all stored bytes.
func (o *Opened) Sum() (Sum, error) {
	_, err := io.Copy(io.Discard, o.src)
	return o.stored.Sum(), err
}

// Close frees the decoder; it does not close the stored bytes.
func (o *Opened) Close() { o.dec.Close() }
