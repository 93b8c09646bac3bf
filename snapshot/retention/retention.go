// Package retention decides which backups a store keeps. It is a function of
// its arguments: it reads no clock, no store and no file.
//
// What always holds, whatever the policy says:
//
//   - A plan never removes the newest backup of a lineage, its newest verified or
//     its newest rehearsed one, one that is held or locked, or one that is dated
//     in the future.
//   - A backup that is no good, or dated wrongly, pushes no other one out.
//   - Each lineage is planned as if there were no other.
//   - To carry out a plan and to plan again removes nothing more.
//   - A policy that [Policy.Check] refuses keeps everything.
package retention

import (
	"cmp"
	"slices"
	"time"
)

// Proof is what the newest report of a kind says of a backup.
type Proof int

// Unproven stands for no report, and for one that did not get far enough.
const (
	Unproven Proof = iota
	Passed
	Failed
)

// Backup is what a plan has to know of a backup.
type Backup struct {
	ID, Lineage string
	Started     time.Time
	Emergency   bool   // of one survivor, possibly stale
	Verified    Proof  // by a verification that reached the structure of the db
	Rehearsed   Proof  // by a restore into a throwaway cluster
	Held        bool   // somebody asked to keep it
	Locked      string // how the store keeps it locked, "" if it does not
}

// Decision is what a plan says of one backup. There is always a reason; a
// backup that is kept has all that apply.
type Decision struct {
	Backup
	Keep    bool
	Reasons []string
}

// Plan decides about each backup, and returns the decisions newest first, and
// by the greater ID at equal times. The order of the input does not matter.
//
// Backups of several lineages may be given: each lineage is planned by itself.
// Two that have lineage and ID in common are one to whoever removes them, so
// that both are kept if one is.
//
// A backup that started after now, or at no time at all, is kept, takes no place
// in any rule, and counts for nothing in what is said below: a clock that ran
// ahead must not make the real backups removable.
//
// A backup has failed if its verification or its rehearsal has, and is proven if
// one of them passed and none failed. The rules of the policy choose among
// ordinary backups that have not failed. Of the rest, those are kept that
// [Policy.Within] covers and those that no proven, ordinary backup started
// after: as long as nothing better has come, a stale or damaged backup may be
// all that there is of its time.
//
// Newest, verified and rehearsed backups are protected among the ordinary ones.
// Where the newest has failed, in the other kind of proof or as the newest of
// all, the newest that has not failed is protected beside it.
func Plan(backups []Backup, p Policy, now time.Time) []Decision {
	plan := make([]Decision, len(backups))
	for i, b := range backups {
		plan[i].Backup = b
	}
	slices.SortFunc(plan, newestFirst)
	refused := p.Check()
	lineages := make(map[string]lineage)
	for i := range plan {
		d := &plan[i]
		if refused != nil {
			d.keep("no policy: " + refused.Error())
			continue
		}
		lineages[d.Lineage] = append(lineages[d.Lineage], d)
	}
	for _, l := range lineages {
		l.decide(p, now)
	}
	return plan
}

// newestFirst compares all there is, so that equal means the same.
func newestFirst(a, b Decision) int {
	return cmp.Or(
		b.Started.Compare(a.Started),
		cmp.Compare(b.ID, a.ID),
		cmp.Compare(b.Lineage, a.Lineage),
		compareBool(a.Emergency, b.Emergency),
		cmp.Compare(b.Verified, a.Verified),
		cmp.Compare(b.Rehearsed, a.Rehearsed),
		compareBool(a.Held, b.Held),
		cmp.Compare(b.Locked, a.Locked),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (d *Decision) keep(reason string) {
	d.Keep = true
	d.Reasons = append(d.Reasons, reason)
}

func (d *Decision) failed() bool { return d.Verified == Failed || d.Rehearsed == Failed }

func (d *Decision) verified() bool { return d.Verified == Passed }

func (d *Decision) rehearsed() bool { return d.Rehearsed == Passed }

func (d *Decision) passed() bool { return d.verified() || d.rehearsed() }

// flaw says what keeps a backup out of the rules, "" if nothing does.
func (d *Decision) flaw() string {
	switch {
	case d.Emergency:
		return "emergency"
	case d.Verified == Failed:
		return "failed its verification"
	case d.Rehearsed == Failed:
		return "failed its rehearsal"
	}
	return ""
}
