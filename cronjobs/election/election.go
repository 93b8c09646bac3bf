// Package election decides which of several instances is active for a cluster.
//
// What always holds: at most one instance has the lock, and it knows by the monotonic
// clock how long it still does. One that has not renewed it for the renew deadline
// ends its term, which leaves the rest of the lease to stop what it does. What needs longer
// does nothing irrevocable any more, since [Term.MayAct] is an error then. The lock is
// given back when the work of the term has stopped, and not before.
//
// Each cluster elects for itself. So that a fleet spreads over its instances, each
// cluster prefers one of those that are there (rendezvous hashing of the names), and
// whoever is active and idle gives way to it.
//
// Where an alarm allows no lock, one of them acts without; see [Acts].
package election

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// Defaults are those of Kubernetes' leader election.
const (
	DefaultLeaseDuration = 15 * time.Second
	DefaultRenewDeadline = 10 * time.Second
	DefaultRetryPeriod   = 2 * time.Second
)

// Registry is the lock and the attendance list of one cluster, kept in its etcd. It is
// that of one instance, and is used by several goroutines at the same time. An
// [Elector] closes one that is an io.Closer.
type Registry interface {
	// Lead takes the lock if it is free. Somebody else's is a [*TakenError], and an alarm that
	// allows no lock is [ErrAlarmed], if nobody has it. The lock outlives ctx.
	Lead(ctx context.Context) (Lock, error)
	// Attend puts this instance on the list, as long as the lock that it returns is renewed.
	// That outlives ctx.
	Attend(ctx context.Context) (Lock, error)
	// Attending returns who is on the list, as of now.
	Attending(ctx context.Context) (Attendance, error)
	// Freed returns nil when nobody has the lock, or somebody else than before, and an
	// error when ctx ends or that cannot be seen any more.
	Freed(ctx context.Context) error
}

// Lock is a key with a lease, renewed until it is released.
type Lock interface {
	// Held is an error unless the lease lives for at least d more.
	Held(d time.Duration) error
	// Release gives it back.
	Release(ctx context.Context) error
}

// Instance is one of several daemons with the same configuration.
type Instance struct {
	Name   string `json:"name"`
	Member uint64 `json:"member,omitempty"` // id of the member on its host, 0: none
}

// Attendance is who is there, and what it takes to act without a lock.
type Attendance struct {
	Active    string // who has the lock, "" if nobody has
	Instances []Instance
	Voters    []uint64 // ids of the members that vote
	// Self is this instance, whether or not it is on the list. It is nil as long as
	// the member on its host has not told its id.
	Self    *Instance
	Alarmed bool // no new lock can be had
}

// ErrAlarmed says that an alarm forbids every lock.
var ErrAlarmed = errors.New("an alarm forbids every lock")

// OnceSuffix ends the names of instances that are there for one run only. Nobody gives way
// to them.
const OnceSuffix = "/once"

// TakenError says who has the lock.
type TakenError struct {
	Who string
}

func (e *TakenError) Error() string { return e.Who + " is active" }

// Options say how to elect.
type Options struct {
	Cluster  string
	Self     string // name of this instance
	Registry Registry
	Idle     func() bool // nothing runs that giving way would break off

	LeaseDuration, RenewDeadline, RetryPeriod time.Duration // defaults as above

	// Now has to be monotonic, as time.Now is.
	Now func() time.Time
	Log *slog.Logger
}

// jitterFactor is by how much Kubernetes' components stretch a retry period at most,
// and so what a renew deadline has to leave room for.
const jitterFactor = 1.2

// Check refuses durations that Kubernetes refuses too: the lease has to outlive the renew
// deadline, that one the retry period and some jitter. Beyond that, the lease has to leave a
// retry period to stop in, and is whole seconds in etcd.
// Its errors are of the kind [fail.ErrUsage].
func Check(lease, renew, retry time.Duration) error {
	switch {
	case retry <= 0:
		return fail.Usagef("a retry period of %s is none", retry)
	case lease%time.Second != 0:
		return fail.Usagef("a lease duration of %s is not whole seconds", lease)
	case lease <= renew:
		return fail.Usagef("a lease duration of %s does not outlast the renew deadline of %s", lease, renew)
	case lease-renew < retry:
		return fail.Usagef("a lease duration of %s and a renew deadline of %s leave less than the retry period of %s to stop in", lease, renew, retry)
	case renew <= time.Duration(jitterFactor*float64(retry)):
		return fail.Usagef("a renew deadline of %s is not more than %g retry periods of %s", renew, jitterFactor, retry)
	}
	return nil
}
