package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// Fetch writes the plain snapshot of a backup to w, digest trailer included,
// and checks the stored and the plain bytes against the manifest on the way.
// What w got is worth nothing unless the error is nil; damage is
// [fail.ErrVerification]. A backup that no identity opens is
// [seal.ErrNoIdentity].
func (c *Catalog) Fetch(ctx context.Context, b *Backup, w io.Writer) error {
	if !c.CanOpen(b) {
		return fmt.Errorf("fetch backup %s: %w", b.ID, needsIdentity(b, seal.ErrNoIdentity))
	}
	stored, err := c.openStored(ctx, b)
	if err != nil {
		return err
	}
	defer stored.Close()
	opened, err := seal.Open(stored, b.format(), c.Identities)
	if err != nil {
		return fmt.Errorf("fetch backup %s: %w", b.ID, err)
	}
	defer opened.Close()
	plain := newPlainCheck(b.DB)
	size := b.DB.Size + dbfile.DigestSize
	r := &fetchReader{ctx: ctx, r: opened, total: size, progress: c.Progress}
	_, copyErr := io.Copy(io.MultiWriter(w, plain), io.LimitReader(r, size+1)) // one more shows that it is too long
	noIdentity := errors.Is(copyErr, seal.ErrNoIdentity)
	if copyErr != nil && !noIdentity && !errors.Is(copyErr, seal.ErrDamaged) {
		return fmt.Errorf("fetch backup %s: %w", b.ID, copyErr)
	}
	sum, err := opened.Sum() // a changed key in the header looks like a foreign one
	if err != nil {
		return fmt.Errorf("fetch backup %s: %w", b.ID, err)
	}
	if err := checkStored(b, sum); err != nil {
		return err
	}
	if noIdentity {
		return fmt.Errorf("fetch backup %s: %w", b.ID, needsIdentity(b, copyErr))
	}
	if copyErr != nil {
		return fail.As(fail.ErrVerification, fmt.Errorf("backup %s: %w", b.ID, copyErr))
	}
	if err := plain.check(); err != nil {
		return fmt.Errorf("backup %s: %w", b.ID, err)
	}
	return nil
}

// needsIdentity says which key would be the right one.
func needsIdentity(b *Backup, err error) error {
	if b.Encryption == nil {
		return err
	}
	return fail.WithHint(err, "--identity FILE names a private key of one of: %s", strings.Join(b.Encryption.Recipients, ", "))
}

// CheckStored reads the stored object of a backup and compares it with the
// manifest, which needs no identity. Damage is [fail.ErrVerification].
func (c *Catalog) CheckStored(ctx context.Context, b *Backup) error {
	stored, err := c.openStored(ctx, b)
	if err != nil {
		return err
	}
	defer stored.Close()
	meter := seal.NewMeter()
	r := &fetchReader{ctx: ctx, r: stored, total: b.Stored.Size, progress: c.Progress}
	if _, err := io.Copy(meter, r); err != nil {
		return fmt.Errorf("read backup %s: %w", b.ID, err)
	}
	return checkStored(b, meter.Sum())
}

// CanOpen tells whether a backup is in the clear, or there is an identity that
// may open it.
func (c *Catalog) CanOpen(b *Backup) bool { return b.Encryption == nil || c.Identities != nil }

func (c *Catalog) openStored(ctx context.Context, b *Backup) (io.ReadCloser, error) {
	stored, err := c.Store.Open(ctx, path.Join(b.prefix, b.Stored.Name))
	if errors.Is(err, storage.ErrNotExist) {
		return nil, fail.Verificationf("backup %s has a manifest but no data", b.ID)
	}
	return stored, err
}

func checkStored(b *Backup, is seal.Sum) error {
	if is == b.Stored.Sum {
		return nil
	}
	return fail.Verificationf("backup %s: stored bytes are %d with SHA-256 %.16s…, the manifest says %d with %.16s…",
		b.ID, is.Size, is.SHA256, b.Stored.Size, b.Stored.SHA256)
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
