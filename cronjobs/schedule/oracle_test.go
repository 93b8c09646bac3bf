package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/schedule"
)

// spec is a schedule that was made up, and so needs no parser.
type spec struct {
	text                                string
	second, minute, hour, dom, mon, dow [60]bool
	anyHour, anyDay, anyWeekday         bool
}

// newSpec makes one up. minutes is false for one that needs seconds.
func newSpec(r *rand.Rand, seconds bool) spec {
	var s spec
	var fields []string
	field := func(low, high int, star float64) ([60]bool, bool) {
		if r.Float64() < star {
			fields = append(fields, "*")
			return numbers(low, high, 1), true
		}
		if r.IntN(3) == 0 {
			step := 2 + r.IntN(high)
			fields = append(fields, fmt.Sprintf("%d-%d/%d", low, high, step))
			return numbers(low, high, step), false
		}
		var set [60]bool
		var list []string
		for range 1 + r.IntN(3) {
			n := low + r.IntN(high-low+1)
			set[n] = true
			list = append(list, fmt.Sprint(n))
		}
		fields = append(fields, strings.Join(list, ","))
		return set, false
	}
	s.second[0] = true
	if seconds {
		s.second, _ = field(0, 59, 0.3)
	}
	s.minute, _ = field(0, 59, 0.2)
	s.hour, s.anyHour = field(0, 23, 0.3)
	s.dom, s.anyDay = field(1, 31, 0.7)
	s.mon, _ = field(1, 12, 0.8)
	s.dow, s.anyWeekday = field(0, 6, 0.7)
	s.text = strings.Join(fields, " ")
	return s
}

func numbers(low, high, step int) [60]bool {
	var set [60]bool
	for n := low; n <= high; n += step {
		set[n] = true
	}
	return set
}

// meant tells whether a wall clock that shows w shows a time of the schedule.
func (s spec) meant(w time.Time) bool {
	if !s.second[w.Second()] || !s.minute[w.Minute()] || !s.hour[w.Hour()] || !s.mon[int(w.Month())] {
		return false
	}
	dom, dow := s.dom[w.Day()], s.dow[int(w.Weekday())]
	if s.anyDay || s.anyWeekday {
		return dom && dow
	}
	return dom || dow
}

// watch is somebody who looks at a wall clock, moment after moment.
type watch struct {
	zone    *time.Location
	step    time.Duration
	highest time.Time // that the clock has shown
}

// shown is what the clock shows at t, as if it were UTC.
func (w *watch) shown(t time.Time) time.Time {
	l := t.In(w.zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
}

// slots are those after from, until to. from has to be so late that nothing was changed in the hours before.
func (w *watch) slots(specs []spec, from, to time.Time) [][]time.Time {
	all := make([][]time.Time, len(specs))
	w.highest = w.shown(from)
	for t := from.Add(w.step); !t.After(to); t = t.Add(w.step) {
		now := w.shown(t)
		for i, s := range specs {
			if s.comes(w, now) {
				all[i] = append(all[i], t.UTC())
			}
		}
		if now.After(w.highest) {
			w.highest = now
		}
	}
	return all
}

func (s spec) comes(w *watch, now time.Time) bool {
	if s.anyHour {
		return s.meant(now)
	}
	for passed := w.highest.Add(w.step); !passed.After(now); passed = passed.Add(w.step) {
		if s.meant(passed) {
			return true
		}
	}
	return false
}

// years are in which the clocks of a zone are worth a look.
var years = []struct{ zone, from string }{
	{"Europe/Berlin", "2026-01-01"}, {"America/New_York", "2026-01-01"}, {"Australia/Lord_Howe", "2026-01-01"},
	{"Africa/Cairo", "2010-01-01"}, // four changes, two of them for Ramadan
	{"Africa/Cairo", "2026-01-01"}, {"America/Havana", "2026-01-01"}, {"America/St_Johns", "2010-01-01"},
	{"Pacific/Apia", "2011-01-01"}, {"Africa/Casablanca", "2026-01-01"},
}

// Somebody who looks at the wall clock each minute, in the days around each change of a
// year, sees the same slots.
func TestMinutesAroundChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	for _, y := range years {
		t.Run(y.zone+" "+y.from, func(t *testing.T) {
			where := zone(t, y.zone)
			from, _ := time.ParseInLocation(time.DateOnly, y.from, where)
			changes := 0
			for _, change := from.ZoneBounds(); change.Before(from.AddDate(1, 0, 0)); _, change = change.ZoneBounds() {
				compare(t, r, &watch{zone: where, step: time.Minute}, change.AddDate(0, 0, -3), change.AddDate(0, 0, 4), 20)
				changes++
			}
			if changes < 2 {
				t.Errorf("clocks were changed %d times", changes)
			}
		})
	}
}

