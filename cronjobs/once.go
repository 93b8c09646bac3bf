package cronjobs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// Once runs one job of one cluster now, with all its tries, records it, and returns
// its error. It takes the lock of the cluster's election only if there is one, and waits for
// it no longer than the deadline of the job. It waits for another run of its kind, and not for a daemon, which
// runs the job itself. A run that is broken off, by the end of ctx, which
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
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	wait := time.AfterFunc(j.Deadline, stop)
	defer wait.Stop()
	var record status.Record
	late := fmt.Errorf("this instance did not become active within %s", j.Deadline)
	err = late
	e.Taken(func(who string) {
		err = fail.WithHint(late, "%s is active for the cluster", who)
		if !strings.HasSuffix(who, election.OnceSuffix) {
			err = fail.WithHint(fmt.Errorf("%s is active: the daemon runs %s by itself", who, job), "beside it, %s", beside[job])
			stop()
		}
	})
	ran := false
	e.Run(waiting, func(term context.Context, et election.Term) {
		if wait.Stop() {
			record, err = c.once(term, w, et, j)
			ran = true
		}
		stop() // one term is enough
	})
	switch {
	case ran:
		return record, err
	case ctx.Err() != nil:
		err = fmt.Errorf("interrupted before it began: %w", ctx.Err())
	}
	return record, fmt.Errorf("run %s of cluster %s: %w", job, cluster, err)
}

// beside is what does the work of a job while a daemon is active.
var beside = map[config.JobName]string{
	config.Snapshot:     "etcdha snapshot save takes one",
	config.VerifySample: "etcdha snapshot verify latest verifies the newest backup",
	config.Verify:       "etcdha snapshot verify latest verifies the newest backup",
	config.Rehearse:     "etcdha restore rehearse latest rehearses the newest backup",
	config.Prune:        "etcdha snapshot prune does it",
	config.Defrag:       "etcdha member defrag does it",
	config.Health:       "etcdha member status looks at the members",
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
	j.told = c.d.o.Now() // of a job that went on failing, somebody was told by the run before
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
