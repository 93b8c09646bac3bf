package schedule_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the stories' zones, wherever the test runs

	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/internal/fail"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t testing.TB, spec, zoneName string) schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(spec, zone(t, zoneName))
	if err != nil {
		t.Fatalf("%q: %v", spec, err)
	}
	return s
}

// Days on which clocks are changed, told by their slots. Each slot is written as the
// clock on the wall shows it, with its offset.
func TestDaysOnWhichClocksAreChanged(t *testing.T) {
	for _, story := range []struct {
		name, spec, zone, from, to string
		slots                      string
	}{
		{"Berlin skips 02:30, which is then at 03:00", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-30T12:00:00+02:00",
			"29 03:00+02, 30 02:30+02"},
		{"Berlin has 02:30 twice, and it is the first", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", "2026-10-26T12:00:00+01:00",
			"25 02:30+02, 26 02:30+01"},
		{"many times in the skipped hour are one", "*/20 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00+01:00", "2026-03-29T12:00:00+02:00",
			"29 03:00+02"},
		{"a skipped time and the one after it are one", "0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00+01:00", "2026-03-30T02:30:00+02:00",
			"29 03:00+02, 30 02:00+02"},
		{"many times in the repeated hour come once each", "*/20 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-25T12:00:00+01:00",
			"25 02:00+02, 25 02:20+02, 25 02:40+02"},
		{"an hourly job runs each hour where one is skipped", "15 * * * *", "Europe/Berlin", "2026-03-29T00:30:00+01:00", "2026-03-29T05:00:00+02:00",
			"29 01:15+01, 29 03:15+02, 29 04:15+02"},
		{"an hourly job runs in both of the repeated hours", "15 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00", "2026-10-25T04:00:00+01:00",
			"25 02:15+02, 25 02:15+01, 25 03:15+01"},
		{"an hourly job begins with the first moment of a new offset", "0 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00", "2026-10-25T03:30:00+01:00",
			"25 02:00+02, 25 02:00+01, 25 03:00+01"},
		{"every second hour is of the wall clock", "0 */2 * * *", "Europe/Berlin", "2026-10-25T00:30:00+02:00", "2026-10-25T05:00:00+01:00",
			"25 02:00+02, 25 04:00+01"},
		{"New York", "30 1,2 * * *", "America/New_York", "2026-03-07T12:00:00-05:00", "2026-03-09T02:00:00-04:00",
			"08 01:30-05, 08 03:00-04, 09 01:30-04"},
		{"Lord Howe skips half an hour", "10 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30", "2026-10-05T12:00:00+11:00",
			"04 02:30+11, 05 02:10+11"},
		{"Lord Howe repeats half an hour", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00+11:00", "2026-04-06T12:00:00+10:30",
			"05 01:45+11, 06 01:45+1030"},
		{"Cairo skips midnight", "@daily", "Africa/Cairo", "2026-04-23T12:00:00+02:00", "2026-04-25T12:00:00+03:00",
			"24 01:00+03, 25 00:00+03"},
		{"Havana repeats midnight", "@daily", "America/Havana", "2026-10-31T12:00:00-04:00", "2026-11-02T12:00:00-05:00",
			"01 00:00-04, 02 00:00-05"},
		{"a day goes on after the next has begun, which has begun", "59 23 * * *", "America/St_Johns", "2010-11-06T12:00:00-02:30", "2010-11-08T12:00:00-03:30",
			"06 23:59-0230, 07 23:59-0330"},
		{"Samoa left a Friday out, and nothing runs twice on the Saturday", "0 0 * * *", "Pacific/Apia", "2011-12-29T01:00:00-10:00", "2012-01-01T12:00:00+14:00",
			"31 00:00+14, 01 00:00+14"},
		{"what Samoa missed on the Friday is at its end", "0 0 * * fri", "Pacific/Apia", "2011-12-29T01:00:00-10:00", "2012-01-06T12:00:00+14:00",
			"31 00:00+14, 06 00:00+14"},
	} {
		t.Run(story.name, func(t *testing.T) {
			s, where := parse(t, story.spec, story.zone), zone(t, story.zone)
			from, _ := time.Parse(time.RFC3339, story.from)
			to, _ := time.Parse(time.RFC3339, story.to)
			var slots []string
			for at := s.Next(from); at.Before(to); at = s.Next(at) {
				slots = append(slots, at.In(where).Format("02 15:04Z07"))
				if _, offset := at.In(where).Zone(); offset%3600 != 0 {
					slots[len(slots)-1] = at.In(where).Format("02 15:04Z0700")
				}
			}
			if got := strings.Join(slots, ", "); got != story.slots {
				t.Errorf("slots are  %s\nwant       %s", got, story.slots)
			}
		})
	}
}

