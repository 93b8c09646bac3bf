package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

const (
	// DefaultTimeout is how long an apiserver may take from the change of its file
	// until it is ready: kubelet needs up to 20 s to see a change, the old process
	// up to 30 s to end, or more where it drains, and the new one a minute to start.
	DefaultTimeout = 3 * time.Minute
	// DefaultCopies is where copies of changed files are kept.
	DefaultCopies = "/var/lib/etcdha/apiserver"
)

// Site is the host of one apiserver, and what is around it.
type Site struct {
	Host    Host
	Prober  Prober
	Dialer  Dialer  // with the certificates of the file
	Cluster Cluster // for the lock
	// Own is where the apiserver of this host answers, such as 127.0.0.1:6443.
	Own string
	// Others are where the other apiservers of the cluster answer.
	Others []string
	// Restart makes the apiserver read its file, and returns when the old process has
	// ended or will. nil where kubelet does that.
	Restart func(context.Context) error
	// Recheck is asked under the lock, with the members as they are then, before
	// anything is written. An error ends the rewiring. May be nil.
	Recheck func(*Membership) error
	// Copies is the directory for copies, and for the record of a change under way;
	// not that of the manifests.
	Copies  string
	Timeout time.Duration // default: DefaultTimeout
	Who     string        // for others who wait for the lock
	Now     func() time.Time
	Sleep   func(context.Context, time.Duration) error // default: a timer
	// Reporter is told how it goes; may be nil.
	Reporter Reporter
}

// Reporter is told the stages of a rewiring, for people.
type Reporter interface {
	// Doing is called when a stage begins: "wait for the lock".
	Doing(stage string)
	// Waiting is called with what is waited for, before each new look.
	Waiting(why string)
	// Done is called with how the stage has ended: "ready after 12s, process 4711".
	// A stage that fails has no Done.
	Done(result string)
}

type silent struct{}

func (silent) Doing(string)   {}
func (silent) Waiting(string) {}
func (silent) Done(string)    {}

// ErrChanged says that the file is not what it was when its change was approved.
var ErrChanged = errors.New("the file has changed since it was read")

// ErrTakenBack marks a failure after the file was written: the change was taken
// back, or that has failed as well, and the apiserver may have restarted.
var ErrTakenBack = errors.New("the change was taken back")

// Rewire gives the file another list, and returns when a new process with that
// list is ready. f is the file as it was shown to whoever approved; if it has
// changed meanwhile, that is an [ErrChanged]. The same servers in another order are
// nothing to do. Of kubeadm's configuration, which no process reads, it is
// [Site.Write].
//
// After an error the old file is in place and was seen to serve, or the error
// says what is not so. Refusals are [fail.ErrUnsafe]; failures that may have cost
// a restart are an [ErrTakenBack]. When ctx ends before the new process is ready,
// the change is taken back, which takes its time.
func (s *Site) Rewire(ctx context.Context, f *etcdservers.File, servers []string) error {
	if f.Form == etcdservers.KubeadmConfig {
		return s.Write(f, servers)
	}
	c, err := s.begin(f)
	if err != nil {
		return err
	}
	if err := c.resume(ctx); err != nil {
		return fmt.Errorf("go on with the change that was interrupted: %w", err)
	}
	if SameServers(f.Servers, servers) {
		return c.unchanged()
	}
	if err := c.attempt(ctx, servers); err != nil {
		return err
	}
	unlock, err := c.takeLock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return c.make(ctx)
}

// Try finds out whether Rewire would be refused as things are: it asks the servers
// and the members, and looks for another apiserver that is ready. It changes
// nothing and takes no lock.
func (s *Site) Try(ctx context.Context, f *etcdservers.File, servers []string) error {
	if f.Form == etcdservers.KubeadmConfig {
		_, err := f.With(servers)
		return err
	}
	c, err := s.begin(f)
	if err != nil || SameServers(f.Servers, servers) {
		return err
	}
	if err := c.attempt(ctx, servers); err != nil {
		return err
	}
	return c.permitted(ctx)
}

// Interrupted tells whether a killed Rewire, or one that is under way, has left a
// record, so that [Site.Resume] has something to do. Then it returns the list from before:
// the servers of the new one may all be gone, and the way back begins at these.
func (s *Site) Interrupted(f *etcdservers.File) (before []string, left bool, err error) {
	c, err := s.prepare(f)
	if err != nil {
		return nil, false, err
	}
	r, left, err := c.copies.record()
	return r.From, left, err
}

// Write gives the file another list, and does nothing else: there is no lock and
// no restart. A copy is kept, unless Copies is "".
func (s *Site) Write(f *etcdservers.File, servers []string) error {
	c, err := s.prepare(f)
	if err != nil || SameServers(f.Servers, servers) {
		return err
	}
	content, err := f.With(servers)
	if err != nil {
		return err
	}
	if err := c.unchanged(); err != nil {
		return err
	}
	if c.Copies != "" {
		if _, err := c.copies.keep(f.Data(), c.Now()); err != nil {
			return err
		}
	}
	return ReplaceFile(c.path, content)
}

// Previous is the list of the newest copy that has other servers than the file.
func (s *Site) Previous(f *etcdservers.File) ([]string, error) {
	c, err := s.prepare(f)
	if err != nil {
		return nil, err
	}
	names, err := c.copies.list()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := c.copies.read(name)
		if err != nil {
			return nil, err
		}
		old, err := f.Holding(data)
		if err == nil && old.Path == f.Path && !SameServers(old.Servers, f.Servers) {
			return old.Servers, nil
		}
	}
	return nil, fail.Usagef("%s has no copy of %s with other servers", c.Copies, f.Path)
}

// Resume ends what a killed Rewire has left: if the apiserver with the new list is
// ready, or becomes so in time, the change stands; else it is taken back. It does
// nothing where nothing was left, and needs the lock where something was. Rewire
// calls it first. The file may be another one afterwards.
func (s *Site) Resume(ctx context.Context, f *etcdservers.File) error {
	if f.Form == etcdservers.KubeadmConfig {
		return nil
	}
	c, err := s.begin(f)
	if err != nil {
		return err
	}
	return c.resume(ctx)
}
