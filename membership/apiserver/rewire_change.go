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
	// restarting: the apiserver may have been told to restart.
	restarting bool
	// neverReady: the apiserver did not get ready with the new list. One whose etcd is gone
	// ends again and again, and may break off every question.
	neverReady bool
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

// attempt sets what the file is to become, and asks the servers.
func (c *change) attempt(ctx context.Context, servers []string) (err error) {
	c.servers = servers
	if c.content, err = c.file.With(servers); err != nil {
		return err
	}
	if err := c.unchanged(); err != nil {
		return err
	}
	c.Reporter.Doing("ask the servers with the apiserver's own certificate")
	answers, err := c.askServers(ctx)
	if err != nil {
		return err
	}
	c.Reporter.Done("they are of cluster " + formatID(answers.clusterID) + answers.unproven(c.file.Servers))
	return nil
}

// make makes the change, under the lock. Others may have acted while it was
// waited for, so that everything is looked at again.
func (c *change) make(ctx context.Context) error {
	if err := c.permitted(ctx); err != nil {
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
	if lost := c.lock.Held(0); lost != nil { // the old file has to come back all the same
		cause = fmt.Errorf("%w; meanwhile %w, so that another apiserver may restart as well", cause, lost)
	}
	if err := c.restore(ctx); err != nil {
		return fail.As(ErrTakenBack, fmt.Errorf("%w; and then, putting the old file back: %w", cause, err))
	}
	return fail.As(ErrTakenBack, fmt.Errorf("%w; the old file is back in place, and kube-apiserver is ready with it", cause))
}

// note keeps the copy, and records what is about to be done.
func (c *change) note(before []Process) error {
	c.Reporter.Doing("keep a copy of " + c.path)
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
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("restart kube-apiserver: %w", err)
	}
	c.restarting = true
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
