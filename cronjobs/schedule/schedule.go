// Package schedule knows the slots of a job: the times for which it is scheduled. It
// reads no clock.
//
// It is robfig/cron's, but for two things. What is meant by the wall clock happens once
// a day also when a clock is changed: a time that is skipped stands for the first
// moment after it, one that comes twice for the first of them. And "@every" counts from a
// fixed time, so that all instances agree on the slots.
//
// What always holds: slots are whole seconds, in UTC, and each is later than the one
// before it.
package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is when a job runs. The zero value never does. Two that were parsed from the
// same text with the same location are equal by reflect.DeepEqual.
type Schedule struct {
	fields cron.SpecSchedule // in UTC, which stands for a clock that is never changed
	zone   *time.Location    // nil unless the fields count
	every  time.Duration     // whole seconds; 0 unless it counts
}

// IsZero tells whether it is the zero value, which has no slot.
func (s Schedule) IsZero() bool { return s.zone == nil && s.every == 0 }

// maxAge is how far Latest looks back: a year, and the hours by which a clock can be changed.
const maxAge = 367 * 24 * time.Hour

// Next returns the first slot after t; zero if there is none within five years.
//
// If the hours are some of the 24, the slots are times of the wall clock, and each is
// the first moment at which that clock shows it or a later one: 02:30 is at 03:00 on the
// day that skips it, and not again when it comes twice. If they are all 24, a slot is every
// moment at which the clock shows such a time, so that an hourly job runs each hour of real time.
func (s Schedule) Next(t time.Time) time.Time {
	switch {
	case s.every > 0:
		step := int64(s.every / time.Second)
		return time.Unix((floor(t.Unix(), step)+1)*step, 0).UTC()
	case s.zone == nil:
		return time.Time{}
	case s.fields.Hour&everyHour == everyHour:
		return s.nextShown(t)
	}
	w := s.fields.Next(latestShown(t, s.zone))
	if w.IsZero() {
		return w
	}
	return firstShown(w, s.zone)
}

// everyHour are the bits of the 24 hours.
const everyHour = 1<<24 - 1

// nextShown returns the first moment after t at which the clock shows a time of the fields.
func (s Schedule) nextShown(t time.Time) time.Time {
	limit := t.AddDate(5, 0, 0)
	for from := t; from.Before(limit); {
		offset, end := offsetAt(from, s.zone)
		after := from
		if from.After(t) {
			after = from.Add(-time.Nanosecond) // the first moment of an offset may be a slot itself
		}
		w := s.fields.Next(after.UTC().Add(offset))
		if w.IsZero() {
			break
		}
		if slot := w.Add(-offset); end.IsZero() || slot.Before(end) {
			return slot
		}
		from = end
	}
	return time.Time{}
}

// Latest returns the last slot that is not after t; zero if there is none within the
// year before.
func (s Schedule) Latest(t time.Time) time.Time {
	if s.IsZero() {
		return time.Time{}
	}
	// The first slot after a moment is the later the later that moment is. So the moment
	// is searched for: the last one whose next slot is not after t.
	back := time.Second
	for s.after(t.Add(-back), t) {
		if back >= maxAge {
			return time.Time{}
		}
		back = min(2*back, maxAge)
	}
	low, high := t.Add(-back), t // the next slot of low is not after t, that of high is
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if s.after(middle, t) {
			high = middle
		} else {
			low = middle
		}
	}
	return s.Next(low)
}

// after tells whether the first slot after from is after t.
func (s Schedule) after(from, t time.Time) bool {
	next := s.Next(from)
	return next.IsZero() || next.After(t)
}

// Between counts the slots after a and before b, at most most.
func (s Schedule) Between(a, b time.Time, most int) int {
	n := 0
	for n < most {
		if a = s.Next(a); a.IsZero() || !a.Before(b) {
			break
		}
		n++
	}
	return n
}

// Interval returns the shortest time between two slots that follow each other, as it is
// where no clock is changed; zero if there are no two within five years. It looks at
// some slots from a fixed time on, among them a turn of each minute and hour.
func (s Schedule) Interval() time.Duration {
	if s.every > 0 || s.zone == nil {
		return s.every
	}
	const enough = 64
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var shortest time.Duration
	last := s.fields.Next(start.Add(-time.Second))
	for range enough {
		next := s.fields.Next(last)
		if last.IsZero() || next.IsZero() || next.Sub(start) > 6*maxAge {
			break
		}
		if gap := next.Sub(last); shortest == 0 || gap < shortest {
			shortest = gap
		}
		last = next
	}
	return shortest
}

// Jitter is a time from 0 to below most that depends on key alone, so that many jobs
// with one schedule spread, and each keeps its place.
func Jitter(most time.Duration, key string) time.Duration {
	if most <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(key))
	high, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), uint64(most))
	return time.Duration(high)
}

// floor is a/b, rounded down.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
