package retention

import (
	"errors"
	"fmt"
	"time"
)

// Policy says how much to keep. A backup is kept if one rule wants it; a rule
// that is zero wants nothing, and never everything.
//
// The calendar rules keep the newest backup of each of the most recent hours,
// days, ISO weeks (from Monday), months and years that have one, so that a time
// without backups costs none of the older ones.
type Policy struct {
	Last    int // newest backups, whatever their dates
	Hourly  int // an hour that the clock repeats when it is set back is two
	Daily   int
	Weekly  int
	Monthly int
	Yearly  int

	// Within keeps all that started at most so long before the newest ordinary
	// backup that has not failed: not before the present, so that backups do
	// not run out when no new ones are taken, or when the clock is wrong.
	Within time.Duration

	// Location is where hours and days begin.
	Location *time.Location
}

// Check refuses a policy with a negative number, without a location, or without
// any rule.
func (p Policy) Check() error {
	some := p.Within > 0
	for _, r := range p.rules() {
		if r.number < 0 {
			return fmt.Errorf("%s: %d is negative", r.name, r.number)
		}
		some = some || r.number > 0
	}
	switch {
	case p.Within < 0:
		return fmt.Errorf("within: %v is negative", p.Within)
	case !some:
		return errors.New("it has no rule, and zero never means all")
	case p.Location == nil:
		return errors.New("it has no time zone")
	}
	return nil
}

// rule keeps the newest backup of each period.
type rule struct {
	name   string
	number int
	period func(*Decision) string
	reason func(period string) string
}

func (p Policy) rules() []rule {
	return []rule{
		{"last", p.Last, func(d *Decision) string { return d.ID }, func(string) string { return fmt.Sprintf("last %d", p.Last) }},
		// The offset tells two hours of one name apart.
		p.calendar("hourly", p.Hourly, layout("2006-01-02 15:00Z07:00")),
		p.calendar("daily", p.Daily, layout("2006-01-02")),
		p.calendar("weekly", p.Weekly, isoWeek),
		p.calendar("monthly", p.Monthly, layout("2006-01")),
		p.calendar("yearly", p.Yearly, layout("2006")),
	}
}

func (p Policy) calendar(name string, number int, period func(local time.Time) string) rule {
	return rule{
		name:   name,
		number: number,
		period: func(d *Decision) string { return period(d.Started.In(p.Location)) },
		reason: func(period string) string { return name + " " + period },
	}
}

func layout(layout string) func(time.Time) string {
	return func(local time.Time) string { return local.Format(layout) }
}

// isoWeek names the week as ISO 8601 does: its year is that of its Thursday.
func isoWeek(local time.Time) string {
	year, week := local.ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, week)
}