// An instance that was started a second later has the same slots.
func TestEveryCountsFromAFixedTime(t *testing.T) {
	s := parse(t, "@every 6h", "America/New_York")
	start := time.Date(2026, 8, 1, 6, 0, 0, 0, time.UTC)
	for i, want := range []string{"12:00", "18:00", "00:00"} {
		at := start.Add(time.Duration(i)*6*time.Hour + 17*time.Minute + 42*time.Nanosecond)
		if got := s.Next(at).Format("15:04"); got != want {
			t.Errorf("after %v comes %s, want %s", at, got, want)
		}
	}
	if got := s.Next(start); !got.Equal(start.Add(6 * time.Hour)) {
		t.Errorf("after a slot comes %v", got)
	}
	if got := s.Latest(start); !got.Equal(start) {
		t.Errorf("the latest slot at a slot is %v", got)
	}
	before := time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC)
	if got := s.Next(before); !got.Equal(time.Unix(0, 0)) {
		t.Errorf("after %v comes %v", before, got)
	}
}

func TestSecondsAreOptional(t *testing.T) {
	at := time.Date(2026, 8, 1, 6, 0, 0, 0, time.UTC)
	for spec, want := range map[string]string{
		"30 2 * * *":      "2026-08-02 02:30:00",
		"15 30 2 * * *":   "2026-08-02 02:30:15",
		"*/10 * * * * *":  "2026-08-01 06:00:10",
		" 30 2 * * * ":    "2026-08-02 02:30:00",
		"0 0 1 jan *":     "2027-01-01 00:00:00",
		"0 0 * * MON-WED": "2026-08-03 00:00:00",
		"0 0 13 * fri":    "2026-08-07 00:00:00", // one of both
		"0 0 29 2 *":      "2028-02-29 00:00:00",
		"@weekly":         "2026-08-02 00:00:00",
		"@every 1w":       "2026-08-06 00:00:00", // the epoch was a Thursday
	} {
		if got := parse(t, spec, "UTC").Next(at).Format(time.DateTime); got != want {
			t.Errorf("%q: next is %s, want %s", spec, got, want)
		}
	}
}

func TestZeroScheduleNeverRuns(t *testing.T) {
	var s schedule.Schedule
	now := time.Date(2026, 8, 1, 6, 0, 0, 0, time.UTC)
	if !s.IsZero() || !s.Next(now).IsZero() || !s.Latest(now).IsZero() || s.Between(now, now.AddDate(9, 0, 0), 5) != 0 || s.Interval() != 0 {
		t.Error("the zero schedule runs")
	}
	if parse(t, "@daily", "UTC").IsZero() || parse(t, "@every 1h", "UTC").IsZero() {
		t.Error("a schedule is called zero")
	}
}

func TestSameTextIsSameSchedule(t *testing.T) {
	for _, spec := range []string{"30 2 * * *", "@every 90s", "@daily"} {
		if a, b := parse(t, spec, "Europe/Berlin"), parse(t, spec, "Europe/Berlin"); !reflect.DeepEqual(a, b) {
			t.Errorf("%q is not itself", spec)
		}
	}
	if reflect.DeepEqual(parse(t, "@daily", "Europe/Berlin"), parse(t, "@daily", "UTC")) {
		t.Error("a zone makes no difference")
	}
	if reflect.DeepEqual(parse(t, "@daily", "UTC"), parse(t, "@hourly", "UTC")) {
		t.Error("@daily is @hourly")
	}
}

func TestBetween(t *testing.T) {
	s := parse(t, "0 * * * *", "UTC")
	at := time.Date(2026, 8, 1, 6, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		until time.Duration
		most  int
		want  int
	}{
		{0, 10, 0}, {-5 * time.Hour, 10, 0}, {time.Hour, 10, 0}, {time.Hour + 1, 10, 1}, {5 * time.Hour, 10, 4}, {100 * time.Hour, 10, 10}, {5 * time.Hour, 0, 0},
	} {
		if got := s.Between(at, at.Add(c.until), c.most); got != c.want {
			t.Errorf("%d slots within %v, want %d", got, c.until, c.want)
		}
	}
}

func TestInterval(t *testing.T) {
	for spec, want := range map[string]time.Duration{
		"* * * * * *":   time.Second,
		"0 * * * *":     time.Hour,
		"*/7 * * * *":   4 * time.Minute,
		"0 9,17 * * *":  8 * time.Hour,
		"0 0,23 * * *":  time.Hour,
		"@weekly":       7 * 24 * time.Hour,
		"@monthly":      28 * 24 * time.Hour,
		"@yearly":       365 * 24 * time.Hour,
		"0 0 1,31 * *":  24 * time.Hour,
		"@every 90s":    90 * time.Second,
		"30 2,3 * * *":  time.Hour, // also where a day skips an hour
		"0 0 1 1 *":     365 * 24 * time.Hour,
		"59,0 23 * * *": 59 * time.Minute,
	} {
		if got := parse(t, spec, "Europe/Berlin").Interval(); got != want {
			t.Errorf("%q: interval is %v, want %v", spec, got, want)
		}
	}
}

