package cronjobs

import (
	"errors"
	"fmt"
)

// Ready is an error unless the daemon is able to work: it runs, and has begun with at
// least one of its clusters. Jobs that fail and backups that are overdue are not asked for:
// starting the daemon anew would not help.
func (d *Daemon) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ended:
		return errors.New("ending")
	case !d.running:
		return errors.New("not started yet")
	}
	for _, c := range d.clusters {
		if c.begun() {
			return nil
		}
	}
	if len(d.clusters) == 0 {
		return nil
	}
	return fmt.Errorf("none of %d clusters can be worked with", len(d.clusters))
}

// begun tells whether there is a worker, and so an elector.
func (c *cluster) begun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elector != nil
}
