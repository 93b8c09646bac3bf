package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// Copied is what a copy has done.
type Copied struct {
	Data  bool // the snapshot was copied; it was there already if not
	Added int  // reports and holds that were not there

	// Damaged tells which records were not copied. The backup is there
	// nevertheless.
	Damaged error
}

// Copy puts a backup into another store, byte for byte, under the same keys.
// What is read is compared with the manifest before the object is complete, and
// the object is read back before the manifest is written. An interrupted Copy
// goes on where it stopped.
//
// A backup that is there already, with the same snapshot, only gets the reports
// and holds that it lacks. A record that is damaged is not copied, but keeps no
// backup from its copy.
func (c *Catalog) Copy(ctx context.Context, b *Backup, to storage.Store) (Copied, error) {
	target := &Catalog{Store: to, Cluster: b.Cluster.Name, Lineage: b.Cluster.Lineage, VerifyKeys: c.VerifyKeys, MayAct: c.MayAct}
	var out Copied
	again, manifest, err := c.readManifest(ctx, b.prefix)
	if err == nil {
		// The data is held against the manifest that goes with it.
		b = &Backup{Manifest: again, prefix: b.prefix, reports: b.reports, holds: b.holds}
		out.Data, err = c.copyBackup(ctx, b, target)
	}
	if err == nil {
		out.Added, out.Damaged, err = c.copyRecords(ctx, b, target)
	}
	if err == nil && out.Data {
		err = c.copyManifest(ctx, b, target, manifest)
	}
	if err != nil {
		return out, fmt.Errorf("copy backup %s to %s: %w", b.ID, to, err)
	}
	return out, nil
}

// copyBackup copies the stored object, unless the backup is there.
func (c *Catalog) copyBackup(ctx context.Context, b *Backup, to *Catalog) (bool, error) {
	there, _, err := to.readManifest(ctx, b.prefix)
	switch {
	case err == nil && there.DB == b.DB: // perhaps stored in another way, by a save to both
		return false, to.checkPresent(ctx, &Backup{Manifest: there, prefix: b.prefix})
	case err == nil:
		return false, fail.Verificationf("another backup with the same id is there")
	case !errors.Is(err, storage.ErrNotExist):
		return false, err
	}
	stored, err := c.openStored(ctx, b)
	if err != nil {
		return false, err
	}
	defer stored.Close()
	key := path.Join(b.prefix, b.Stored.Name)
	r := &fetchReader{ctx: ctx, r: stored, total: b.Stored.Size, progress: c.Progress}
	err = to.Store.Put(ctx, key, &checkedReader{r: r, b: b, meter: seal.NewMeter()})
	if err != nil && !errors.Is(err, storage.ErrExist) { // a copy that was interrupted behind it goes on
		return false, err
	}
	if err := to.CheckStored(ctx, b); err != nil {
		return false, fail.WithHint(fmt.Errorf("read back: %w", err),
			"a copy that went wrong, or a save to both stores that came to half of them, has left it: it is never listed, and etcdha snapshot prune --apply removes it a day later")
	}
	return true, nil
}

// checkPresent looks for the data of a backup in the listing, without reading it.
func (c *Catalog) checkPresent(ctx context.Context, b *Backup) error {
	key := path.Join(b.prefix, b.Stored.Name)
	for o, err := range c.Store.List(ctx, key) {
		if err != nil {
			return err
		}
		if o.Key == key && o.Size == b.Stored.Size {
			return nil
		}
	}
	return fail.WithHint(fail.Verificationf("it is there, but its data is missing or of another size"), "etcdha snapshot verify tells more; what is damaged has to be removed by hand")
}

// copyRecords copies reports and holds, and the names of those that are damaged.
func (c *Catalog) copyRecords(ctx context.Context, b *Backup, to *Catalog) (added int, damaged, err error) {
	there := make(map[string]bool)
	for o, err := range to.Store.List(ctx, b.prefix+"/") {
		if err != nil {
			return 0, nil, err
		}
		there[o.Key] = true
	}
	for _, key := range slices.Concat(b.reports, b.holds) {
		if there[key] {
			continue
		}
		data, err := c.readRecord(ctx, b, key)
		if err == nil {
			err = to.putSame(ctx, key, data)
		}
		switch {
		case errors.Is(err, fail.ErrVerification), errors.Is(err, ErrNewerFormat):
			damaged = errors.Join(damaged, fmt.Errorf("not copied: %w", err))
		case err != nil:
			return added, damaged, err
		default:
			added++
		}
	}
	return added, damaged, nil
}

// copyManifest makes the copy exist: the signature if there is one, and last
// the bytes of the manifest.
func (c *Catalog) copyManifest(ctx context.Context, b *Backup, to *Catalog, manifest []byte) error {
	signature, err := c.readSmall(ctx, path.Join(b.prefix, signatureName))
	if err != nil && !errors.Is(err, storage.ErrNotExist) {
		return err
	}
	if len(c.VerifyKeys) > 0 { // what came this time is what will be copied
		if err := checkSignature(c.VerifyKeys, manifest, signature); err != nil {
			return err
		}
	}
	return to.putManifest(ctx, b, manifest, signature)
}

// checkNotSwept takes a manifest back whose data a prune has removed as a
// leftover, a moment before the manifest came. The prune looks for
// it as well, so that one of the two sees it; see [Catalog.removeUncommitted].
func (c *Catalog) checkNotSwept(ctx context.Context, b *Backup) error {
	data, err := c.Store.Open(ctx, path.Join(b.prefix, b.Stored.Name))
	if err == nil {
		data.Close()
		return nil
	}
	if !errors.Is(err, storage.ErrNotExist) {
		return err
	}
	return errors.Join(errSwept, c.Store.Delete(ctx, path.Join(b.prefix, manifestName)))
}

// errSwept says that an upload was given up while it went on.
var errSwept = errors.New("a prune has removed the data meanwhile: do it again")

// putSame puts data, unless that very content is there, and reads it again in
// any case: a store may say that it has kept what it has changed.
func (c *Catalog) putSame(ctx context.Context, key string, data []byte) error {
	err := c.Store.Put(ctx, key, bytes.NewReader(data))
	if err != nil && !errors.Is(err, storage.ErrExist) {
		return err
	}
	return c.holdsSame(ctx, key, data)
}

func (c *Catalog) holdsSame(ctx context.Context, key string, data []byte) error {
	there, err := c.readSmall(ctx, key)
	if err == nil && !bytes.Equal(there, data) {
		err = fail.Verificationf("%s came back with other content", key)
	}
	return err
}

// checkedReader ends in an error, and not with io.EOF, unless it has yielded
// exactly what the manifest says, so that nothing else becomes an object.
type checkedReader struct {
	r     io.Reader
	b     *Backup
	meter *seal.Meter
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.meter.Write(p[:n]) // a hash never fails
	if errors.Is(err, io.EOF) {
		if sumErr := checkStored(c.b, c.meter.Sum()); sumErr != nil {
			err = sumErr
		}
	}
	return n, err
}

// MaxSize makes it a [storage.Sized].
func (c *checkedReader) MaxSize() int64 { return c.b.Stored.Size }
