package cronjobs

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// Once runs one job of one cluster now, with all its tries, records it, and returns
// its error. It takes the lock of the cluster's election only if there is one, and waits for
// it no longer than the deadline of the job. A run that is broken off, by the end of ctx, which
// has no grace here, or of the lock, leaves no record.
//
// It counts for the last slot of the schedule, or for the moment if that one was run.
func (d *Daemon) Once(ctx context.Context, cluster string, job config.JobName) (status.Record, error) {
	c, j, err := d.find(cluster, job)
	if err != nil {
		return status.Record{}, err
	}
	w, err := d.o.Open(c.file, c.config)
	if err != nil {
		return status.Record{}, fmt.Errorf("open cluster %s: %w", cluster, err)
	}
	defer w.Close()
	e := d.elect(c.config, w, c.idle)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wait := time.AfterFunc(j.Deadline, stop)
	defer wait.Stop()
	var record status.Record
	err = fmt.Errorf("run %s of cluster %s: this instance did not become active within %s", job, cluster, j.Deadline)
	e.Run(ctx, func(term context.Context, et election.Term) {
		if wait.Stop() {
			record, err = c.once(term, w, et, j)
		}
		stop() // one term is enough
	})
	if active := e.Active(); err != nil && active != "" && active != d.o.Instance {
		err = fail.WithHint(err, "%s is active for the cluster", active)
	}
	return record, err
}

// find returns a cluster of the configuration, of its own, and a job of it.
func (d *Daemon) find(name string, wanted config.JobName) (*cluster, *job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, cc := range d.file.Clusters {
		if cc.Name != name {
			continue
		}
		c := newCluster(d, d.file, cc)
		if j := c.job(wanted); j != nil {
			return c, j, nil
		}
		return nil, nil, fail.WithHint(fail.Usagef("cluster %s has no job %s", name, wanted), "give it a schedule in %s", d.file.Path)
	}
	return nil, nil, fail.Usagef("there is no cluster %s in %s", name, d.file.Path)
}

// once runs a job in a term.
func (c *cluster) once(ctx context.Context, w Worker, et election.Term, j *job) (status.Record, error) {
	t := &term{cluster: c, Term: et, w: w}
	if !t.allows(j.Name) {
		return status.Record{}, fail.Unsafef("run %s of cluster %s: an alarm forbids every lock", j.Name, c.config.Name)
	}
	err := c.ask(ctx, w, j, true)
	if err != nil && !goesOn(j.Name) {
		return status.Record{}, fmt.Errorf("learn what of %s was run before: %w", j.Name, err)
	}
	leave, ok := t.enter(ctx, j.Name)
	if !ok {
		return status.Record{}, fmt.Errorf("%w before it began", errBrokenOff)
	}
	p := onceFor(j.Job, j.last, c.d.o.Now())
	if err != nil { // the last slot may be done
		p = plan{slot: c.d.o.Now().Truncate(time.Second).UTC()}
		j.known = true // there will be no better time to keep the record
	}
	return t.complete(ctx, j, p, leave)
}
