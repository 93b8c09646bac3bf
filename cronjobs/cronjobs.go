// Package cronjobs runs jobs for clusters on schedules: each slot of a schedule
// once, on one of several instances, and never beside itself.
//
// What always holds: a job of a cluster begins only while its instance is active for
// that cluster, is told to stop before another instance can become active, and does nothing
// irrevocable after that, but for the record of what it has done; a
// slot that has a record is not run again, by whichever instance; a slot that was
// not run is reported as missed in the record of a later one. What was run before is
// asked of the records at the begin of each term, so that a restart changes nothing. A
// record that no store has taken is remembered and offered again; where its instance
// ends before, the next one may run that slot once more.
//
// What a job does is a [Worker]'s business. The packages below are its parts:
// config reads the file, schedule knows the slots, election decides who is active,
// status is what people and metrics are shown, and metrics, page and notify show it.
package cronjobs

import (
	"context"
	"errors"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// Worker does the jobs of one cluster. Its methods may be called by several
// goroutines at the same time.
type Worker interface {
	// Do does a job once, and returns a line for people about what was done. It
	// ends soon when ctx ends. An error's hint (internal/fail) is kept with it.
	Do(ctx context.Context, run Run) (summary string, err error)
	Records
	Survivor
	// Observe looks at the members and into the stores. What cannot be seen is
	// said in what it returns, which nobody changes any more.
	Observe(ctx context.Context) status.Cluster
	// Close ends what the worker has opened.
	Close()
}

// Kinder is an error of [Worker.Do] that knows its kind for [status.Record], such as
// "store". That of a mistake, of damage, and of what is refused comes from internal/fail.
type Kinder interface {
	error
	Kind() string
}

// Run is one try of a job.
type Run struct {
	Job     config.JobName
	Slot    time.Time // for which it was scheduled
	Attempt int       // from 1
	// MayAct is asked before each step that cannot be taken back: its error says that
	// this instance may not be the active one any more.
	MayAct func() error
	// Unlocked tells that no lock could be had because of an alarm.
	Unlocked bool
}

// Records are what runs leave, kept where backups are.
type Records interface {
	// Last returns the record of the newest slot of a job, nil if there is none. A
	// backup that is there without a record, since its instance was killed in
	// between, counts as one.
	Last(ctx context.Context, job config.JobName) (*status.Record, error)
	// Add keeps a record. There is at most one for a slot: another one is
	// [ErrRecorded].
	Add(ctx context.Context, r status.Record) error
}

// ErrRecorded says that a slot has its record already.
var ErrRecorded = errors.New("the slot has a record already")

// Survivor saves what the member on this host has while there is no leader.
type Survivor interface {
	// Local asks the member on this host, and it alone. It is nil where there is none.
	Local(ctx context.Context) (*LocalMember, error)
	// LastEmergency returns the newest emergency backup of that member that is in any store,
	// nil if there is none.
	LastEmergency(ctx context.Context, member uint64) (*status.Backup, error)
	// SaveEmergency backs up that member as it is, into each store that can be reached, and
	// returns the id of the backup. It is an error if no store has it.
	SaveEmergency(ctx context.Context) (id string, err error)
}

// LocalMember is what the member on this host says.
type LocalMember struct {
	ID     uint64
	Name   string
	Leader uint64 // id of the leader in its eyes, 0: none
}
