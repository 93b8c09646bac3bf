// Package seal is what a stored object is made of. The plain bytes become
//
//   - zstd: frames of 1 MiB of plain bytes each, every one with a checksum, and
//     behind them a seek table in a skippable frame, as the seekable format has
//     it (contrib/seekable_format in the zstd repository);
//   - age: the binary form of https://age-encryption.org/v1.
//
// Either can be left out. SHA-256 and length of the plain and of the stored
// bytes say that nothing else is missing.
//
// Any object can be opened with two commands, which a test of the whole tool
// does:
//
//	age -d -i KEY db.zst.age | zstd -d -o snapshot.db
package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// Compression names how plain bytes are compressed, as in manifests and on the
// command line.
type Compression string

// Compressions that there are.
const (
	Zstd Compression = "zstd"
	None Compression = "none"
)

func (c Compression) known() bool { return c == Zstd || c == None }

// maxLevel is zstd's. The negative ones and those beyond are for other purposes.
const maxLevel = 22

// Options say how an object is sealed.
type Options struct {
	Compression Compression // default Zstd
	// Level is zstd's, 1 to 22, default 1. There are four encoders behind it: for
	// 1 and 2, 3 to 5, 6 to 9, and 10 up. Sealing takes 5 MiB of memory with the
	// first, 6 and 9 with the next ones, and 40 with the last.
	Level      int
	Recipients *Recipients // nil: not encrypted
}

// Check refuses what cannot be done. All of it is wrong usage.
func (o Options) Check() error {
	if c := o.Format().Compression; !c.known() {
		return fmt.Errorf("unknown compression %q: there are %s and %s", c, Zstd, None)
	}
	if o.Level < 0 || o.Level > maxLevel {
		return fmt.Errorf("compression level %d is not one of 1 to %d", o.Level, maxLevel)
	}
	if o.Recipients != nil && o.Recipients.Len() == 0 {
		return errors.New("encryption was asked for, but no recipient given")
	}
	return nil
}

// Format is what has to be known to open what is sealed so.
func (o Options) Format() Format {
	f := Format{Compression: o.Compression, Encrypted: o.Recipients != nil}
	if f.Compression == "" {
		f.Compression = Zstd
	}
	return f
}

// Format is what has to be known to open an object.
type Format struct {
	Compression Compression
	Encrypted   bool
}

// Suffix is what the name of such an object ends in, for the commands that open
// it: "", ".zst", ".age" or ".zst.age".
func (f Format) Suffix() string {
	suffix := ""
	if f.Compression == Zstd {
		suffix = ".zst"
	}
	if f.Encrypted {
		suffix += ".age"
	}
	return suffix
}

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
