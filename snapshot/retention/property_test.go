package retention_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot/retention"
)

// check is what holds of every plan.
func check(h history, d dice) error {
	for _, property := range []func(history, dice) error{
		complete, orderly, reasoned, settled, indifferent, generous, separate, asTheOracleSays,
	} {
		if err := property(h, d); err != nil {
			return err
		}
	}
	return nil
}

// complete: each backup that came in comes out once, unchanged, and the input
// stays as it was.
func complete(h history, _ dice) error {
	before := slices.Clone(h.backups)
	left := slices.Clone(h.backups)
	for _, d := range h.plan() {
		i := slices.Index(left, d.Backup)
		if i < 0 {
			return fmt.Errorf("complete: %s came from nowhere", describe(d))
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) != 0 {
		return fmt.Errorf("complete: %v is not decided about", left)
	}
	if !slices.Equal(before, h.backups) {
		return fmt.Errorf("complete: the input has changed")
	}
	return nil
}

// orderly: newest first, and by ID at equal times.
func orderly(h history, _ dice) error {
	plan := h.plan()
	for i := 1; i < len(plan); i++ {
		older, newer := plan[i], plan[i-1]
		if older.Started.After(newer.Started) || older.Started.Equal(newer.Started) && older.ID > newer.ID {
			return fmt.Errorf("orderly: %s comes after %s", describe(older), describe(newer))
		}
	}
	return nil
}

// reasoned: there is a reason, no empty one, and none twice.
func reasoned(h history, _ dice) error {
	for _, d := range h.plan() {
		reasons := slices.Compact(slices.Sorted(slices.Values(d.Reasons)))
		if len(reasons) == 0 || len(reasons) != len(d.Reasons) || reasons[0] == "" || !d.Keep && len(reasons) > 1 {
			return fmt.Errorf("reasoned: %s", describe(d))
		}
	}
	return nil
}

// settled: a plan that was carried out is followed by one that keeps the rest,
// for the same reasons.
func settled(h history, _ dice) error {
	kept := slices.DeleteFunc(h.plan(), func(d retention.Decision) bool { return !d.Keep })
	again := history{backupsOf(kept), h.policy, h.now}.plan()
	return same("settled", kept, again)
}

// indifferent: the order and the time zones of the input do not matter.
func indifferent(h history, d dice) error {
	shuffled := slices.Clone(h.backups)
	for i := range shuffled {
		j := d.IntN(i + 1)
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	}
	for i := range shuffled {
		if b := &shuffled[i]; !b.Started.IsZero() {
			b.Started = b.Started.In(zones[d.IntN(len(zones))])
		}
	}
	now := h.now.In(zones[d.IntN(len(zones))])
	return same("indifferent", h.plan(), history{shuffled, h.policy, now}.plan())
}

// generous: more to keep never keeps less.
func generous(h history, d dice) error {
	for i, raise := range []func(*retention.Policy, int){
		func(p *retention.Policy, n int) { p.Last += n },
		func(p *retention.Policy, n int) { p.Hourly += n },
		func(p *retention.Policy, n int) { p.Daily += n },
		func(p *retention.Policy, n int) { p.Weekly += n },
		func(p *retention.Policy, n int) { p.Monthly += n },
		func(p *retention.Policy, n int) { p.Yearly += n },
		func(p *retention.Policy, n int) { p.Within += time.Duration(n) * 25 * time.Hour },
	} {
		more := h
		raise(&more.policy, 1+d.IntN(3))
		before, after := h.plan(), more.plan()
		for j := range before {
			if before[j].Keep && !after[j].Keep {
				return fmt.Errorf("generous: raising number %d removed %s", i, describe(before[j]))
			}
		}
	}
	return nil
}

// separate: a lineage is planned as if there were no other.
func separate(h history, _ dice) error {
	plan := h.plan()
	for _, lineage := range []string{"l0", "l1"} {
		other := func(d retention.Decision) bool { return d.Lineage != lineage }
		with := slices.DeleteFunc(slices.Clone(plan), other)
		if err := same("separate", with, history{backupsOf(with), h.policy, h.now}.plan()); err != nil {
			return err
		}
	}
	return nil
}

func backupsOf(plan []retention.Decision) []retention.Backup {
	var backups []retention.Backup
	for _, d := range plan {
		backups = append(backups, d.Backup)
	}
	return backups
}

// same compares plans, whatever time zone their times are told in.
func same(property string, a, b []retention.Decision) error {
	if len(a) != len(b) {
		return fmt.Errorf("%s: %d decisions, and then %d", property, len(a), len(b))
	}
	for i := range a {
		x, y := a[i], b[i]
		x.Started, y.Started = x.Started.UTC(), y.Started.UTC()
		if !reflect.DeepEqual(x, y) {
			return fmt.Errorf("%s: %s, and then %s", property, describe(a[i]), describe(b[i]))
		}
	}
	return nil
}

// Entries of one id and time, each with one fact of its own, still have one
// order: whoever reads two plans can compare them line by line.
func TestEntriesThatAreListedTwiceHaveOneOrder(t *testing.T) {
	at := time.Unix(0, 0)
	h := history{policy: retention.Policy{Last: 1, Location: time.UTC}, now: at, backups: []retention.Backup{
		{ID: "a", Started: at}, {ID: "a", Started: at, Lineage: "l1"}, {ID: "a", Started: at, Emergency: true},
		{ID: "a", Started: at, Verified: retention.Passed}, {ID: "a", Started: at, Rehearsed: retention.Passed},
		{ID: "a", Started: at, Held: true}, {ID: "a", Started: at, Locked: "GOVERNANCE"},
	}}
	for seed := range uint64(100) {
		if err := indifferent(h, rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
	}
}
