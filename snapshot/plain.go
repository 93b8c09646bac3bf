package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage/seal"
)

// plainCheck compares a plain snapshot that is written to it with what a
// manifest says of the db, and with the snapshot's own trailer.
type plainCheck struct {
	want    seal.Sum
	left    int64 // bytes of the db still to come
	db      hash.Hash
	trailer []byte
	extra   bool // more than a trailer came after the db
}

func newPlainCheck(want seal.Sum) *plainCheck {
	return &plainCheck{want: want, left: want.Size, db: sha256.New()}
}

func (p *plainCheck) Write(b []byte) (int, error) {
	n := min(int64(len(b)), p.left)
	_, _ = p.db.Write(b[:n]) // a hash never fails
	p.left -= n
	rest := b[n:]
	if len(p.trailer)+len(rest) > sha256.Size {
		p.extra = true
	} else {
		p.trailer = append(p.trailer, rest...)
	}
	return len(b), nil
}

func (p *plainCheck) check() error {
	got := hex.EncodeToString(p.db.Sum(nil))
	switch {
	case p.left > 0:
		return fail.Verificationf("the plain snapshot ends %d bytes early", p.left)
	case p.extra || len(p.trailer) != sha256.Size:
		return fail.Verificationf("the plain snapshot does not end with its digest trailer")
	case got != p.want.SHA256:
		return fail.Verificationf("SHA-256 of the db is %s, the manifest says %s", got, p.want.SHA256)
	case hex.EncodeToString(p.trailer) != got:
		return fail.Verificationf("SHA-256 of the db is %s, the digest trailer says %x", got, p.trailer)
	}
	return nil
}
