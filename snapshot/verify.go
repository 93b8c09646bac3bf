package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// Verification is what climbing the ladder found. DB and Report are nil where
// a snapshot is too damaged to be read.
type Verification struct {
	Checks Checks
	DB     *dbfile.File
	Report *dbfile.Report
}

// Readable is nil if the content of a sound snapshot could be read: that of an
// encrypted backup cannot without an identity.
func (v *Verification) Readable() error {
	if v.Report != nil {
		return nil
	}
	if err := v.Checks.ContentErr(); err != nil {
		return err
	}
	return fail.WithHint(errors.New("the backup is encrypted"), "--identity FILE names a private key that opens it")
}

// Verify climbs the rungs that need nothing but the plain snapshot of size
// bytes in r: digest, structure, records. Damage is no error here but a check
// with the verdict Mismatch; an error is something that kept it from looking.
func Verify(ctx context.Context, r io.ReaderAt, size int64, now func() time.Time) (*Verification, error) {
	v := new(Verification)
	db, err := dbfile.Open(r, size)
	if err != nil {
		return v, v.add(RungStructure, err, "", 0)
	}
	v.DB = db
	// The digest reads the file in order and is bound by the processor, the
	// pages are read by the tree: side by side they take as long as the one.
	type result struct {
		err  error
		took time.Duration
	}
	digest := make(chan result, 1)
	go func() {
		start := now()
		err := db.Digest(ctx)
		digest <- result{err, now().Sub(start)}
	}()
	start := now()
	inspectErr := v.inspect(ctx)
	took := now().Sub(start)
	d := <-digest
	if err := v.add(RungDigest, d.err, "SHA-256 equals the trailer", d.took); err != nil {
		return v, err
	}
	return v, v.addInspection(inspectErr, took)
}

// inspected climbs structure and records of a snapshot whose digest has been
// checked on its way here.
func inspected(ctx context.Context, r io.ReaderAt, size int64, now func() time.Time) (*Verification, error) {
	v := &Verification{Checks: Checks{{Name: RungDigest, Verdict: Match, Detail: "SHA-256 of the stream equals the trailer"}}}
	db, err := dbfile.Open(r, size)
	if err != nil {
		return v, v.add(RungStructure, err, "", 0)
	}
	v.DB = db
	start := now()
	err = v.inspect(ctx)
	return v, v.addInspection(err, now().Sub(start))
}

func (v *Verification) inspect(ctx context.Context) error {
	// A copy of a data directory's db has no digest, and need not have the form.
	if v.DB.HasDigest() {
		if err := v.DB.CheckSnapshotForm(); err != nil {
			return err
		}
	}
	report, err := v.DB.Inspect(ctx)
	if err == nil {
		v.Report = report
	}
	return err
}

func (v *Verification) addInspection(err error, took time.Duration) error {
	if e, ok := errors.AsType[*dbfile.CorruptError](err); ok && e.Record {
		v.Checks = append(v.Checks, Check{Name: RungStructure, Verdict: NotComparable, Detail: "pages hold up to the broken record, behind it they were not read", Seconds: took.Seconds()})
		return v.add(RungRecords, err, "", took)
	}
	if err != nil {
		return v.add(RungStructure, err, "", took)
	}
	r := v.Report
	pages := r.TotalSize / r.PageSize
	_ = v.add(RungStructure, nil, fmt.Sprintf("%d pages, %d free", pages, r.FreePages), took)
	return v.add(RungRecords, nil, fmt.Sprintf("%d records, %d keys, revision %d", r.Records, r.TotalKeys, r.Revision), took)
}

// add records a rung: passed if err is nil, broken if err is damage. Any other
// error comes back.
func (v *Verification) add(rung string, err error, passed string, took time.Duration) error {
	check := Check{Name: rung, Verdict: Match, Detail: passed, Seconds: took.Seconds()}
	switch {
	case err == nil:
	case errors.Is(err, dbfile.ErrNoDigest):
		check.Verdict, check.Detail = Mismatch, "no digest trailer: the bytes cannot be proven"
	case errors.Is(err, dbfile.ErrCorrupt):
		check.Verdict, check.Detail = Mismatch, err.Error()
	default:
		return err
	}
	v.Checks = append(v.Checks, check)
	return nil
}
