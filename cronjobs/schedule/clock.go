package schedule

import "time"

// A time that a wall clock shows is written here as if it were UTC, so that two of them
// can be compared, and none is skipped or comes twice.

// farthest is further than any clock is from UTC. With one of 15 hours Alaska and Manila
// changed the side of the date line.
const farthest = 26 * time.Hour

// firstShown returns the first moment at which the clock of the zone shows w or a later
// time. This never decreases in w, whatever the zone does.
func firstShown(w time.Time, zone *time.Location) time.Time {
	from := w.Add(-farthest)
	for {
		offset, end := offsetAt(from, zone)
		if t := w.Add(-offset); end.IsZero() || t.Before(end) {
			if t.Before(from) {
				return from // the clock has jumped past w
			}
			return t
		}
		from = end
	}
}

// latestShown returns the latest time, in whole seconds, that the clock of the zone has
// shown until t. It is later than what it shows at t after it was set back.
func latestShown(t time.Time, zone *time.Location) time.Time {
	t = time.Unix(t.Unix(), 0).UTC() // the second that has begun
	offset, _ := offsetAt(t, zone)
	latest := t.Add(offset)
	for from := t.Add(-2 * farthest); ; {
		offset, end := offsetAt(from, zone)
		if end.IsZero() || end.After(t) {
			return latest
		}
		if shown := end.Add(offset - time.Second); shown.After(latest) {
			latest = shown
		}
		from = end
	}
}

// offsetAt returns how far the clock of the zone is ahead of UTC at t, and until when; zero
// stands for ever. The end is in UTC.
func offsetAt(t time.Time, zone *time.Location) (offset time.Duration, end time.Time) {
	local := t.In(zone)
	_, seconds := local.Zone()
	if _, end = local.ZoneBounds(); !end.IsZero() {
		end = end.UTC()
	}
	return time.Duration(seconds) * time.Second, end
}
