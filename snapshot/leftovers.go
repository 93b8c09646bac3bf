package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// leftoverAge is how long ago something must have been added to an upload
// without a manifest for it to be given up. A copy of a large backup over a
// slow line takes hours; nobody needs the room within a day.
const leftoverAge = 24 * time.Hour

// leftovers returns what was given up: uploads that the store itself does not
// list, and the objects of entries without a manifest. Those of a lineage that
// has backups are the business of its own plan.
func (c *Catalog) leftovers(ctx context.Context, all []*entry, lineage string, before time.Time) ([]storage.Leftover, error) {
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
	sweeper, ok := c.Store.(storage.Sweeper)
	if !ok {
		return out, nil
	}
	more, err := sweeper.Leftovers(ctx, before)
	return append(out, more...), err
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
		if e.committed() {
			return errors.Join(fmt.Errorf("remove %s: %w", prefix, errSwept), c.Store.Delete(ctx, path.Join(prefix, manifestName)))
		}
	}
	return nil
}
