package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/etcdha/etcdha/internal/atomicfile"
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

// settle waits for kube-apiserver with the old file, which is in place.
func (c *change) settle(ctx context.Context) error {
	g := goal{servers: c.record.From, old: c.record.Processes, staying: c.Now().Add(lastGrace)}
	restarted := c.restartUnless(ctx, g.servers)
	err := c.await(ctx, g, c.Timeout+lastGrace)
	if err != nil {
		err = errors.Join(restarted, fmt.Errorf("the old file is in place, but %w", err))
	}
	return errors.Join(err, c.forget())
}

// restartUnless restarts the apiserver, unless its processes have the list.
func (c *change) restartUnless(ctx context.Context, servers []string) error {
	processes, err := c.processes(ctx)
	other := func(p Process) bool { return !slices.Equal(serversOf(p), servers) }
	if err == nil && len(processes) > 0 && !slices.ContainsFunc(processes, other) {
		return nil
	}
	return c.restart(ctx)
}

// resume ends what a killed process has left. Somebody who is alive has the lock,
// and leaves nothing.
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
	c.record = left
	data, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	switch now := sum(data); {
	case now == left.New && left.Stage == stagePrepared:
		return c.complete(ctx)
	case now == left.New:
		return c.restore(ctx)
	case now == left.Old && left.Stage == stageRestoring:
		return c.settle(ctx)
	}
	return c.forget() // nothing was written yet, or somebody else has written since
}

// complete sees a change to its end that was written, or takes it back.
func (c *change) complete(ctx context.Context) error {
	err := c.restartUnless(ctx, c.record.To)
	if err == nil {
		err = c.await(ctx, c.goal(), c.Timeout)
	}
	if err == nil {
		return c.forget()
	}
	if ctx.Err() != nil {
		return err // the next call goes on
	}
	return c.restore(ctx)
}
