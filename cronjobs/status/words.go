package status

import (
	"fmt"
	"time"
)

// day is 24 hours: times are in UTC, which has no others.
const day = 24 * time.Hour

// Age says a duration in words, in the largest unit of which there are two or more, so
// that it is never wrong by more than half.
func Age(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{day, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d >= 2*u.length {
			return fmt.Sprintf("%d %s", d/u.length, u.name)
		}
	}
	if d >= time.Minute {
		return "1 minute"
	}
	return "less than a minute"
}

// Relative says in words how far t is from now.
func Relative(t, now time.Time) string {
	if t.After(now) {
		return "in " + Age(t.Sub(now))
	}
	return Age(now.Sub(t)) + " ago"
}

// Date is a time in UTC, to the minute.
func Date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
