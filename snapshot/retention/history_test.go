package retention_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot/retention"
)

// history is some backups, a policy and a present.
type history struct {
	backups []retention.Backup
	policy  retention.Policy
	now     time.Time
}

// dice decide what a history is like: by chance, or as a fuzzer wants it.
type dice interface {
	IntN(n int) int // in [0, n)
}

// bytesDice takes a byte, or two for a large number; at the end all is 0.
type bytesDice struct{ rest []byte }

func (d *bytesDice) IntN(n int) int {
	value := d.next()
	if n > 256 {
		value = value<<8 | d.next()
	}
	return value % n
}

func (d *bytesDice) next() int {
	if len(d.rest) == 0 {
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return int(b)
}

// zones have odd offsets, and days of 23, 24½ and 25 hours.
var zones = locations(
	"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
	"America/St_Johns", "Pacific/Apia", "Pacific/Chatham",
)

// moments are where calendars are difficult: histories are built around them.
var moments = []string{
	"2026-10-25T01:00:00Z", // Berlin, back
	"2026-03-29T01:00:00Z", // Berlin, forward
	"2026-11-01T06:00:00Z", // New York, back
	"2026-04-04T15:00:00Z", // Lord Howe, back
	"2010-11-07T02:31:00Z", // St. John's, back across midnight
	"2011-12-30T10:00:00Z", // Samoa, a day left out
	"2027-01-01T00:00:00Z", // within week 53
	"2028-02-29T12:00:00Z",
	"1969-12-31T23:59:00Z", // negative seconds
}

// steps between backups.
var steps = []time.Duration{
	15 * time.Minute, 50 * time.Minute, 5 * time.Hour, 24 * time.Hour, 100 * time.Hour, 20 * 24 * time.Hour, 200 * 24 * time.Hour,
}

func newHistory(d dice) history {
	moment, _ := time.Parse(time.RFC3339, moments[d.IntN(len(moments))])
	h := history{policy: newPolicy(d)}
	step := steps[d.IntN(len(steps))]
	count := d.IntN(30)
	at := moment.Add(-time.Duration(d.IntN(count+1)) * step)
	lineages := 1 + d.IntN(8)/6
	for range count {
		at = at.Add(step * time.Duration(d.IntN(5)) / 3) // 0: at equal times
		b := newBackup(d, at)
		b.Lineage = fmt.Sprintf("l%d", d.IntN(lineages))
		h.backups = append(h.backups, b)
	}
	h.now = at.Add(step * time.Duration(d.IntN(12)-6)) // some can be in the future
	return h
}

func newBackup(d dice, at time.Time) retention.Backup {
	b := retention.Backup{
		ID:        fmt.Sprintf("%c%d", 'a'+d.IntN(26), d.IntN(10)), // some are the same
		Started:   at,
		Emergency: d.IntN(6) == 1,
		Verified:  retention.Proof(max(0, d.IntN(8)-5)),
		Rehearsed: retention.Proof(max(0, d.IntN(12)-9)),
		Held:      d.IntN(20) == 1,
	}
	if d.IntN(20) == 1 {
		b.Locked = "GOVERNANCE"
	}
	if d.IntN(40) == 1 {
		b.Started = time.Time{}
	}
	return b
}

// newPolicy passes its check.
func newPolicy(d dice) retention.Policy {
	number := func() int { return max(0, d.IntN(8)-3) }
	p := retention.Policy{
		Last: number(), Hourly: number(), Daily: number(), Weekly: number(), Monthly: number(), Yearly: number(),
	}
	if d.IntN(3) == 1 {
		p.Within = time.Duration(1+d.IntN(1000)) * time.Hour
	}
	p.Location = zones[d.IntN(len(zones))]
	if p.Check() != nil {
		p.Last = 1
	}
	return p
}

func locations(names ...string) []*time.Location {
	var found []*time.Location
	for _, name := range names {
		loc, err := time.LoadLocation(name)
		if err != nil {
			panic(err) // the test has them all built in
		}
		found = append(found, loc)
	}
	return found
}

func (h history) plan() []retention.Decision { return retention.Plan(h.backups, h.policy, h.now) }

func (h history) String() string {
	lines := []string{fmt.Sprintf("policy %+v in %v, now %v", h.policy, h.policy.Location, h.now.In(h.policy.Location))}
	for _, d := range h.plan() {
		lines = append(lines, d.Started.In(h.policy.Location).Format("2006-01-02 15:04:05Z07:00 ")+describe(d))
	}
	return strings.Join(lines, "\n")
}

// Thousands of histories by chance, each from a seed that a failure names.
const histories = 3000

func TestHistories(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(histories) {
		d := rand.New(rand.NewPCG(seed, 0))
		h := newHistory(d)
		if err := check(h, d); err != nil {
			t.Fatalf("seed %d: %v\n%v", seed, err, h)
		}
		h.count(seen)
	}
	// Histories in which something never happens prove nothing about it.
	for _, reason := range []string{
		"last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "held", "locked:", "dated", "not",
		"newest of", "newest verified", "newest rehearsed", "emergency:", "another", "outside",
		"emergency;", "failed its verification:", "failed its verification;", "failed its rehearsal:", "failed its rehearsal;",
		"newest of its lineage that", "newest verified that", "newest rehearsed that",
	} {
		if seen[reason] < histories/200 {
			t.Errorf("%q was a reason only %d times", reason, seen[reason])
		}
	}
}

// count counts the reasons of a plan by each of their beginnings.
func (h history) count(seen map[string]int) {
	for _, d := range h.plan() {
		for _, reason := range d.Reasons {
			words := strings.Fields(reason)
			for i := range words {
				seen[strings.Join(words[:i+1], " ")]++
			}
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(20) {
		d, data := rand.New(rand.NewPCG(seed, 1)), make([]byte, 300)
		for i := range data {
			data[i] = byte(d.IntN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &bytesDice{data}
		h := newHistory(d)
		if err := check(h, d); err != nil {
			t.Fatalf("%v\n%v", err, h)
		}
	})
}
