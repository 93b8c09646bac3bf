package page

import (
	"slices"
	"time"
)

const day = 24 * time.Hour

// axis is a stretch of time, from the left to the right.
type axis struct{ from, to time.Time }

// tick is a time that is named below an axis.
type tick struct {
	X      percent
	Text   string
	Anchor string // of the text, so that it stays within the picture
	Odd    bool   // one that a narrow screen does without
}

func (a axis) has(t time.Time) bool { return !t.Before(a.from) && !t.After(a.to) }

func (a axis) x(t time.Time) percent {
	return percent(100 * float64(t.Sub(a.from)) / float64(a.to.Sub(a.from)))
}

// ticks are at round times in UTC, at most nine of them.
func (a axis) ticks() []tick {
	const most = 9
	format, next := "2 Jan", a.stepper(most)
	if a.to.Sub(a.from) <= 4*day {
		format = "15:04"
	}
	var ticks []tick
	for t := next(a.from); !t.After(a.to); t = next(t) {
		text := t.Format(format)
		if format == "15:04" && t.Equal(t.Truncate(day)) {
			text = t.Format("2 Jan")
		}
		x := a.x(t)
		anchor := "middle"
		switch {
		case x < 4:
			anchor = "start"
		case x > 96:
			anchor = "end"
		}
		ticks = append(ticks, tick{X: x, Text: text, Anchor: anchor})
	}
	for i := range ticks {
		ticks[i].Odd = len(ticks) > 5 && (len(ticks)-i)%2 == 0
	}
	return ticks
}

// stepper returns what steps to the next tick: hours and days that divide what is above them,
// then months.
func (a axis) stepper(most int) func(time.Time) time.Time {
	for _, step := range []time.Duration{time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day} {
		if a.to.Sub(a.from) < time.Duration(most)*step {
			return func(t time.Time) time.Time { return t.UTC().Truncate(step).Add(step) }
		}
	}
	months := 1
	for a.to.Sub(a.from) >= time.Duration(most*months)*28*day {
		months *= 2
	}
	return func(t time.Time) time.Time {
		t = t.UTC()
		return time.Date(t.Year(), t.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	}
}

// span is a stretch of time that can be chosen.
type span struct {
	Key, Text string
	length    time.Duration // 0: everything
	Chosen    bool
}

// spans are those that can be chosen, with the asked one marked. Without a question it is the
// shortest that has enough to see a rhythm in. rows have the newest first.
func spans(rows []backupRow, now time.Time, asked string) ([]span, axis) {
	const rhythm = 20
	all := []span{
		{Key: "2d", Text: "2 days", length: 2 * day},
		{Key: "2w", Text: "2 weeks", length: 14 * day},
		{Key: "3m", Text: "3 months", length: 91 * day},
		{Key: "all", Text: "all"},
	}
	chosen := slices.IndexFunc(all, func(s span) bool { return s.Key == asked })
	if chosen < 0 {
		chosen = slices.IndexFunc(all, func(s span) bool {
			return s.length == 0 || len(rows) > rhythm && now.Sub(rows[rhythm].Started.t) <= s.length
		})
	}
	all[chosen].Chosen = true
	if length := all[chosen].length; length > 0 {
		return all, axis{now.Add(-length), now}
	}
	oldest := now.Add(-2 * day)
	if len(rows) > 0 && rows[len(rows)-1].Started.t.Before(oldest) {
		oldest = rows[len(rows)-1].Started.t
	}
	return all, axis{oldest, now}
}
