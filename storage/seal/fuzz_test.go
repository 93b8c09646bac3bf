package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"testing"

	"github.com/etcdha/etcdha/storage/seal"
)

// FuzzOpen opens any bytes as an object of each format: it ends in plain bytes
// or in an error that says why not, and the sum is always that of the bytes.
// The identity is always the same, so that what was found is found again.
func FuzzOpen(f *testing.F) {
	pair := sshKeyPair(f, ed25519.NewKeyFromSeed(random(32)))
	ids, to := identities(f, pair.identity), recipients(f, pair.recipient)
	formats := []seal.Format{
		{Compression: seal.None}, {Compression: seal.Zstd},
		{Compression: seal.None, Encrypted: true}, {Compression: seal.Zstd, Encrypted: true},
	}
	for kind, format := range formats {
		s := sealer{options: seal.Options{Compression: format.Compression}}
		if format.Encrypted {
			s.options.Recipients = to
		}
		for _, plain := range []string{"nothing", "text", "zeros"} {
			if plain == "zeros" && format.Compression == seal.None {
				continue // long, and no more to find
			}
			stored := s.sealed(f, plains[plain])
			f.Add(uint8(kind), stored)
			f.Add(uint8(kind), stored[:len(stored)/2])
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, stored []byte) {
		format := formats[int(kind)%len(formats)]
		s := sealer{options: seal.Options{Compression: format.Compression}, ids: ids}
		if format.Encrypted {
			s.options.Recipients = to
		}
		o := s.open(t, bytes.NewReader(stored))
		var n int64
		var err error
		if got := allocated(func() { n, err = io.CopyN(io.Discard, o, 64<<20) }); got > 48<<20 {
			t.Errorf("%d bytes make it allocate %d KiB for %d plain bytes", len(stored), got>>10, n)
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, seal.ErrDamaged) && !errors.Is(err, seal.ErrNoIdentity) {
			t.Errorf("read: %v", err)
		}
		if is, err := o.Sum(); err != nil || is != sumOf(stored) {
			t.Errorf("sum is %+v, %v; want %+v", is, err, sumOf(stored))
		}
	})
}
