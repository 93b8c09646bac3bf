package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// leftoverAge is how long ago something must have been added to an upload
// without a manifest for it to be given up. A copy of a large backup over a
// slow line takes hours; nobody needs the room within a day.
const leftoverAge = 24 * time.Hour

// leftovers returns what was given up: uploads that the store itself does not
// list, the objects of entries without a manifest, and those of a check of the
// store. Entries of a lineage that has backups are the business of its own plan.
func (c *Catalog) leftovers(ctx context.Context, all []*entry, lineage string, now time.Time) ([]storage.Leftover, error) {
	if clock, ok := c.Store.(storage.Clock); ok { // ages are by the store's clock, and ours may be wrong
		var err error
		if now, err = clock.Now(ctx); err != nil {
			return nil, err
		}
	}
	before := now.Add(-leftoverAge)
	alive := make(map[string]bool)
	for _, e := range all {
		alive[e.lineage()] = alive[e.lineage()] || e.committed()
	}
	var out []storage.Leftover
	for _, e := range all {
		since := e.since()
		if e.committed() || since.After(before) || e.lineage() != lineage && alive[e.lineage()] {
			continue
		}
		out = append(out, storage.Leftover{Name: e.prefix, Since: since,
			Remove: func(ctx context.Context) error { return c.removeUncommitted(ctx, e.prefix, before) }})
	}
	checks, err := c.leftoverChecks(ctx, before)
	if err != nil {
		return nil, err
	}
	uploads, err := c.leftoverUploads(ctx, before)
	return slices.Concat(out, checks, uploads), err
}

// leftoverChecks are the objects of checks of the store that could not clean up.
func (c *Catalog) leftoverChecks(ctx context.Context, before time.Time) ([]storage.Leftover, error) {
	var out []storage.Leftover
	for o, err := range c.Store.List(ctx, storage.ProbePrefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", c.Store, err)
		}
		if o.Modified.Before(before) {
			out = append(out, storage.Leftover{Name: o.Key, Since: o.Modified,
				Remove: func(ctx context.Context) error { return c.Store.Delete(ctx, o.Key) }})
		}
	}
	return out, nil
}

// leftoverUploads are the store's own leftovers, as far as they are ours: a
// bucket may have others' uploads, and those of other clusters.
func (c *Catalog) leftoverUploads(ctx context.Context, before time.Time) ([]storage.Leftover, error) {
	sweeper, ok := c.Store.(storage.Sweeper)
	if !ok {
		return nil, nil
	}
	all, err := sweeper.Leftovers(ctx, before)
	return slices.DeleteFunc(all, func(l storage.Leftover) bool {
		parts := strings.Split(l.Name, "/")
		ours := len(parts) >= 4 && parts[0] == c.Cluster && (parts[2] == snapshotsDir || parts[1] == jobsDir)
		return !ours && !strings.HasPrefix(l.Name, storage.ProbePrefix)
	}), err
}

// hasData tells whether a data object is there, however it is sealed.
func (e *entry) hasData() bool {
	return slices.ContainsFunc(e.objects, func(o storage.Object) bool {
		name := path.Base(o.Key)
		return path.Dir(o.Key) == e.prefix && (name == dataStem || strings.HasPrefix(name, dataStem+"."))
	})
}

// since is when something was last added to an entry.
func (e *entry) since() time.Time {
	var last time.Time
	for _, o := range e.objects {
		if o.Modified.After(last) {
			last = o.Modified
		}
	}
	return last
}

// removeUncommitted looks again: a copy may have gone on meanwhile.
func (c *Catalog) removeUncommitted(ctx context.Context, prefix string, before time.Time) error {
	again, err := c.entries(ctx, prefix+"/")
	if err != nil {
		return err
	}
	for _, e := range again {
		if e.committed() || e.since().After(before) {
			return fmt.Errorf("remove %s: somebody is writing to it", prefix)
		}
		if err := c.removeObjects(ctx, e); err != nil {
			return err
		}
	}
	return c.takeBack(ctx, prefix)
}

// takeBack removes a manifest that a copy has put while its data was removed.
func (c *Catalog) takeBack(ctx context.Context, prefix string) error {
	again, err := c.entries(ctx, prefix+"/")
	if err != nil {
		return err
	}
	for _, e := range again {
		if e.committed() && !e.hasData() {
			return errors.Join(fmt.Errorf("remove %s: %w", prefix, errSwept), c.Store.Delete(ctx, path.Join(prefix, manifestName)))
		}
	}
	return nil
}
