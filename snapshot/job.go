package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"
	"time"
)

// jobsDir is where the records of jobs lie, below the name of the cluster: they are
// about all of its lives.
const jobsDir = "jobs"

// JobRecord names the record of one slot of a job. What it says is the caller's; it has
// to be a struct with the member "format", as every record.
type JobRecord struct {
	Job  string    // an element of a key
	Slot time.Time // to the second
}

func (c *Catalog) jobKey(r JobRecord) string {
	return path.Join(c.Cluster, jobsDir, r.Job, r.Slot.UTC().Format(timeFormat)+".json")
}

// JobRecords lists the records of a job, of the oldest slot first.
func (c *Catalog) JobRecords(ctx context.Context, job string) ([]JobRecord, error) {
	prefix := path.Join(c.Cluster, jobsDir, job) + "/"
	var all []JobRecord
	for o, err := range c.Store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", c.Store, err)
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), ".json")
		if slot, err := time.Parse(timeFormat, name); ok && err == nil {
			all = append(all, JobRecord{Job: job, Slot: slot})
		}
	}
	return all, nil
}

// AddJobRecord puts the record v. One that is there already, and says anything else, is
// [storage.ErrExist].
func (c *Catalog) AddJobRecord(ctx context.Context, r JobRecord, v any) error {
	data, err := encodeRecord(v)
	if err != nil {
		return err
	}
	putErr := c.Store.Put(ctx, c.jobKey(r), bytes.NewReader(data))
	if putErr == nil {
		return c.holdsSame(ctx, c.jobKey(r), data)
	}
	// A put whose answer was lost has taken place.
	if there, err := c.readSmall(ctx, c.jobKey(r)); err == nil && bytes.Equal(there, data) {
		return nil
	}
	return fmt.Errorf("record %s of %s: %w", r.Job, r.Slot.UTC().Format(time.RFC3339), putErr)
}

// ReadJobRecord reads a record into v. Damage is [fail.ErrVerification].
func (c *Catalog) ReadJobRecord(ctx context.Context, r JobRecord, v any) error {
	data, err := c.readSmall(ctx, c.jobKey(r))
	if err == nil {
		err = decodeRecord(data, v)
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", c.jobKey(r), err)
	}
	return nil
}

// RemoveJobRecord removes a record.
func (c *Catalog) RemoveJobRecord(ctx context.Context, r JobRecord) error {
	return c.Store.Delete(ctx, c.jobKey(r))
}