// The same through months, where schedules of a few days have slots.
func TestMinutesOfMonths(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 3))
	from := time.Date(2027, 12, 20, 0, 0, 0, 0, time.UTC)
	compare(t, r, &watch{zone: time.UTC, step: time.Minute}, from, from.AddDate(0, 0, 80), 20) // with 29 February
	compare(t, r, &watch{zone: zone(t, "Europe/Berlin"), step: time.Minute}, from.AddDate(0, 0, 80), from.AddDate(0, 0, 120), 20)
}

// The same, second by second, around the changes.
func TestSecondsAroundChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 2))
	for _, day := range []struct{ zone, from string }{
		{"Europe/Berlin", "2026-03-28T20:00:00Z"}, {"Europe/Berlin", "2026-10-24T20:00:00Z"}, {"Australia/Lord_Howe", "2026-04-04T11:00:00Z"},
		{"Pacific/Apia", "2011-12-30T06:00:00Z"}, {"America/Havana", "2026-11-01T00:00:00Z"}, {"America/St_Johns", "2010-11-06T23:00:00Z"},
	} {
		t.Run(day.zone+" "+day.from, func(t *testing.T) {
			from, _ := time.Parse(time.RFC3339, day.from)
			compare(t, r, &watch{zone: zone(t, day.zone), step: time.Second}, from, from.Add(12*time.Hour), 12)
		})
	}
}

func compare(t *testing.T, r *rand.Rand, w *watch, from, to time.Time, count int) {
	var specs []spec
	var parsed []schedule.Schedule
	for len(specs) < count {
		made := newSpec(r, w.step < time.Minute)
		s, err := schedule.Parse(made.text, w.zone)
		if err != nil && strings.Contains(err.Error(), "never comes") {
			continue
		}
		if err != nil {
			t.Fatalf("%q: %v", made.text, err)
		}
		specs, parsed = append(specs, made), append(parsed, s)
	}
	for i, want := range w.slots(specs, from, to) {
		if err := sameSlots(r, parsed[i], want, from, to); err != nil {
			t.Errorf("%q: %v", specs[i].text, err)
		}
	}
}

// sameSlots compares what comes next and what was last, at and between slots.
func sameSlots(r *rand.Rand, s schedule.Schedule, want []time.Time, from, to time.Time) error {
	at := from
	for i, slot := range want {
		next := s.Next(at)
		if !next.Equal(slot) {
			return fmt.Errorf("after %v comes %v, want %v", at, next, slot)
		}
		if i < 500 {
			between := at.Add(time.Duration(r.Int64N(int64(slot.Sub(at)))))
			if next := s.Next(between); !next.Equal(slot) {
				return fmt.Errorf("after %v, between slots, comes %v, want %v", between, next, slot)
			}
			if latest := s.Latest(between); i > 0 && !latest.Equal(at) {
				return fmt.Errorf("latest at %v is %v, want %v", between, latest, at)
			}
			if latest := s.Latest(slot); !latest.Equal(slot) {
				return fmt.Errorf("latest at slot %v is %v", slot, latest)
			}
		}
		at = slot
	}
	if next := s.Next(at); !next.IsZero() && !next.After(to) {
		return fmt.Errorf("after %v comes %v, and nothing until %v was expected", at, next, to)
	}
	if n := s.Between(from, to.Add(time.Nanosecond), len(want)+10); n != len(want) {
		return fmt.Errorf("there are %d slots, want %d", n, len(want))
	}
	return nil
}

// Whatever is a schedule has slots that go on, in both directions.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"30 2 * * *", "*/5 * * * * *", "@every 1h30m", "@every 3w", "0 0 29 2 *", "0 0 31 2 *", "@monthly", "CRON_TZ=x 0", "0-59/7 */2 1,15 jan-dec ?", "TZ=", ",", "@every 1ns", "* * * * 1/99999999999999"} {
		f.Add(text, int64(1774746000), uint8(0))
	}
	f.Fuzz(func(t *testing.T, text string, at int64, where uint8) {
		loc := zone(t, years[int(where)%len(years)].zone)
		s, err := schedule.Parse(text, loc)
		if err != nil {
			return
		}
		now := time.Unix(at%(1<<33), at%1e9)
		next := s.Next(now)
		if next.IsZero() {
			return
		}
		if !next.After(now) || next.Nanosecond() != 0 || next.Location() != time.UTC {
			t.Fatalf("%q: after %v comes %v", text, now, next)
		}
		if again := s.Next(next.Add(-time.Nanosecond)); !again.Equal(next) {
			t.Fatalf("%q: %v is a slot, and just before it comes %v", text, next, again)
		}
		if latest := s.Latest(next); !latest.Equal(next) {
			t.Fatalf("%q: latest at slot %v is %v", text, next, latest)
		}
		latest := s.Latest(now)
		if latest.After(now) || !latest.IsZero() && !s.Next(latest).Equal(next) {
			t.Fatalf("%q: latest at %v is %v, and after it comes %v, not %v", text, now, latest, s.Next(latest), next)
		}
	})
}
