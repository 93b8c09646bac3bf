package snapshot

import (
	"context"
	"encoding/json"
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
	Kind   string    `json:"kind"`
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

// AddReport puts a report beside the manifest.
func (c *Catalog) AddReport(ctx context.Context, b *Backup, r Report) error {
	r.Format, r.Passed, r.Time = Format, r.Checks.Err() == nil, r.Time.UTC()
	// Reports are never overwritten: of two in one second, the later one moves on.
	for at := r.Time; ; at = at.Add(time.Second) {
		key := path.Join(b.prefix, reportsDir, at.UTC().Format(timeFormat)+"-"+r.Kind+".json")
		err := c.putJSON(ctx, key, r)
		if err == nil {
			b.reports = append(b.reports, key)
			return nil
		}
		if !errors.Is(err, storage.ErrExist) {
			return fmt.Errorf("record %s of backup %s: %w", r.Kind, b.ID, err)
		}
	}
}

// LatestReport returns the newest report of a kind, or nil if there is none.
func (c *Catalog) LatestReport(ctx context.Context, b *Backup, kind string) (*Report, error) {
	for _, key := range slices.Backward(b.reports) {
		if !strings.HasSuffix(key, "-"+kind+".json") {
			continue
		}
		data, err := c.readSmall(ctx, key)
		if err != nil {
			return nil, err
		}
		r := new(Report)
		if err := json.Unmarshal(data, r); err != nil || r.Format != Format {
			return nil, fail.Verificationf("report %s is not readable", key)
		}
		return r, nil
	}
	return nil, nil
}