func TestJitterSpreads(t *testing.T) {
	const most, keys = time.Hour, 1000
	quarters := make([]int, 4)
	for i := range keys {
		key := fmt.Sprintf("cluster-%d/snapshot", i)
		j := schedule.Jitter(most, key)
		if j < 0 || j >= most {
			t.Fatalf("%s has %v", key, j)
		}
		if again := schedule.Jitter(most, key); again != j {
			t.Fatalf("%s has %v and then %v", key, j, again)
		}
		quarters[j/(most/4)]++
	}
	for i, n := range quarters {
		if n < keys/5 {
			t.Errorf("quarter %d has %d of %d keys", i, n, keys)
		}
	}
	if schedule.Jitter(0, "key") != 0 || schedule.Jitter(-1, "key") != 0 || schedule.Jitter(1, "key") != 0 {
		t.Error("there is jitter where there is no room for it")
	}
}

func TestWrongSchedules(t *testing.T) {
	for spec, want := range map[string]string{
		"":                              `it is empty`,
		"   ":                           `it is empty`,
		"0 25 * * *":                    `its hour is "25"`,
		"60 * * * *":                    `its minute is "60"`,
		"61 0 0 * * *":                  `its second is "61"`,
		"0 0 32 * *":                    `its day of the month is "32"`,
		"0 0 0 * *":                     `its day of the month is "0"`,
		"0 0 * 13 *":                    `its month is "13"`,
		"0 0 * * 7":                     `its day of the week is "7"`,
		"0 0 * * sunday":                `its day of the week is "sunday"`,
		"*/0 * * * *":                   `its minute is "*/0"`,
		", * * * *":                     `its minute is ","`,
		"*-5 * * * *":                   `its minute is "*-5"`,
		"5-1 * * * *":                   `its minute is "5-1"`,
		"1-5-7 * * * *":                 `its minute is "1-5-7"`,
		"-5 * * * *":                    `its minute is "-5"`,
		"* * *":                         `"* * *" is no schedule`,
		"* * * * * * *":                 `"* * * * * * *" is no schedule`,
		"hourly":                        `"hourly" is no schedule`,
		"@often":                        `"@often" is no schedule`,
		"@every":                        `"@every" is no schedule`,
		"@every 6":                      `"6" is no duration`,
		"@every 500ms":                  `500ms is not a number of whole seconds`,
		"@every 1500ms":                 `1.5s is not a number of whole seconds`,
		"@every 0s":                     `0s is not a number of whole seconds`,
		"@every -1h":                    `"-1h" is no duration`,
		"0 0 31 2 *":                    `"0 0 31 2 *" never comes`,
		"0 0 30 2 *":                    `"0 0 30 2 *" never comes`,
		"CRON_TZ=Europe/Berlin @daily":  `it names a time zone`,
		"TZ=UTC 0 0 * * *":              `it names a time zone`,
		"TZ=":                           `it names a time zone`,
		"@every 99999999999999999999h":  `"99999999999999999999h" is no duration`,
		"@every 99999999999999999999d":  `"99999999999999999999d" is too long`,
		"@every 106751d24h":             `"106751d24h" is no duration`,
		"0 0 99999999999999999999999 *": `"0 0 99999999999999999999999 *" is no schedule`,
	} {
		s, err := schedule.Parse(spec, time.UTC)
		if err == nil || err.Error() != want {
			t.Errorf("%q: error is %v, want %s", spec, err, want)
		}
		if fail.Hint(err) == "" {
			t.Errorf("%q: nothing says how to mend it", spec)
		}
		if !s.IsZero() {
			t.Errorf("%q is wrong and has slots", spec)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour, "2w": 14 * 24 * time.Hour,
		"1w2d3h4m5s": 9*24*time.Hour + 3*time.Hour + 4*time.Minute + 5*time.Second, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "0s": 0, "0": 0, "0d": 0,
	} {
		if got, err := schedule.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "m", "d", "1d2w", "1h1d", "1y", "-5m", "+5m", "1d-5m", "1d ", " 1d", "1d1d", "200000000000w", "inf"} {
		if got, err := schedule.ParseDuration(text); err == nil || fail.Hint(err) == "" {
			t.Errorf("%q is %v (%v), with hint %q", text, got, err, fail.Hint(err))
		}
	}
}
