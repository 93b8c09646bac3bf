package retention

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// units of a duration, the largest first.
var units = []struct {
	letter byte
	length time.Duration
}{{'w', 7 * day}, {'d', day}, {'h', time.Hour}}

// ParseDuration reads a time to keep backups for: whole weeks, days and hours in
// that order, each at most once, as in 2w, 14d, 36h or 1d12h. A day is 24 hours,
// also where a clock is changed.
//
// Months and years are refused, for they have no length; Monthly and Yearly
// count them. So is m alone, which some tools read as minutes and others as
// months: the wrong guess would remove half a year of backups.
func ParseDuration(s string) (time.Duration, error) {
	var total time.Duration
	rest := s
	for _, u := range units {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits == len(rest) || rest[digits] != u.letter {
			continue
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || n > int64((math.MaxInt64-total)/u.length) {
			return 0, fmt.Errorf("duration %q is too long", s)
		}
		total += time.Duration(n) * u.length
		rest = rest[digits+1:]
	}
	if s == "" || rest != "" {
		return 0, fmt.Errorf("duration %q: %w", s, errForm)
	}
	return total, nil
}

var errForm = errors.New("want weeks, days and hours, as in 2w, 14d or 1d12h; months and years differ in length")

// formatDuration writes days and hours where ParseDuration could read them.
func formatDuration(d time.Duration) string {
	if d%time.Hour != 0 {
		return d.String()
	}
	var text string
	if d >= day {
		text = fmt.Sprintf("%dd", d/day)
	}
	if hours := d % day / time.Hour; hours > 0 {
		text += fmt.Sprintf("%dh", hours)
	}
	return text
}
