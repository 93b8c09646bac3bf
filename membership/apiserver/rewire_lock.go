package apiserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// LockTTL is how long the lock outlives its holder. One who has written a file and
	// was killed leaves an apiserver that is about to restart, and the old process
	// answers until it does: nobody else may restart one before that is over.
	LockTTL = DefaultTimeout + lastGrace
	// releaseTime bounds the release of a lock, which also ends by itself.
	releaseTime = 5 * time.Second
)

// Holder is who takes the lock.
type Holder struct {
	Who string // for others who wait for it
	// Owner is the same for all who act on one file of one host. A lock of the host
	// keeps them apart, so that the lock of an owner who comes again is that of somebody
	// who has died: it is taken over at once.
	Owner string
}

// takeLock waits until nobody else restarts an apiserver, on this host and then
// anywhere. What it returns lets others do so. The lock outlasts ctx: a change that
// is broken off has to be taken back under it.
func (c *change) takeLock(ctx context.Context) (unlock func(), err error) {
	c.Reporter.Doing("wait for the lock, so that one apiserver restarts at a time")
	host, owner, err := c.takeHost(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock %s on this host: %w", c.path, err)
	}
	held, end := context.WithCancel(context.WithoutCancel(ctx))
	waits := context.AfterFunc(ctx, end)
	lock, err := c.Cluster.Lock(held, Holder{c.Who, owner}, func(holder string) { c.Reporter.Waiting("locked by " + holder) })
	if broken := !waits(); broken && err == nil {
		err = ctx.Err()
	}
	unlock = func() {
		if lock != nil {
			release(lock, ctx)
		}
		end()
		_ = host.Close() // the lock of the host ends with it
	}
	if err != nil {
		unlock()
		return nil, fmt.Errorf("lock the apiservers: %w", err)
	}
	c.lock = lock
	c.Reporter.Done("locked")
	return unlock, nil
}

// takeHost keeps others of this host away from the file, as long as what it returns
// is open, and tells by which name its owner is known.
func (c *change) takeHost(ctx context.Context) (host *os.File, owner string, err error) {
	if err := os.MkdirAll(c.Copies, 0o700); err != nil {
		return nil, "", err
	}
	f, err := os.OpenFile(c.copies.owner(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			c.Reporter.Waiting("another etcdha is at work on this host")
			err = c.Sleep(ctx, pause)
		}
		if err != nil {
			return nil, "", errors.Join(err, f.Close())
		}
	}
	if owner, err = ownerIn(f); err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return f, owner, nil
}

// ownerIn is the name in the file. It is made up once: unlike the name of a host, no
// other host has it.
func ownerIn(f *os.File) (string, error) {
	name, err := io.ReadAll(f)
	if err != nil || len(name) > 0 {
		return string(name), err
	}
	made := rand.Text()
	if _, err = f.WriteString(made); err == nil {
		err = f.Sync()
	}
	if err != nil { // a part of the name would not be ours alone
		return "", errors.Join(err, f.Truncate(0))
	}
	return made, nil
}

// release lets others act. If it fails, the lock ends by itself.
func release(lock Lock, ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_ = lock.Release(ctx)
}
