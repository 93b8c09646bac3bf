package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// VerifyBackup climbs the whole ladder for a backup: the stored bytes, and the
// plain snapshot in a spool in spoolDir. The spool comes back for more checks;
// the caller closes it. It is nil where the stored bytes are damaged.
func (c *Catalog) VerifyBackup(ctx context.Context, b *Backup, spoolDir string, now func() time.Time) (*Verification, *Spool, error) {
	spool, checks, err := c.spool(ctx, b, spoolDir, now)
	if err != nil || spool == nil {
		return &Verification{Checks: checks}, nil, err
	}
	v, err := inspected(ctx, spool, spool.Size(), now)
	if err != nil {
		_ = spool.Close()
		return nil, nil, err
	}
	v.Checks[0].Detail = "SHA-256 equals the trailer and the manifest"
	v.Checks = append(checks, v.Checks...)
	v.compareManifest(b.Manifest)
	return v, spool, nil
}

func (c *Catalog) spool(ctx context.Context, b *Backup, dir string, now func() time.Time) (*Spool, Checks, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	if err := diskspace.Check(dir, b.DB.Size+dbfile.DigestSize, spoolHint); err != nil {
		return nil, nil, err
	}
	spool, err := NewSpool(dir)
	if err != nil {
		return nil, nil, err
	}
	start := now()
	err = c.Fetch(ctx, b, spool)
	check := Check{Name: RungStored, Verdict: Match, Detail: fmt.Sprintf("%d bytes, SHA-256 as the manifest says", b.Stored.Size), Seconds: now().Sub(start).Seconds()}
	if err == nil {
		return spool, Checks{check}, nil
	}
	_ = spool.Close()
	if !errors.Is(err, fail.ErrVerification) {
		return nil, nil, err
	}
	check.Verdict, check.Detail = Mismatch, err.Error()
	return nil, Checks{check}, nil
}

// compareManifest holds what the file says against the manifest.
func (v *Verification) compareManifest(m *Manifest) {
	r := v.Report
	if r == nil {
		return
	}
	is := newManifest(r)
	if is.StatusHash != m.StatusHash || is.Revision != m.Revision || is.TotalKeys != m.TotalKeys || is.HashKV.Hash != m.HashKV.Hash {
		v.Checks = append(v.Checks, Check{Name: RungRecords, Verdict: Mismatch,
			Detail: fmt.Sprintf("revision %d, %d keys, hash %08x; the manifest says %d, %d, %08x",
				is.Revision, is.TotalKeys, is.StatusHash, m.Revision, m.TotalKeys, m.StatusHash)})
	}
}

// Get writes the plain snapshot of a backup to file, replacing it atomically
// and only after every byte was checked against the manifest.
func (c *Catalog) Get(ctx context.Context, b *Backup, file string) error {
	if fi, err := os.Lstat(file); err == nil && !fi.Mode().IsRegular() {
		return fail.Usagef("%s is not a regular file", file)
	}
	if err := diskspace.Check(filepath.Dir(file), b.DB.Size+dbfile.DigestSize, fileHint); err != nil {
		return err
	}
	f, err := atomicfile.Create(file)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := c.Fetch(ctx, b, f); err != nil {
		return err
	}
	return f.Commit()
}
