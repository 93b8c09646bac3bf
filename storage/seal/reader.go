package seal

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"filippo.io/age"
	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"
)

// frameSize is the most plain bytes of a zstd frame: what has to be read to get
// at any one of them. Larger frames gain little ratio on snapshots.
const frameSize = 1 << 20

// Reader seals plain bytes while it is read: it yields the stored bytes. After
// io.EOF, Sum tells what they were. It is a storage.Sized.
type Reader struct {
	pipe    *io.PipeReader // what is compressed, not yet encrypted
	out     io.Reader      // reads pipe
	closed  atomic.Bool
	stored  *Meter
	maxSize int64
}

// NewReader starts sealing plain, of maxPlain bytes at most: more does no harm
// but to MaxSize. The work ends when plain does, when the Reader is closed, or,
// at the next read, when ctx is done. An error of plain comes back as it is, and
// nothing that was read before it opens as a whole object.
//
// Where recipients are given, no plain byte leaves the Reader, whatever fails.
func NewReader(ctx context.Context, plain io.Reader, maxPlain int64, o Options) (*Reader, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	r := &Reader{pipe: pr, out: pr, stored: NewMeter(), maxSize: maxSize(maxPlain, o)}
	var to io.WriteCloser = nopCloser{pw}
	if o.Format().Compression == Zstd {
		var err error
		if to, err = newCompressor(pw, o.Level); err != nil {
			return nil, err
		}
	}
	if o.Recipients != nil {
		// Encrypted by whoever reads, so that compression goes on beside it.
		var err error
		if r.out, err = age.EncryptReader(pr, o.Recipients.all...); err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
	}
	go func() { pw.CloseWithError(compress(to, contextReader{ctx, plain})) }() // nil is io.EOF
	return r, nil
}

// compress writes plain in frames, and ends what it writes if plain ends well.
func compress(to io.WriteCloser, plain contextReader) error {
	frame := make([]byte, frameSize)
	for {
		n, err := fill(plain, frame)
		ended := err == io.EOF //nolint:errorlint // a wrapped one is a failure
		if err != nil && !ended {
			return err
		}
		if n > 0 {
			if _, err := to.Write(frame[:n]); err != nil {
				return err
			}
		}
		if ended {
			break
		}
	}
	if err := plain.ctx.Err(); err != nil {
		return err
	}
	return to.Close()
}

// fill is io.ReadFull, but an error of r stays what it is: there,
// io.ErrUnexpectedEOF can be r's own or its end.
func fill(r io.Reader, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// nopCloser is where frames go that are not compressed.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// newCompressor writes each slice that it gets as a frame, and the seek table at
// its Close.
func newCompressor(w io.Writer, level int) (io.WriteCloser, error) {
	// One worker: a second gains nothing beside the stream that it works for.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(max(level, 1))),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithWindowSize(frameSize))
	if err != nil {
		return nil, err
	}
	return seekable.NewWriter(w, &frameEncoder{enc: enc})
}

// frameEncoder spares an allocation a frame: the frame before has been written
// when the next one comes.
type frameEncoder struct {
	enc *zstd.Encoder
	buf []byte
}

func (e *frameEncoder) EncodeAll(src, _ []byte) []byte {
	e.buf = e.enc.EncodeAll(src, e.buf[:0])
	return e.buf
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
	if r.closed.Load() {
		return 0, io.ErrClosedPipe // and not what was encrypted already
	}
	n, err := r.out.Read(p)
	_, _ = r.stored.Write(p[:n]) // a hash never fails
	return n, err
}

// Close ends the sealing.
func (r *Reader) Close() error {
	r.closed.Store(true)
	return r.pipe.Close()
}

// Sum is the identity of the stored bytes read so far.
func (r *Reader) Sum() Sum { return r.stored.Sum() }

// MaxSize is the most stored bytes that there can be.
func (r *Reader) MaxSize() int64 { return r.maxSize }

// What sealing can add to bytes that do not compress.
const (
	// A frame's header (14 bytes at most), the header of each of its blocks (3
	// bytes for 128 KiB, or for less where the encoder likes it better: it takes
	// 64), and its checksum (4): RFC 8878, section 3.1.1. And its entry in the
	// seek table, of 12 bytes.
	frameOverhead = 14 + 3*(frameSize/(32<<10)) + 4 + 12
	tableOverhead = 8 + 9 // header and footer of the seek table

	chunkSize     = 64 << 10 // of age's payload, and what it adds to each
	chunkOverhead = 16
	// The line of the version, of the header's MAC, and the payload's nonce.
	headerOverhead = 128
	// An ssh-rsa stanza of the largest key that there can be, of 16384 bits,
	// takes 2.8 KiB; a post-quantum one 1.6.
	maxStanza = 4 << 10
)

func maxSize(plain int64, o Options) int64 {
	size := plain
	if o.Format().Compression == Zstd {
		size += ceil(plain, frameSize)*frameOverhead + tableOverhead
	}
	if o.Recipients != nil {
		size += max(ceil(size, chunkSize), 1) * chunkOverhead // nothing is a chunk too
		size += headerOverhead + int64(o.Recipients.Len())*maxStanza
	}
	return size
}

func ceil(n, d int64) int64 { return (n + d - 1) / d }
