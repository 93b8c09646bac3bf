package retention

import (
	"slices"
	"time"
)

// lineage holds backups of one life of a cluster, newest first.
type lineage []*Decision

func (l lineage) where(has func(*Decision) bool) lineage {
	var found lineage
	for _, d := range l {
		if has(d) {
			found = append(found, d)
		}
	}
	return found
}

// newest is nil if no backup has it.
func (l lineage) newest(has func(*Decision) bool) *Decision {
	if i := slices.IndexFunc(l, has); i >= 0 {
		return l[i]
	}
	return nil
}

func (l lineage) decide(p Policy, now time.Time) {
	dated := l.where(func(d *Decision) bool { return !d.Started.IsZero() && !d.Started.After(now) })
	ordinary := dated.where(func(d *Decision) bool { return !d.Emergency })
	sound := ordinary.where(func(d *Decision) bool { return !d.failed() })
	better := sound.newest((*Decision).passed) // nil if there is none

	l.keepAsked(now)
	ordinary.keepNewest("of its lineage", func(*Decision) bool { return true })
	ordinary.keepNewest("verified", (*Decision).verified)
	ordinary.keepNewest("rehearsed", (*Decision).rehearsed)
	dated.keepUntilBetter(better)
	for _, r := range p.rules() {
		sound.keepByRule(r)
	}
	if p.Within > 0 {
		// Sound ones are protected, so that the next plan begins at the same time.
		if len(sound) > 0 {
			now = sound[0].Started
		}
		dated.keepWithin(p.Within, now)
	}
	l.keepTwins()
	l.explain(better)
}

// keepAsked keeps what somebody wants kept, and what has no place in the order.
func (l lineage) keepAsked(now time.Time) {
	for _, d := range l {
		if d.Held {
			d.keep("held")
		}
		if d.Locked != "" {
			d.keep("locked: " + d.Locked)
		}
		if d.Started.IsZero() {
			d.keep("not dated")
		}
		if d.Started.After(now) {
			d.keep("dated in the future")
		}
	}
}

// keepNewest keeps the newest that has it, and where that one has failed, also
// the newest that has it and has not failed.
func (l lineage) keepNewest(what string, has func(*Decision) bool) {
	d := l.newest(has)
	if d == nil {
		return
	}
	d.keep("newest " + what)
	if !d.failed() {
		return
	}
	d = l.newest(func(d *Decision) bool { return has(d) && !d.failed() })
	if d != nil {
		d.keep("newest " + what + " that has not failed")
	}
}

func (l lineage) keepUntilBetter(better *Decision) {
	for _, d := range l {
		if flaw := d.flaw(); flaw != "" && (better == nil || !better.Started.After(d.Started)) {
			d.keep(flaw + ": no verified backup since")
		}
	}
}

// keepByRule keeps the newest backup of each period, until there are as many
// periods as the rule wants. Periods are compared with all earlier ones and not
// with the last one: where a clock is set back across midnight, a day goes on
// after the next has begun.
func (l lineage) keepByRule(r rule) {
	seen := make(map[string]bool)
	for _, d := range l {
		if len(seen) == r.number {
			return
		}
		if period := r.period(d); !seen[period] {
			seen[period] = true
			d.keep(r.reason(period))
		}
	}
}

func (l lineage) keepWithin(within time.Duration, end time.Time) {
	start := end.Add(-within)
	for _, d := range l {
		if !d.Started.Before(start) {
			d.keep("within " + formatDuration(within))
		}
	}
}

// keepTwins keeps what would be removed under the ID of one that is kept.
func (l lineage) keepTwins() {
	kept := make(map[string]bool)
	for _, d := range l {
		kept[d.ID] = kept[d.ID] || d.Keep
	}
	for _, d := range l {
		if !d.Keep && kept[d.ID] {
			d.keep("another with its id is kept")
		}
	}
}

// explain says why the others go. What has a flaw goes only for a better one.
func (l lineage) explain(better *Decision) {
	for _, d := range l {
		if d.Keep {
			continue
		}
		reason := "outside every rule"
		if flaw := d.flaw(); flaw != "" {
			reason = flaw + "; " + better.ID + " is verified"
		}
		d.Reasons = append(d.Reasons, reason)
	}
}
