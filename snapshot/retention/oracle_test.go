package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/snapshot/retention"
)

// The oracle decides about one backup at a time, by counting all others, and
// numbers days and weeks instead of naming them. It is slow and simple.
type oracle struct {
	history
	b retention.Backup
}

// asTheOracleSays: what is kept, and which calendar rules are a reason.
func asTheOracleSays(h history, _ dice) error {
	rules := []struct {
		name   string
		number int
		period func(time.Time) [2]int
	}{
		{"hourly", h.policy.Hourly, hour}, {"daily", h.policy.Daily, day}, {"weekly", h.policy.Weekly, week},
		{"monthly", h.policy.Monthly, month}, {"yearly", h.policy.Yearly, year},
	}
	plan := h.plan()
	type entry struct{ lineage, id string }
	kept := make(map[entry]bool) // for themselves
	for _, d := range plan {
		kept[entry{d.Lineage, d.ID}] = kept[entry{d.Lineage, d.ID}] || d.Keep && !isTwin(d)
	}
	for _, d := range plan {
		o := oracle{h, d.Backup}
		keep := o.protected() || o.neededUntilBetter() || o.covered() || o.amongLast()
		for _, r := range rules {
			want := o.newestOfPeriod(r.number, r.period)
			got := slices.ContainsFunc(d.Reasons, func(s string) bool { return strings.HasPrefix(s, r.name+" ") })
			if got != want && !o.listedTwice() {
				return fmt.Errorf("oracle: %s: is %v for %v", r.name, want, describe(d))
			}
			keep = keep || want
		}
		twin := kept[entry{d.Lineage, d.ID}]
		if d.Keep != (keep || twin) {
			return fmt.Errorf("oracle: should be kept: %v, and not: %s", keep || twin, describe(d))
		}
	}
	return nil
}

func isTwin(d retention.Decision) bool {
	return slices.Contains(d.Reasons, "another with its id is kept")
}

// some tells whether there is another backup like that in the lineage.
func (o oracle) some(like func(retention.Backup) bool) bool {
	return slices.ContainsFunc(o.backups, func(a retention.Backup) bool { return a.Lineage == o.b.Lineage && like(a) })
}

func (o oracle) counts(b retention.Backup) bool {
	return !b.Emergency && !b.Started.IsZero() && !b.Started.After(o.now)
}

func bad(b retention.Backup) bool {
	return b.Verified == retention.Failed || b.Rehearsed == retention.Failed
}

func (o oracle) sound(b retention.Backup) bool { return o.counts(b) && !bad(b) }

func newer(a, b retention.Backup) bool {
	return a.Started.After(b.Started) || a.Started.Equal(b.Started) && a.ID > b.ID
}

// listedTwice: to the oracle, both of two such entries are the newest.
func (o oracle) listedTwice() bool {
	entries := 0
	o.some(func(a retention.Backup) bool {
		if a.ID == o.b.ID && a.Started.Equal(o.b.Started) {
			entries++
		}
		return false
	})
	return entries > 1
}

// first tells whether no such backup is newer.
func (o oracle) first(like func(retention.Backup) bool) bool {
	return like(o.b) && !o.some(func(a retention.Backup) bool { return like(a) && newer(a, o.b) })
}

func (o oracle) protected() bool {
	b := o.b
	if b.Held || b.Locked != "" || b.Started.IsZero() || b.Started.After(o.now) {
		return true
	}
	for _, merit := range []func(retention.Backup) bool{
		func(retention.Backup) bool { return true },
		func(b retention.Backup) bool { return b.Verified == retention.Passed },
		func(b retention.Backup) bool { return b.Rehearsed == retention.Passed },
	} {
		if o.first(func(a retention.Backup) bool { return merit(a) && o.counts(a) }) ||
			o.first(func(a retention.Backup) bool { return merit(a) && o.sound(a) }) {
			return true
		}
	}
	return false
}

func (o oracle) neededUntilBetter() bool {
	return (o.b.Emergency || bad(o.b)) && !o.some(func(a retention.Backup) bool {
		return o.sound(a) && a.Verified+a.Rehearsed > 0 && a.Started.After(o.b.Started)
	})
}

// covered: it is no further from the present, and from each good backup, than
// the policy says.
func (o oracle) covered() bool {
	far := func(from time.Time) bool { return from.Sub(o.b.Started) > o.policy.Within }
	if o.policy.Within == 0 || !o.some(o.sound) {
		return o.policy.Within > 0 && !far(o.now)
	}
	return !o.some(func(a retention.Backup) bool { return o.sound(a) && far(a.Started) })
}

func (o oracle) amongLast() bool {
	ids := make(map[string]bool)
	o.some(func(a retention.Backup) bool {
		if o.sound(a) && newer(a, o.b) {
			ids[a.ID] = true
		}
		return false
	})
	return o.sound(o.b) && !ids[o.b.ID] && len(ids) < o.policy.Last
}

// newestOfPeriod: nothing newer is in its period, and few periods are newer.
func (o oracle) newestOfPeriod(number int, period func(time.Time) [2]int) bool {
	of := func(b retention.Backup) [2]int { return period(b.Started.In(o.policy.Location)) }
	periods := make(map[[2]int]bool)
	o.some(func(a retention.Backup) bool {
		if o.sound(a) && newer(a, o.b) {
			periods[of(a)] = true
		}
		return false
	})
	return o.sound(o.b) && !periods[of(o.b)] && len(periods) < number
}

// clock is what a clock on the wall shows, in seconds since 1970.
func clock(t time.Time) (seconds, offset int) {
	_, offset = t.Zone()
	return int(t.Unix()) + offset, offset
}

func hour(t time.Time) [2]int {
	seconds, offset := clock(t)
	return [2]int{floor(seconds, 3600), offset}
}

func day(t time.Time) [2]int {
	seconds, _ := clock(t)
	return [2]int{floor(seconds, 24*3600)}
}

// week: 1970 began on a Thursday, three days after a Monday.
func week(t time.Time) [2]int { return [2]int{floor(day(t)[0]+3, 7)} }

func month(t time.Time) [2]int { return [2]int{t.Year(), int(t.Month())} }

func year(t time.Time) [2]int { return [2]int{t.Year()} }

// floor divides and rounds down, below zero too.
func floor(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
