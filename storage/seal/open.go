package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Why an object does not open.
var (
	// ErrDamaged says that stored bytes are not what was sealed.
	ErrDamaged = errors.New("damaged")
	// ErrNoIdentity says that an object is encrypted, and that no identity was
	// given or none of them fits. A damaged header can look the same: only
	// [Opened.Sum] tells.
	ErrNoIdentity = errors.New("no identity that opens it was given")
)

// maxWindow bounds the memory that opening an object can take: 8 MiB is what
// every zstd decoder must support (RFC 8878, section 3.1.1.1.2).
const maxWindow = 8 << 20

// Opened yields the plain bytes of a stored object.
type Opened struct {
	format Format
	ids    *Identities
	meter  *Meter
	stored *source
	packed *source // what was compressed: decrypted, or stored as it is
	dec    *zstd.Decoder
	plain  io.Reader // nil until the first read
	err    error     // how reading ended
}

// Open opens stored bytes; ids may be nil where they are not encrypted. It reads
// nothing yet, so that all that is wrong with them comes from Read, and Sum
// works whatever is wrong:
//
//   - damage that zstd or age can see is [ErrDamaged]. What is stored without
//     both has no damage to see: only the sums prove it;
//   - [ErrNoIdentity];
//   - an error of stored comes back as it is, and one of a passphrase that was
//     asked for with the name of the file. They say nothing about the object.
//
// Plain bytes that came before an error are worth nothing.
func Open(stored io.Reader, f Format, ids *Identities) (*Opened, error) {
	if !f.Compression.known() {
		return nil, fmt.Errorf("open stored object: unknown compression %q", f.Compression)
	}
	meter := NewMeter()
	return &Opened{format: f, ids: ids, meter: meter, stored: &source{r: io.TeeReader(stored, meter)}}, nil
}

func (o *Opened) Read(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	if o.plain == nil {
		if o.err = o.start(); o.err != nil {
			return 0, o.err
		}
	}
	n, err := o.plain.Read(p)
	if err != nil {
		o.err = o.explain(err)
	}
	return n, o.err
}

// start opens the layers, of which age reads its header.
func (o *Opened) start() error {
	o.packed = o.stored
	if o.format.Encrypted {
		decrypted, err := o.ids.decrypt(o.stored)
		switch {
		case o.stored.err != nil:
			return o.stored.err
		case err != nil:
			return err
		}
		o.packed = &source{r: decrypted}
	}
	if o.format.Compression == None {
		o.plain = o.packed
		return nil
	}
	dec, err := zstd.NewReader(o.packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return fmt.Errorf("open stored object: %w", err)
	}
	o.dec, o.plain = dec, dec
	return nil
}

// explain tells what an error at the end of the plain bytes means. The layers
// are asked from the outermost on: an inner one takes some errors for the end.
func (o *Opened) explain(err error) error {
	switch {
	case o.stored.err != nil:
		return o.stored.err
	case o.packed.err != nil:
		return damaged(o.packed.err)
	case err != io.EOF: //nolint:errorlint // a wrapped one is a failure
		return damaged(err)
	case o.format.Compression == Zstd && !o.packed.endsInTable():
		// Whole frames can be missing, which zstd alone does not see.
		return damaged(io.ErrUnexpectedEOF)
	}
	return io.EOF
}

func damaged(err error) error { return fmt.Errorf("stored object is %w: %w", ErrDamaged, err) }

// Sum reads what is left and returns the identity of all stored bytes.
func (o *Opened) Sum() (Sum, error) {
	_, err := io.Copy(io.Discard, o.stored)
	return o.meter.Sum(), err
}

// Close frees the decoder; it does not close the stored bytes.
func (o *Opened) Close() {
	if o.dec != nil {
		o.dec.Close()
	}
}

// source remembers why reading failed, and what it read last.
type source struct {
	r    io.Reader
	err  error   // stays; nil at the end
	last [4]byte // the last bytes read
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	got := p[max(0, n-len(s.last)):n]
	kept := copy(s.last[:], s.last[len(got):])
	copy(s.last[kept:], got)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// tableMagic ends a seek table: Seekable_Magic_Number.
const tableMagic = 0x8F92EAB1

func (s *source) endsInTable() bool { return binary.LittleEndian.Uint32(s.last[:]) == tableMagic }
