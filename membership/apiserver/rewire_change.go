package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

const (
	// pause is between two looks.
	pause = time.Second
	// writeTime is more than a write and its syncs take, and less than what a lease
	// that is renewed has left.
	writeTime = 5 * time.Second
	// releaseTime bounds the release of a lock, which also ends by itself.
	releaseTime = 5 * time.Second
)

// change is one change of a file, from the first look to the end.
type change struct {
	Site
	file    *etcdservers.File // as it was approved
	path    string            // of the file itself, links resolved
	copies  copies
	servers []string // that the file gets
	content []byte   // with them
	lock    Lock
	record  record
}

// begin is prepare for a file whose apiserver can be told from others.
func (s *Site) begin(f *etcdservers.File) (*change, error) {
	if len(f.Args) == 0 {
		return nil, fail.WithHint(fail.Usagef("%s does not say how its kube-apiserver is run", f.Path), "name the unit that uses it")
	}
	return s.prepare(f)
}

// prepare fills in what is left open.
func (s *Site) prepare(f *etcdservers.File) (*change, error) {
	c := &change{Site: *s, file: f}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Sleep == nil {
		c.Sleep = pauseFor
	}
	if c.Reporter == nil {
		c.Reporter = silent{}
	}
	path, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return nil, fmt.Errorf("find the file: %w", err)
	}
	c.path, c.copies = path, copies{dir: c.Copies, file: path}
	if f.Form == etcdservers.StaticPod {
		err = c.copies.outside(filepath.Dir(f.Path), filepath.Dir(path))
	}
	return c, err
}

// unchanged is an error if the file is not what was approved.
func (c *change) unchanged() error {
	data, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("read the file again: %w", err)
	}
	if !bytes.Equal(data, c.file.Data()) {
		return fail.WithHint(fmt.Errorf("%s: %w", c.path, ErrChanged), "look at it again, and repeat the command")
	}
	return nil
}

// takeLock waits until nobody else restarts an apiserver. What it returns lets
// others do so. The lock outlasts ctx: a change that is broken off has to be taken
// back under it.
func (c *change) takeLock(ctx context.Context) (unlock func(), err error) {
	c.Reporter.Doing("wait for the lock, so that one apiserver restarts at a time")
	held, end := context.WithCancel(context.WithoutCancel(ctx))
	waits := context.AfterFunc(ctx, end)
	lock, err := c.Cluster.Lock(held, c.Who, func(holder string) { c.Reporter.Waiting("locked by " + holder) })
	if err == nil && !waits() {
		err = ctx.Err()
	}
	if err != nil {
		if lock != nil {
			release(lock, ctx)
		}
		end()
		return nil, fmt.Errorf("lock the apiservers: %w", err)
	}
	c.lock = lock
	c.Reporter.Done("locked")
	return func() {
		release(lock, ctx)
		end()
	}, nil
}

// release lets others act. If it fails, the lock ends by itself.
func release(lock Lock, ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_ = lock.Release(ctx)
}

// make makes the change, under the lock. Others may have acted while it was
// waited for, so that everything is looked at again.
func (c *change) make(ctx context.Context) error {
	if err := c.unchanged(); err != nil {
		return err
	}
	if _, err := c.askServers(ctx); err != nil {
		return err
	}
	if err := c.spareable(ctx); err != nil {
		return err
	}
	before, err := c.processes(ctx)
	if err != nil {
		return err
	}
	if err := c.note(before); err != nil {
		return errors.Join(err, c.forget())
	}
	cause := c.apply(ctx)
	if cause == nil {
		return c.forget()
	}
	if c.unchanged() == nil && c.record.Stage == stagePrepared { // it was not even written
		return errors.Join(cause, c.forget())
	}
	if err := c.restore(ctx); err != nil {
		return fmt.Errorf("%w; and then, putting the old file back: %w", cause, err)
	}
	return fmt.Errorf("%w; the old file is back in place, and kube-apiserver is ready with it", cause)
}

// note keeps the copy, and records what is about to be done.
func (c *change) note(before []Process) error {
	c.Reporter.Doing("keep a copy of " + c.path)
	if err := replaceable(c.path); err != nil {
		return err
	}
	name, err := c.copies.keep(c.file.Data(), c.Now())
	if err != nil {
		return err
	}
	c.record = record{
		File: c.path, Copy: name, Spare: spareName(c.path), Stage: stagePrepared, Since: c.Now().UTC(),
		From: c.file.Servers, To: c.servers, Old: sum(c.file.Data()), New: sum(c.content), Processes: identities(before),
	}
	if err := c.copies.write(c.record); err != nil {
		return err
	}
	c.Reporter.Done(filepath.Join(c.Copies, name))
	return nil
}

// apply writes the file and sees the apiserver through its restart.
func (c *change) apply(ctx context.Context) error {
	c.Reporter.Doing("write " + c.path)
	if err := c.lock.Held(writeTime); err != nil {
		return fmt.Errorf("write %s: %w", c.path, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// With the old file at hand, putting it back needs no room on the disk. Where
	// there are no hard links, it is written anew.
	_ = os.Link(c.path, c.record.Spare)
	if err := replace(c.path, c.content); err != nil {
		return fmt.Errorf("write %s: %w", c.path, err)
	}
	c.Reporter.Done("written")
	if err := c.restart(ctx); err != nil {
		return err
	}
	return c.await(ctx, c.goal(), c.Timeout)
}

// restart makes the apiserver read its file, where kubelet does not.
func (c *change) restart(ctx context.Context) error {
	if c.Restart == nil {
		return nil
	}
	c.Reporter.Doing("restart kube-apiserver")
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := c.Restart(ctx); err != nil {
		return fmt.Errorf("restart kube-apiserver: %w", err)
	}
	c.Reporter.Done("restarted")
	return nil
}

// forget ends the record: there is nothing left to go on with.
func (c *change) forget() error {
	_ = os.Remove(c.record.Spare) // a leftover is hidden, and harmless
	return errors.Join(c.copies.forget(), c.copies.prune())
}
