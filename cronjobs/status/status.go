// Package status is what is known of the clusters, for people and for metrics. It
// holds no secret, does nothing, and reads no clock.
package status

import (
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Fleet is what one instance knows.
type Fleet struct {
	Instance string
	Version  string
	Now      time.Time // when this was put together
	Config   Config
	Clusters []Cluster // in the order of the file
}

// Config says how the configuration was read last.
type Config struct {
	File   string
	Loaded time.Time // when the one in use was read
	Err    string    // why a newer one was not taken, "" if there is none
}

// Cluster is what is known of one cluster.
type Cluster struct {
	Name     string
	Since    time.Time // since when this process knows it with the stores and jobs that it has
	Active   string    // the instance that runs its jobs, "" if that is not known
	Here     bool      // this instance is active
	Observed time.Time // when its members were looked at, zero: never
	Err      string    // why that failed, "" if it did not
	Hint     string

	ID       string // etcd's cluster id in hex
	Members  []Member
	Quorum   bool     // there is one
	Margin   int      // voters that can be lost with a quorum left; negative without one
	Alarms   []string // such as "NOSPACE on m1"
	Findings []Finding

	Stores       []Store
	Certificates []Certificate
	Jobs         []Job
	Troubles     []Trouble // newest first, at most [MaxTroubles]
	Emergency    *Emergency
}

// MaxTroubles is how many of the last errors are kept.
const MaxTroubles = 20

// Member is a member of etcd.
type Member struct {
	ID      string // in hex
	Name    string
	Zone    string
	Version string
	Learner bool
	Leader  bool
	Healthy bool
	Local   bool   // on the host of this instance
	Err     string // why it is not healthy
	Lag     uint64 // raft entries behind the leader's commit index

	DBSize, DBInUse, Quota int64 // bytes; a quota of 0 is not known
}

// Finding is something about the members that somebody should know.
type Finding struct {
	Severity string // critical, warning, notice
	Code     string // stable, such as member-down
	Member   string
	Text     string
	Remedy   string
}

// Store is what was seen in one store.
type Store struct {
	Name    string // that of the configuration
	URL     string // without anything secret
	Read    time.Time
	Err     string // why it could not be read; Backups are then those of the last time
	Hint    string
	Backups []Backup // oldest first, of all lives of the cluster
	Unread  int      // entries that cannot be read
}

// Rung says how well a backup is proven. Each contains the ones before it.
type Rung int

// Rungs, from the bottom.
const (
	Failed    Rung = iota // the newest report found it damaged
	Listed                // as every backup, verified before it was stored
	Sampled               // its stored bytes were read since
	Verified              // the whole ladder was climbed since
	Rehearsed             // it was restored since
)

// Backup is one backup in a store.
type Backup struct {
	ID, Lineage       string
	Emergency         bool
	Started, Finished time.Time
	Revision          int64
	DBSize            int64 // plain bytes
	StoredSize        int64
	Member            string // name of the one that it came from
	Rung              Rung
	Verified          time.Time // zero: never
	Rehearsed         time.Time // zero: never
	Rehearsal         []Stage   // of the newest rehearsal
	RehearsalTime     time.Time // when that one was done, whether it passed or not; zero: never, or not known
	Held              bool
}

// Stage is one stage of a rehearsal.
type Stage struct {
	Name    string
	Verdict string // match, mismatch, not-comparable, not-asked
	Detail  string
	Seconds float64
}

// Certificate is one that somebody has to renew in time.
type Certificate struct {
	Name    string // such as "client" or "server of m1"
	Expires time.Time
}

// Slots are the times of a schedule.
type Slots interface {
	// Between counts those after a and before b, at most most.
	Between(a, b time.Time, most int) int
}

// Job is a job of a cluster.
type Job struct {
	Name     config.JobName
	Schedule string // as in the file
	Slots    Slots  // of the schedule; nil: not known
	Next     time.Time
	// Expected is the last slot but one that is past: what has no success for it or for a
	// later one is overdue. Zero: there were no two slots yet.
	Expected time.Time
	Running  time.Time // when the run that goes on has begun; zero: none
	Attempt  int
	Last     *Record
}

// Kinds are those of failures that a [Record] can have. Of what else one says, readers make the last.
var Kinds = []string{"usage", Verification, "unsafe", "store", "deadline", "other"}

// Verification is the kind of failure that says that a backup is not what it has to be.
const Verification = "verification"

// Trouble is an error that somebody should know of.
type Trouble struct {
	Time time.Time
	What string // a job, or "emergency", "configuration"
	Err  string
	Hint string
}

// Emergency is that a local member has no leader.
type Emergency struct {
	Member string
	Since  time.Time
	Backup string // id of the emergency backup that was taken, "" as long as there is none
}

// Record is what a run leaves.
type Record struct {
	Format   int            `json:"format"` // 1
	Cluster  string         `json:"cluster"`
	Job      config.JobName `json:"job"`
	Slot     time.Time      `json:"slot"` // for which it was scheduled
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished"`
	Attempts int            `json:"attempts"`
	Missed   int            `json:"missed"` // slots before this one that had no run
	Passed   bool           `json:"passed"`
	Summary  string         `json:"summary,omitempty"`
	Error    string         `json:"error,omitempty"`
	Hint     string         `json:"hint,omitempty"`
	Kind     string         `json:"kind,omitempty"` // of failure, one of [Kinds]
	Instance string         `json:"instance"`
	Unlocked bool           `json:"unlocked,omitempty"` // no lock could be had because of an alarm
	Etcdha   string         `json:"etcdha"`
	// LastSuccess is when the last run that passed has ended, in the record of one that failed;
	// zero: not known.
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
}
