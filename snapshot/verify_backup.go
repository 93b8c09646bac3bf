package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

// VerifyBackup climbs the whole ladder for a backup: its records, the stored
// bytes, and the plain snapshot in a spool in spoolDir. The spool comes back for
// more checks; the caller closes it. It is nil where the stored bytes are
// damaged, or cannot be opened for want of an identity.
func (c *Catalog) VerifyBackup(ctx context.Context, b *Backup, spoolDir string, now func() time.Time) (*Verification, *Spool, error) {
	checks, err := c.checkRecords(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	if !c.CanOpen(b) {
		check, err := c.verifySealed(ctx, b, now)
		return &Verification{Checks: append(checks, check...)}, nil, err
	}
	spool, check, err := c.spool(ctx, b, spoolDir, now)
	if errors.Is(err, seal.ErrNoIdentity) { // those that were given are of other keys
		check, err = c.verifySealed(ctx, b, now)
	}
	checks = append(checks, check...)
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

// checkRecords reads what was written beside the manifest: a damaged report
// would not be missed otherwise.
func (c *Catalog) checkRecords(ctx context.Context, b *Backup) (Checks, error) {
	if len(b.reports)+len(b.holds) == 0 {
		return nil, nil
	}
	check := Check{Name: RungReports, Verdict: Match, Detail: fmt.Sprintf("%d, each as it was written", len(b.reports)+len(b.holds))}
	var damaged []error
	for _, key := range slices.Concat(b.reports, b.holds) {
		_, err := c.readRecord(ctx, b, key)
		if err != nil && !errors.Is(err, fail.ErrVerification) {
			return nil, err
		}
		damaged = append(damaged, err)
	}
	if err := errors.Join(damaged...); err != nil {
		check.Verdict, check.Detail = Mismatch, err.Error()+": remove it by hand once you know why; the backup itself is judged below"
	}
	return Checks{check}, nil
}

// readRecord returns the bytes of a report or a hold, if they are as they were
// written; damage is [fail.ErrVerification].
func (c *Catalog) readRecord(ctx context.Context, b *Backup, key string) ([]byte, error) {
	data, err := c.readSmall(ctx, key)
	if err != nil {
		return nil, err
	}
	if slices.Contains(b.holds, key) {
		return data, checkHold(b, key, data)
	}
	_, err = parseReport(b, key, data)
	return data, err
}

// verifySealed compares the stored bytes only, and says that there is more.
func (c *Catalog) verifySealed(ctx context.Context, b *Backup, now func() time.Time) (Checks, error) {
	checks, err := c.VerifyStored(ctx, b, now)
	if err != nil {
		return nil, err
	}
	for _, rung := range []string{RungDigest, RungStructure, RungRecords} {
		checks = append(checks, Check{Name: rung, Verdict: NotAsked,
			Detail: "needs --identity FILE: encrypted to " + strings.Join(b.Encryption.Recipients, ", ")})
	}
	return checks, nil
}

// VerifyStored climbs the rung of the stored bytes alone, which needs no identity and
// no room. Damage is a check with the verdict Mismatch.
func (c *Catalog) VerifyStored(ctx context.Context, b *Backup, now func() time.Time) (Checks, error) {
	start := now()
	err := c.CheckStored(ctx, b)
	check, err := storedCheck(b, err, now().Sub(start))
	if err != nil {
		return nil, err
	}
	return Checks{check}, nil
}

// storedCheck is the rung of the stored bytes, given how reading them went.
func storedCheck(b *Backup, err error, took time.Duration) (Check, error) {
	check := Check{Name: RungStored, Verdict: Match, Detail: fmt.Sprintf("%d bytes, SHA-256 as the manifest says", b.Stored.Size), Seconds: took.Seconds()}
	if errors.Is(err, fail.ErrVerification) {
		check.Verdict, check.Detail, err = Mismatch, err.Error(), nil
	}
	return check, err
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
	check, err := storedCheck(b, c.Fetch(ctx, b, spool), now().Sub(start))
	if err != nil || check.Verdict != Match {
		_ = spool.Close()
		spool = nil
	}
	if err != nil {
		return nil, nil, err
	}
	return spool, Checks{check}, nil
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
