package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/retention"
	"github.com/etcdha/etcdha/storage"
)

// PrunePlan says what a prune would do, and why.
type PrunePlan struct {
	Lineage   string
	Decisions []PruneDecision    // newest first
	Others    []OtherLineage     // lives of the cluster that are not touched
	Problems  []Problem          // entries that cannot be read, and so are not touched
	Leftovers []storage.Leftover // of saves, copies and prunes that were killed

	catalog *Catalog
}

// PruneDecision is what becomes of one backup.
type PruneDecision struct {
	Backup  *Backup
	Keep    bool
	Reasons []string
}

// OtherLineage is a life of the cluster that a plan is not about.
type OtherLineage struct {
	Lineage string
	Backups int
	Newest  time.Time
}

// Remove returns the decisions to remove a backup.
func (p *PrunePlan) Remove() []PruneDecision {
	return slices.DeleteFunc(slices.Clone(p.Decisions), func(d PruneDecision) bool { return d.Keep })
}

// PlanPrune decides about the backups of one lineage: that of the catalog, or
// else the newest one. Nothing of another lineage is ever part of a plan.
func (c *Catalog) PlanPrune(ctx context.Context, policy retention.Policy, now time.Time) (*PrunePlan, error) {
	everything := *c
	everything.Lineage = ""
	all, err := everything.entries(ctx, everything.prefix())
	if err != nil {
		return nil, err
	}
	backups, problems, err := everything.backups(ctx, all)
	if err != nil {
		return nil, err
	}
	p := &PrunePlan{Lineage: c.Lineage, Problems: problems}
	if p.Lineage == "" {
		if p.Lineage, err = newestLineage(backups, problems, now); err != nil {
			return nil, err
		}
	}
	if err := c.decide(ctx, p, p.split(backups), policy, now); err != nil {
		return nil, err
	}
	p.catalog = c
	p.Leftovers, err = c.leftovers(ctx, all, p.Lineage, now)
	return p, err
}

// newestLineage is that of the newest ordinary backup that is not dated in the
// future, or else of the newest one. A newer entry of another lineage that
// cannot be read may be of the life that goes on: it leaves the choice to the
// caller.
func newestLineage(all []*Backup, problems []Problem, now time.Time) (string, error) {
	var newest *Backup
	for _, b := range all { // oldest first
		if b.Kind == KindOrdinary && !b.Started.After(now) || newest == nil {
			newest = b
		}
	}
	if newest == nil {
		return "", nil
	}
	for _, p := range problems {
		at, ok := idTime(p.ID)
		if ok && p.Lineage != newest.Cluster.Lineage && at.After(newest.Started) && !at.After(now) {
			return "", fail.WithHint(fmt.Errorf("newest life of the cluster: backup %s of %s cannot be read: %w", p.ID, p.Lineage, p.Err),
				"--cluster NAME/LINEAGE chooses one")
		}
	}
	return newest.Cluster.Lineage, nil
}

// split returns the backups of the plan's lineage, and lists the others.
func (p *PrunePlan) split(all []*Backup) []*Backup {
	var own []*Backup
	for _, b := range all {
		if b.Cluster.Lineage == p.Lineage {
			own = append(own, b)
			continue
		}
		i := slices.IndexFunc(p.Others, func(o OtherLineage) bool { return o.Lineage == b.Cluster.Lineage })
		if i < 0 {
			i = len(p.Others)
			p.Others = append(p.Others, OtherLineage{Lineage: b.Cluster.Lineage})
		}
		p.Others[i].Backups++
		p.Others[i].Newest = b.Started
	}
	return own
}

// decide asks what is proven, held and locked, and lets the policy decide. A
// backup with a report that cannot be read may be the only one that is proven:
// it is not touched either.
func (c *Catalog) decide(ctx context.Context, p *PrunePlan, backups []*Backup, policy retention.Policy, now time.Time) error {
	inputs, problems := make([]retention.Backup, len(backups)), make([]error, len(backups))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, b := range backups {
		group.Go(func() error {
			in, err := c.retentionInput(reading, b)
			if errors.Is(err, fail.ErrVerification) || errors.Is(err, ErrNewerFormat) {
				problems[i], err = err, nil
			}
			inputs[i] = in
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	byID := make(map[string]*Backup)
	var readable []retention.Backup
	for i, b := range backups {
		if problems[i] != nil {
			p.Problems = append(p.Problems, Problem{ID: b.ID, Lineage: b.Cluster.Lineage, Err: problems[i]})
			continue
		}
		byID[b.ID] = b
		readable = append(readable, inputs[i])
	}
	for _, d := range retention.Plan(readable, policy, now) {
		p.Decisions = append(p.Decisions, PruneDecision{Backup: byID[d.ID], Keep: d.Keep, Reasons: d.Reasons})
	}
	return nil
}

func (c *Catalog) retentionInput(ctx context.Context, b *Backup) (retention.Backup, error) {
	in := retention.Backup{ID: b.ID, Lineage: b.Cluster.Lineage, Started: b.Started, Emergency: b.Kind == KindEmergency}
	var err error
	if in.Held, err = c.held(ctx, b); err != nil {
		return in, err
	}
	if in.Verified, err = c.proof(ctx, b, ReportVerification, ReportRehearsal); err != nil {
		return in, err
	}
	if in.Rehearsed, err = c.proof(ctx, b, ReportRehearsal); err != nil {
		return in, err
	}
	in.Locked, err = c.locked(ctx, b)
	return in, err
}

// proof is what the report of the kinds says that counts.
func (c *Catalog) proof(ctx context.Context, b *Backup, kinds ...string) (retention.Proof, error) {
	r, err := c.LatestReport(ctx, b, kinds...)
	switch {
	case err != nil || r == nil:
		return retention.Unproven, err
	case !r.Sound():
		return retention.Failed, nil
	case r.deep():
		return retention.Passed, nil
	}
	return retention.Unproven, nil
}

// locked says how the store keeps the backup from being deleted, or "".
func (c *Catalog) locked(ctx context.Context, b *Backup) (string, error) {
	locker, ok := c.Store.(storage.Locker)
	if !ok {
		return "", nil
	}
	return firstLock(ctx, locker, path.Join(b.prefix, manifestName), path.Join(b.prefix, b.Stored.Name))
}

func firstLock(ctx context.Context, locker storage.Locker, keys ...string) (string, error) {
	for _, key := range keys {
		lock, err := locker.Lock(ctx, key)
		if errors.Is(err, storage.ErrNotExist) {
			continue
		}
		if lock != "" || err != nil {
			return lock, err
		}
	}
	return "", nil
}
