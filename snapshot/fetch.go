package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// Fetch writes the plain snapshot of a backup to w, digest trailer included,
// and checks the stored and the plain bytes against the manifest on the way.
// What w got is worth nothing unless the error is nil; damage is
// [fail.ErrVerification].
func (c *Catalog) Fetch(ctx context.Context, b *Backup, w io.Writer) error {
	stored, err := c.Store.Open(ctx, path.Join(b.prefix, b.Stored.Name))
	if errors.Is(err, storage.ErrNotExist) {
		return fail.Verificationf("backup %s has a manifest but no data", b.ID)
	}
	if err != nil {
		return err
	}
	defer stored.Close()
	opened, err := seal.Open(stored)
	if err != nil {
		return err
	}
	defer opened.Close()
	plain := newPlainCheck(b.DB)
	size := b.DB.Size + dbfile.DigestSize
	r := &fetchReader{ctx: ctx, r: opened, total: size, progress: c.Progress}
	_, copyErr := io.Copy(io.MultiWriter(w, plain), io.LimitReader(r, size+1)) // one more shows that it is too long
	if copyErr != nil && !errors.Is(copyErr, seal.ErrDamaged) {
		return fmt.Errorf("fetch backup %s: %w", b.ID, copyErr)
	}
	sum, err := opened.Sum()
	if err != nil {
		return fmt.Errorf("fetch backup %s: %w", b.ID, err)
	}
	if sum != b.Stored.Sum {
		return fail.Verificationf("backup %s: stored bytes are %d with SHA-256 %.16s…, the manifest says %d with %.16s…",
			b.ID, sum.Size, sum.SHA256, b.Stored.Size, b.Stored.SHA256)
	}
	if copyErr != nil {
		return fail.As(fail.ErrVerification, fmt.Errorf("backup %s: %w", b.ID, copyErr))
	}
	if err := plain.check(); err != nil {
		return fmt.Errorf("backup %s: %w", b.ID, err)
	}
	return nil
}

// fetchReader makes a read loop end with its context, and tells its progress.
type fetchReader struct {
	ctx         context.Context
	r           io.Reader
	done, total int64
	progress    func(done, total int64)
}

func (f *fetchReader) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.r.Read(p)
	f.done += int64(n)
	if f.progress != nil {
		f.progress(f.done, f.total)
	}
	return n, err
}
