package schedule

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/etcdha/etcdha/internal/fail"
)

const everyPrefix = "@every "

var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// places are the fields of a schedule in their order.
var places = []struct {
	name, want string
	parser     cron.Parser // of this field alone
	bits       func(*cron.SpecSchedule) uint64
}{
	{"second", "seconds are 0 to 59", cron.NewParser(cron.Second), func(s *cron.SpecSchedule) uint64 { return s.Second }},
	{"minute", "minutes are 0 to 59", cron.NewParser(cron.Minute), func(s *cron.SpecSchedule) uint64 { return s.Minute }},
	{"hour", "hours are 0 to 23", cron.NewParser(cron.Hour), func(s *cron.SpecSchedule) uint64 { return s.Hour }},
	{"day of the month", "days of the month are 1 to 31", cron.NewParser(cron.Dom), func(s *cron.SpecSchedule) uint64 { return s.Dom }},
	{"month", "months are 1 to 12 or jan to dec", cron.NewParser(cron.Month), func(s *cron.SpecSchedule) uint64 { return s.Month }},
	{"day of the week", "days of the week are 0 to 6 or sun to sat, and Sunday is 0", cron.NewParser(cron.Dow), func(s *cron.SpecSchedule) uint64 { return s.Dow }},
}

// Parse reads five fields of cron, six with seconds in front, a descriptor such as
// @daily, or @every and a duration of whole seconds (see [ParseDuration]). zone is
// where the wall clock hangs. A schedule without any slot within five years, such as
// 31 February, is an error. Errors have hints.
func Parse(spec string, zone *time.Location) (Schedule, error) {
	spec = strings.TrimSpace(spec)
	switch {
	case spec == "":
		return Schedule{}, fail.WithHint(errors.New("it is empty"), "%s", formHint)
	case strings.HasPrefix(spec, "TZ="), strings.HasPrefix(spec, "CRON_TZ="):
		return Schedule{}, fail.WithHint(errors.New("it names a time zone"), "leave %s= out and set timeZone beside the schedule", strings.SplitN(spec, "=", 2)[0])
	case strings.HasPrefix(spec, everyPrefix):
		return parseEvery(strings.TrimSpace(strings.TrimPrefix(spec, everyPrefix)))
	}
	if !strings.HasPrefix(spec, "@") {
		if err := checkFields(strings.Fields(spec)); err != nil {
			return Schedule{}, err
		}
	}
	parsed, err := parser.Parse(spec)
	fields, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Schedule{}, fail.WithHint(fmt.Errorf("%q is no schedule", spec), "%s", formHint)
	}
	fields.Location = time.UTC
	s := Schedule{fields: *fields, zone: zone}
	if s.Next(anyTime).IsZero() {
		return Schedule{}, fail.WithHint(fmt.Errorf("%q never comes", spec), "look at the day and the month: there is no such day within five years")
	}
	return s, nil
}

const formHint = `use five fields (minute, hour, day of the month, month, day of the week) such as "30 2 * * *", six with seconds in front, @hourly, @daily, @weekly, @monthly, or @every 6h`

// anyTime is one from which each day of the calendar comes within five years.
var anyTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// checkFields finds the field that is wrong, which the parser does not name. It also refuses
// what the parser takes and nobody means: a field without a value, and what comes
// after a star.
func checkFields(fields []string) error {
	names := places
	switch len(fields) {
	case len(places):
	case len(places) - 1:
		names = places[1:]
	default:
		return fail.WithHint(fmt.Errorf("%q is no schedule", strings.Join(fields, " ")), "%s", formHint)
	}
	for i, p := range names {
		parsed, err := p.parser.Parse(fields[i])
		spec, ok := parsed.(*cron.SpecSchedule)
		if err != nil || !ok || p.bits(spec) == 0 || strings.Contains(fields[i], "*-") || strings.Contains(fields[i], "?-") {
			return fail.WithHint(fmt.Errorf("its %s is %q", p.name, fields[i]), "%s; lists such as 1,3, ranges such as 1-5, steps such as */2 and * are possible too", p.want)
		}
	}
	return nil
}

func parseEvery(text string) (Schedule, error) {
	every, err := ParseDuration(text)
	if err == nil && (every < time.Second || every%time.Second != 0) {
		err = fail.WithHint(fmt.Errorf("%v is not a number of whole seconds", every), "%s", `write for example "@every 90s" or "@every 6h"`)
	}
	if err != nil {
		return Schedule{}, err
	}
	return Schedule{every: every}, nil
}

// ParseDuration reads a length of time: weeks and days, and after them what
// [time.ParseDuration] reads, as in 1w, 1d12h, 90m or 1h30m. A day is 24 hours, also where a
// clock is changed. Errors have hints.
func ParseDuration(text string) (time.Duration, error) {
	wrong := fail.WithHint(fmt.Errorf("%q is no duration", text), "use w, d, h, m and s in this order, such as 90s, 5m, 1h30m, 1d or 2w")
	var total time.Duration
	rest := text
	for _, u := range units {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits == len(rest) || rest[digits] != u.letter {
			continue
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || n > int64((math.MaxInt64-total)/u.length) {
			return 0, fail.WithHint(fmt.Errorf("%q is too long", text), "a duration has at most 292 years")
		}
		total += time.Duration(n) * u.length
		rest = rest[digits+1:]
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || rest[0] == '-' || rest[0] == '+' || d > math.MaxInt64-total {
			return 0, wrong
		}
		total += d
	}
	if text == "" {
		return 0, wrong
	}
	return total, nil
}

const day = 24 * time.Hour

// units are those that time.ParseDuration does not know, the larger first.
var units = []struct {
	letter byte
	length time.Duration
}{{'w', 7 * day}, {'d', day}}
