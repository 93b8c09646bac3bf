package restore

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"

	"github.com/etcdha/etcdha/internal/fail"
)

// dbWriter writes a plain snapshot as the db of a data directory: what comes
// after dbSize is the digest trailer.
type dbWriter struct {
	f       *os.File
	dbSize  int64
	written int64
	digest  hash.Hash
	trailer []byte
	want    int // bytes of trailer
}

func createDB(path string, size int64, hasDigest bool) (*dbWriter, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &dbWriter{f: f, dbSize: size, digest: sha256.New()}
	if hasDigest {
		w.dbSize -= sha256.Size
		w.want = sha256.Size
	}
	return w, nil
}

// writeSize is large enough for a goroutine a write to cost nothing.
const writeSize = 1 << 20

// Write hashes and writes side by side, each a processor's work.
func (w *dbWriter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), w.dbSize-w.written)
	hashed := make(chan struct{})
	go func() {
		_, _ = w.digest.Write(p[:n]) // a hash never fails
		close(hashed)
	}()
	_, err := w.f.Write(p[:n])
	<-hashed
	if err != nil {
		return 0, err
	}
	w.written += n
	w.trailer = append(w.trailer, p[n:]...)
	if len(w.trailer) > w.want {
		return 0, fail.Verificationf("the snapshot is longer than it said")
	}
	return len(p), nil
}

// finish checks that all came, and that it is what the trailer says.
func (w *dbWriter) finish(checkDigest bool) error {
	if w.written < w.dbSize || len(w.trailer) < w.want {
		return fail.Verificationf("the snapshot ends %d bytes early", w.dbSize-w.written+int64(w.want-len(w.trailer)))
	}
	if got := w.digest.Sum(nil); checkDigest && w.want > 0 && !bytes.Equal(got, w.trailer) {
		return fail.As(fail.ErrVerification, fmt.Errorf("SHA-256 of the snapshot is %x, its digest trailer says %x", got, w.trailer))
	}
	return nil
}
