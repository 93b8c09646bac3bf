// Package membership changes who is a member of an etcd cluster: it observes
// the cluster, plans the steps to a goal, and executes them one at a time.
//
// What always holds: no step is taken that package quorum refuses for what was
// observed right before it, unless the operator has said why in so many words;
// a plan is never kept, so that after a crash, a timeout or somebody else's
// change the same call goes on from where the cluster really is; what may or
// may not have taken effect is looked at, never assumed.
package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/membership/quorum"
)

// AnswerTimeout is how long a member may take to answer, and to reach the
// commit index that the leader had before it was asked, to count as able.
const AnswerTimeout = 5 * time.Second

// Listed is a member as the member list has it.
type Listed struct {
	ID         quorum.ID
	Name       string // "" until it has started for the first time
	PeerURLs   []string
	ClientURLs []string // none until it has started
	Learner    bool
}

// Label is what people call the member.
func (l Listed) Label() string {
	if l.Name == "" {
		return l.ID.String()
	}
	return l.Name
}

func (l Listed) role() string {
	if l.Learner {
		return "learner"
	}
	return "voter"
}

// List is the member list of one member.
type List struct {
	ClusterID uint64
	MemberID  quorum.ID // who gave it
	Members   []Listed  // in order of ids, as etcd gives them
}

// AlarmType is the type of an alarm.
type AlarmType string

const (
	NoSpace AlarmType = "NOSPACE" // the db has reached its quota: no writes, no leases
	Corrupt AlarmType = "CORRUPT" // the data of a member differs: nothing is served
)

// Alarm is an alarm that is on, of one member.
type Alarm struct {
	MemberID quorum.ID
	Type     AlarmType
}

// Status is what a member says of itself; it needs no quorum for that.
type Status struct {
	ClusterID   uint64
	MemberID    quorum.ID
	Version     string    // of etcd, such as 3.6.16
	DBSize      int64     // bytes
	DBSizeInUse int64     // bytes
	DBSizeQuota int64     // bytes; 0 before etcd 3.6
	Leader      quorum.ID // 0 if it knows none
	RaftTerm    uint64
	RaftIndex   uint64 // committed, as far as the member knows
	RaftApplied uint64
	Revision    int64
	Learner     bool
	Alarms      []Alarm        // of any member
	Errors      []string       // other than alarms
	Latency     time.Duration  // of this answer
	ClockAhead  *time.Duration // of the member's clock beside ours, within a second; nil where it cannot be seen
}

// Hash is a HashKV.
type Hash struct {
	Hash            uint32
	Revision        int64 // that it was asked for
	CompactRevision int64 // that it was computed with
}

// Reader asks one member, at one of its client URLs. An error says why there
// is no answer; nothing is retried.
type Reader interface {
	Status(ctx context.Context, endpoint string) (Status, error)
	// Members is the list that the member has. With linearizable it is the
	// cluster's, and there is none without quorum.
	Members(ctx context.Context, endpoint string, linearizable bool) (List, error)
	// Hash makes the member hash what it holds up to revision, which keeps it
	// from applying meanwhile. 0 is its newest revision.
	Hash(ctx context.Context, endpoint string, revision int64) (Hash, error)
}

// Changer asks one member to commit a change. After an error the change may
// have taken effect all the same: observe.
type Changer interface {
	// Change commits a step. ErrUnhealthy says that the server does not see
	// enough of the others yet, which passes.
	Change(ctx context.Context, endpoint string, step Step) error
	// Defragment rewrites the db of that one member, which serves nothing meanwhile.
	Defragment(ctx context.Context, endpoint string) error
	// Disarm ends an alarm.
	Disarm(ctx context.Context, endpoint string, alarm Alarm) error
}

// Locker keeps operators apart.
type Locker interface {
	// Lock makes who the only operator, through the cluster behind endpoints. It
	// returns a [*LockedError] at once if there is another one, and [ErrAlarmed]
	// where an alarm makes a lock impossible. The lock is kept until ctx ends.
	Lock(ctx context.Context, endpoints []string, who string) (Lock, error)
}

// Lock is held until it is released. Without that, as after a crash, it ends
// when its lease does; see [LockWait].
type Lock interface {
	// Held is an error, [ErrLockLost], unless nobody else can act before d has
	// passed from now, by the monotonic clock.
	Held(d time.Duration) error
	// Release lets the next operator act. The caller does it once.
	Release(ctx context.Context) error
}

// Client is all that an executor needs of a cluster.
type Client interface {
	Reader
	Changer
	Locker
}

// Errors that a [Client] returns.
var (
	ErrUnhealthy  = errors.New("the server does not see enough healthy members yet") // passes
	ErrNotStarted = errors.New("too few members have started")                       // in the server's eyes
	ErrNotFound   = errors.New("no such member")
	ErrExists     = errors.New("a member has these peer URLs already")
	ErrNotLearner = errors.New("not a learner any more")
	ErrNotReady   = errors.New("the learner has not caught up") // in the leader's eyes
	ErrLearners   = errors.New("there is a learner already")
	ErrNotLeader  = errors.New("not the leader")
	ErrAlarmed    = errors.New("an alarm forbids writes") // NOSPACE or CORRUPT: no leases, no locks
	ErrLockLost   = errors.New("the lock may have been lost")
)

// LockedError says who holds the lock.
type LockedError struct {
	Key   string // of the lock; "" is [LockKey]
	Who   string
	Since time.Time
}

func (e *LockedError) Error() string {
	does := "is changing the membership"
	if e.Key != "" && e.Key != LockKey {
		does = "holds " + e.Key
	}
	return fmt.Sprintf("%s %s, since %s", e.Who, does, e.Since.UTC().Format(time.RFC3339))
}

// Step is one step of a plan: what it does to quorum, and what else the
// request needs.
type Step struct {
	quorum.Step
	Name     string   // of the member
	PeerURLs []string // of the member: new ones for AddLearner and Update
}

// String is the step in words, such as "remove m3".
func (s Step) String() string { return fmt.Sprintf("%s %s", s.Kind, s.Name) }
