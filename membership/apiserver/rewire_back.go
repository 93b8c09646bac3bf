package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/fail"
)

// restore puts the old file back and waits until kube-apiserver is ready with it,
// also when ctx has ended. What remains to be done by then is not ours to do, so
// that the record ends in any case where the old file is back.
func (c *change) restore(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	c.Reporter.Doing("put the old file back")
	c.record.Stage = stageRestoring
	// Without the record, a restart of this command would take longer to see what to do.
	noted := c.copies.write(c.record)
	if err := c.putBack(); err != nil {
		return errors.Join(err, noted)
	}
	c.Reporter.Done("it is in place")
	return c.settle(ctx)
}

// putBack makes the old file the file again.
func (c *change) putBack() error {
	data, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	switch sum(data) {
	case c.record.Old:
		return nil
	case c.record.New:
	default:
		return errors.Join(fmt.Errorf("%s was changed by somebody else, and is left as it is", c.path), c.forget())
	}
	if spare, err := os.ReadFile(c.record.Spare); err == nil && sum(spare) == c.record.Old {
		if err := os.Rename(c.record.Spare, c.path); err == nil {
			return atomicfile.SyncDir(filepath.Dir(c.path))
		}
	}
	old, err := c.copies.read(c.record.Copy)
	if err != nil {
		return err
	}
	if sum(old) != c.record.Old {
		return fmt.Errorf("the copy %s is not what was kept", filepath.Join(c.Copies, c.record.Copy))
	}
	return replace(c.path, old)
}

// settle waits for kube-apiserver with the old file, which is in place. Where a
// restart was asked for, it is asked for again, whatever runs: the first one may
// still be queued, with the new list.
func (c *change) settle(ctx context.Context) error {
	g := goal{servers: c.record.From, old: c.record.Processes, staying: c.Now().Add(lastGrace)}
	var restarted error
	if c.restarting || !c.allRun(ctx, g.servers) {
		restarted = c.restart(ctx)
	}
	err := c.await(ctx, g, c.Timeout+lastGrace)
	if err != nil {
		err = fail.As(ErrTakenBack, errors.Join(restarted, fmt.Errorf("the old file is in place, but %w", err)))
	}
	return errors.Join(err, c.forget())
}

// allRun tells whether there are processes, and all of them have the list.
func (c *change) allRun(ctx context.Context, servers []string) bool {
	processes, err := c.processes(ctx)
	other := func(p Process) bool { return !slices.Equal(serversOf(p), servers) }
	return err == nil && len(processes) > 0 && !slices.ContainsFunc(processes, other)
}

// resume ends what a killed process has left. Somebody who is alive has the lock,
// and leaves nothing. It may be long ago: what is put in place, or restarted, is
// looked at anew, and the new list stays where the apiserver is ready with it.
func (c *change) resume(ctx context.Context) error {
	if _, ok, err := c.copies.record(); err != nil || !ok {
		return err
	}
	unlock, err := c.takeLock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	left, ok, err := c.copies.record()
	if err != nil || !ok {
		return err
	}
	c.record, c.restarting = left, true
	data, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	switch now := sum(data); {
	case now == left.New && left.Stage == stageRestoring:
		if _, why := c.settled(ctx, c.goal()); why == "" {
			return c.forget()
		}
		return c.takeBack(ctx)
	case now == left.New:
		return c.complete(ctx)
	case now == left.Old && (left.Stage == stageRestoring || c.someRun(ctx, left.To)):
		if err := c.restartable(ctx, left.From); err != nil {
			return err
		}
		return c.settle(ctx)
	}
	return c.forget() // nothing was written yet, or somebody else has written since
}

// someRun tells whether a process has the list.
func (c *change) someRun(ctx context.Context, servers []string) bool {
	processes, err := c.processes(ctx)
	return err == nil && slices.ContainsFunc(processes, func(p Process) bool { return slices.Equal(serversOf(p), servers) })
}

// complete sees a change to its end that was written, or takes it back.
func (c *change) complete(ctx context.Context) error {
	var err error
	if c.Restart != nil && !c.allRun(ctx, c.record.To) {
		if err := c.spareable(ctx); err != nil {
			return err // the record stays, for a better moment
		}
		err = c.restart(ctx)
	}
	if err == nil {
		err = c.await(ctx, c.goal(), c.Timeout)
	}
	if err == nil {
		return c.forget()
	}
	if ctx.Err() != nil {
		return err // the next call goes on
	}
	c.neverReady = true
	return fail.As(ErrTakenBack, c.takeBack(ctx))
}

// takeBack is restore where the change is not from right now.
func (c *change) takeBack(ctx context.Context) error {
	if err := c.restartable(ctx, c.record.From); err != nil {
		return err
	}
	return c.restore(ctx)
}

// restartable is an error unless the apiserver may restart with these servers. If
// none of them answers, the record ends: there is nothing to go back to, and it
// must not keep another list from being tried.
func (c *change) restartable(ctx context.Context, servers []string) error {
	answers := c.askAll(ctx, servers)
	if err := ctx.Err(); err != nil {
		return err
	}
	if !slices.ContainsFunc(answers, func(a answer) bool { return fit(a) == nil }) {
		err := fail.WithHint(fmt.Errorf("none of the servers from before answers: %w", fit(answers[0])),
			"%s is left as it is; give it a list that is right", c.path)
		return errors.Join(err, c.forget())
	}
	return c.spareable(ctx)
}
