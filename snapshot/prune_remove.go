package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/etcdha/etcdha/snapshot/retention"
	"github.com/etcdha/etcdha/storage"
)

// ErrChanged says that something is not as it was when the plan was made.
var ErrChanged = errors.New("changed since the plan was made")

// remove removes a backup, after it has looked again: one that was held, locked or
// verified meanwhile is [ErrChanged], and so is it if one that stays is gone, or no
// longer proven. The manifest goes first, so that what is left of an interrupted
// removal is no backup.
func (p *PrunePlan) remove(ctx context.Context, b *Backup, mayAct func() error) error {
	if err := p.apply(ctx, b, mayAct); err != nil {
		return fmt.Errorf("remove backup %s: %w", b.ID, err)
	}
	return nil
}

// ApplyOptions say how a plan is carried out. All may be nil.
type ApplyOptions struct {
	// MayAct is asked right before the manifest of each backup goes, and before a leftover
	// is looked at again, which nobody lists. Its error ends it.
	MayAct func() error
	Done   func(name string, err error) // told each
}

// ApplyAll carries out the whole plan, leftovers included. What has changed
// meanwhile, or is locked, stays and is told in the end; a store that does not answer
// ends it.
func (p *PrunePlan) ApplyAll(ctx context.Context, o ApplyOptions) error {
	var refused error
	mayAct := func() error {
		if o.MayAct != nil {
			refused = o.MayAct()
		}
		return refused
	}
	var failed []error
	done := func(name string, err error) (goOn bool) {
		if o.Done != nil {
			o.Done(name, err)
		}
		if err != nil {
			failed = append(failed, err)
		}
		return refused == nil && !errors.Is(err, storage.ErrUnavailable) && ctx.Err() == nil
	}
	for _, d := range p.Remove() {
		if !done(d.Backup.ID, p.remove(ctx, d.Backup, mayAct)) {
			return errors.Join(failed...)
		}
	}
	for _, l := range p.Leftovers {
		err := mayAct()
		if err == nil {
			err = l.Remove(ctx)
		}
		if !done(l.Name, err) {
			break
		}
	}
	return errors.Join(failed...)
}

// apply asks mayAct when all that takes time is done.
func (p *PrunePlan) apply(ctx context.Context, b *Backup, mayAct func() error) error {
	all, err := p.catalog.entries(ctx, path.Join(p.catalog.Cluster, p.Lineage)+"/")
	if err != nil {
		return err
	}
	there := make(map[string]*entry)
	for _, e := range all {
		there[e.prefix] = e
	}
	e := there[b.prefix]
	if e == nil { // somebody else was quicker
		return nil
	}
	if err := p.catalog.checkRemoval(ctx, b, e); err != nil {
		return err
	}
	for _, d := range p.Decisions {
		if err := p.catalog.checkKept(ctx, d, there[d.Backup.prefix]); err != nil {
			return err
		}
	}
	if err := mayAct(); err != nil {
		return err
	}
	if err := p.catalog.Store.Delete(ctx, path.Join(b.prefix, manifestName)); err != nil {
		return err
	}
	return p.catalog.removeObjects(ctx, e)
}

// now is the backup with the records that lie there now.
func (b *Backup) now(e *entry) *Backup {
	return &Backup{Manifest: b.Manifest, prefix: b.prefix, reports: e.below(reportsDir), holds: e.below(holdsDir)}
}

// checkRemoval looks at the backup that is to go. Every object counts: one that
// is locked would stay behind.
func (c *Catalog) checkRemoval(ctx context.Context, b *Backup, e *entry) error {
	now := b.now(e)
	lock := ""
	if locker, ok := c.Store.(storage.Locker); ok {
		var keys []string
		for _, o := range e.objects {
			keys = append(keys, o.Key)
		}
		var err error
		if lock, err = firstLock(ctx, locker, keys...); err != nil {
			return err
		}
	}
	held, err := c.held(ctx, now)
	switch {
	case err != nil:
		return err
	case lock != "":
		return fmt.Errorf("%w: locked, %s", ErrChanged, lock)
	case held:
		return fmt.Errorf("%w: held", ErrChanged)
	case newReports(b, now):
		return fmt.Errorf("%w: verified or rehearsed", ErrChanged)
	}
	return nil
}

func newReports(b, now *Backup) bool {
	return slices.ContainsFunc(now.reports, func(key string) bool { return !slices.Contains(b.reports, key) })
}

// checkKept looks at a backup that stays, since it may be why another one can go.
func (c *Catalog) checkKept(ctx context.Context, d PruneDecision, e *entry) error {
	if !d.Keep {
		return nil
	}
	if e == nil || !e.committed() {
		return fmt.Errorf("%w: %s, which stays, is gone", ErrChanged, d.Backup.ID)
	}
	now := d.Backup.now(e)
	if !newReports(d.Backup, now) {
		return nil
	}
	for _, kinds := range [][]string{{ReportVerification, ReportRehearsal}, {ReportRehearsal}} {
		before, err := c.proof(ctx, d.Backup, kinds...)
		if err != nil {
			return err
		}
		after, err := c.proof(ctx, now, kinds...)
		if err != nil {
			return err
		}
		if after != before && after != retention.Passed {
			return fmt.Errorf("%w: %s, which stays, is no longer proven", ErrChanged, d.Backup.ID)
		}
	}
	return nil
}

func (c *Catalog) removeObjects(ctx context.Context, e *entry) error {
	for _, o := range e.objects {
		if err := c.Store.Delete(ctx, o.Key); err != nil {
			return err
		}
	}
	return nil
}
