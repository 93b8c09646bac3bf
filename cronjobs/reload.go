package cronjobs

import (
	"reflect"
	"slices"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Reload reads the configuration again. Clusters that did not change are not disturbed.
// Its error is also shown by Fleet; the old configuration stays in use.
//
// It returns when the new one is in use: runs of clusters that have changed, or are
// gone, have the grace to come to their end before.
func (d *Daemon) Reload() error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	file, err := d.o.Load()
	if err != nil {
		d.mu.Lock()
		d.fault = err.Error()
		d.mu.Unlock()
		d.o.Log.Error("the new configuration is not taken", "error", err)
		return err // it names file and lines
	}
	gone, replaced := d.use(file)
	d.gate.resize(file.Concurrency)
	d.o.Log.Info("the configuration was read again", "file", file.Path,
		"clusters", len(file.Clusters), "changed", len(replaced), "gone", len(gone))
	stopAll(slices.Concat(gone, replaced), d.o.Grace)
	d.replace(file, replaced)
	return nil
}

// use makes file the configuration. Clusters that are new are started; those that have
// to be stopped are returned, those of them that come back second.
func (d *Daemon) use(file *config.File) (gone, replaced []*cluster) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := make(map[string]*cluster)
	for _, c := range d.clusters {
		old[c.config.Name] = c
	}
	d.clusters = nil
	for _, wanted := range file.Clusters {
		c := old[wanted.Name]
		delete(old, wanted.Name)
		switch {
		case c == nil:
			c = newCluster(d, file, wanted)
			d.begin(c)
		case same(c, file, wanted):
			c.hurry()
		default:
			replaced = append(replaced, c)
		}
		d.clusters = append(d.clusters, c)
	}
	for _, c := range old {
		gone = append(gone, c)
	}
	d.file, d.loaded, d.fault = file, d.o.Now(), ""
	return gone, replaced
}

// replace starts clusters with what file says of them. Those that they replace were stopped.
func (d *Daemon) replace(file *config.File, stopped []*cluster) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clusters := slices.Clone(d.clusters) // the end of Run may hold the old one
	for i, old := range clusters {
		if slices.Contains(stopped, old) {
			clusters[i] = newCluster(d, file, file.Clusters[i])
			clusters[i].inherit(old)
			d.begin(clusters[i])
		}
	}
	d.clusters = clusters
}

// begin starts a cluster if the daemon runs.
func (d *Daemon) begin(c *cluster) {
	if d.running && !d.ended {
		c.start()
	}
}

// same tells whether nothing has changed for a cluster.
func same(c *cluster, file *config.File, wanted config.Cluster) bool {
	return c.file.SpoolDir == file.SpoolDir && reflect.DeepEqual(unlined(c.config), unlined(wanted))
}

// unlined forgets where things stand in the file, which changes with every line above.
func unlined(c config.Cluster) config.Cluster {
	c.Line, c.Encryption.Line = 0, 0
	c.Stores, c.Jobs = slices.Clone(c.Stores), slices.Clone(c.Jobs)
	for i := range c.Stores {
		c.Stores[i].Line = 0
	}
	for i := range c.Jobs {
		c.Jobs[i].Line = 0
	}
	return c
}
