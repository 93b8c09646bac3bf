package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// Report is a record that a backup was verified or rehearsed.
type Report struct {
	Format int       `json:"format"`
	Backup string    `json:"backup"` // its id
	Kind   string    `json:"kind"`
	Name   string    `json:"name"` // below the backup's own prefix
	Time   time.Time `json:"time"`
	Passed bool      `json:"passed"`
	Checks Checks    `json:"checks"`
	Etcdha string    `json:"etcdha"`
}

// Kinds of report.
const (
	ReportVerification = "verification"
	ReportRehearsal    = "rehearsal"
)

// Reached tells whether a report saw a rung hold.
func (r *Report) Reached(rung string) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Name == rung && c.Verdict == Match })
}

// deep tells whether a report got to the structure of the db. A rehearsal that
// passed has restored it.
func (r *Report) deep() bool { return r.Kind == ReportRehearsal || r.Reached(RungStructure) }

// Sound tells whether a report found nothing wrong with the snapshot itself: a
// live member that differs says something of the member, and a damaged report
// of what was reported.
func (r *Report) Sound() bool {
	return r.Passed || !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Verdict == Mismatch && c.Name != RungLive && c.Name != RungReports })
}

// maxAtOnce bounds how many reports of one second find a name.
const maxAtOnce = 1000

// AddReport puts a report beside the manifest. Its name says that it is the
// newest, whatever the clock of whoever wrote the one before: that one may have
// run ahead.
func (c *Catalog) AddReport(ctx context.Context, b *Backup, r Report) error {
	r.Format, r.Backup, r.Passed, r.Time = Format, b.ID, r.Checks.Err() == nil, r.Time.UTC()
	at := r.Time
	for _, key := range b.reports {
		if before, ok := reportTime(key); ok && before.After(at) {
			at = before.Add(time.Second)
		}
	}
	// Reports are never overwritten: of two at the same time, one moves on.
	for range maxAtOnce {
		r.Name = path.Join(reportsDir, at.UTC().Format(timeFormat)+"-"+r.Kind+".json")
		key := path.Join(b.prefix, r.Name)
		err := c.putRecord(ctx, key, r)
		if err == nil {
			b.reports = append(b.reports, key)
			return nil
		}
		if !errors.Is(err, storage.ErrExist) {
			return fmt.Errorf("record %s of backup %s: %w", r.Kind, b.ID, err)
		}
		at = at.Add(time.Second)
	}
	return fmt.Errorf("record %s of backup %s: %w", r.Kind, b.ID, storage.ErrExist)
}

// Examined is when the newest report of the kinds was written, zero if nobody knows. Its name
// says that unless that is in the future: a report behind one of a clock that was wrong
// has a name in the future as well. Then it is read.
func (c *Catalog) Examined(ctx context.Context, b *Backup, kinds ...string) (time.Time, error) {
	at := b.ReportedAt(kinds...)
	if c.Now == nil || !at.After(c.Now()) {
		return at, nil
	}
	for _, key := range slices.Backward(b.reports) {
		if !ofKind(key, kinds) {
			continue
		}
		r, err := c.readReport(ctx, b, key)
		switch {
		case errors.Is(err, fail.ErrVerification), errors.Is(err, ErrNewerFormat):
			continue
		case err != nil:
			return time.Time{}, err
		case !r.Time.After(c.Now()):
			return r.Time, nil
		}
		return time.Time{}, nil
	}
	return time.Time{}, nil
}

func ofKind(key string, kinds []string) bool {
	return slices.ContainsFunc(kinds, func(kind string) bool { return strings.HasSuffix(key, "-"+kind+".json") })
}

// reportTime is the time in the name of a report.
func reportTime(key string) (time.Time, bool) {
	at, _, _ := strings.Cut(path.Base(key), "-")
	t, err := time.Parse(timeFormat, at)
	return t, err == nil
}

// Conclude keeps a report beside the backup, and returns what it says. What failed is
// said in any case; what passed must not be taken for recorded if it is not.
func (c *Catalog) Conclude(ctx context.Context, b *Backup, r Report) error {
	err := c.AddReport(ctx, b, r)
	if failed := r.Checks.Err(); failed != nil {
		return errors.Join(failed, err)
	}
	if err != nil {
		return fmt.Errorf("passed, but the report could not be kept: %w", err)
	}
	return nil
}

// LatestReport returns the report of the kinds that counts, or nil if there is none:
// the newest that reached the structure of the db, or failed. One that saw only
// the stored bytes takes nothing back that was proven before, as they are the
// same bytes; it counts where there is no other.
func (c *Catalog) LatestReport(ctx context.Context, b *Backup, kinds ...string) (*Report, error) {
	var newest *Report
	for _, key := range slices.Backward(b.reports) {
		if !ofKind(key, kinds) {
			continue
		}
		r, err := c.readReport(ctx, b, key)
		if err != nil || !r.Sound() || r.deep() {
			return r, err
		}
		if newest == nil {
			newest = r
		}
	}
	return newest, nil
}

func (c *Catalog) readReport(ctx context.Context, b *Backup, key string) (*Report, error) {
	data, err := c.readSmall(ctx, key)
	if err != nil {
		return nil, err
	}
	return parseReport(b, key, data)
}

func parseReport(b *Backup, key string, data []byte) (*Report, error) {
	r := new(Report)
	if err := decodeRecord(data, r); err != nil {
		return nil, fmt.Errorf("report %s: %w", key, err)
	}
	return r, b.owns(key, r.Backup, r.Name)
}

// owns refuses a record that lies where it was not put: under another backup, or
// under the name of another record, which changes what is the newest.
func (b *Backup) owns(key, id, name string) error {
	if id != b.ID || path.Join(b.prefix, name) != key {
		return fail.Verificationf("%s is record %q of backup %q", key, name, id)
	}
	return nil
}
