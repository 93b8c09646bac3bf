package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot"
)

// upTo is a report's checks, from the bottom up to a rung.
func upTo(rung string, verdict snapshot.Verdict) snapshot.Checks {
	checks := snapshot.Checks{{Name: snapshot.RungStored, Verdict: snapshot.Match}}
	if rung != snapshot.RungStored {
		checks = append(checks, snapshot.Check{Name: snapshot.RungDigest, Verdict: snapshot.Match}, snapshot.Check{Name: rung, Verdict: snapshot.Match})
	}
	checks[len(checks)-1].Verdict = verdict
	return checks
}

// Verified is what the latest report says that saw the structure of the db.
func TestWhatCountsAsVerified(t *testing.T) {
	type report struct {
		kind   string
		checks snapshot.Checks
	}
	verified := report{snapshot.ReportVerification, upTo(snapshot.RungStructure, snapshot.Match)}
	stored := report{snapshot.ReportVerification, upTo(snapshot.RungStored, snapshot.Match)}
	damaged := report{snapshot.ReportVerification, upTo(snapshot.RungStored, snapshot.Mismatch)}
	broken := report{snapshot.ReportVerification, upTo(snapshot.RungStructure, snapshot.Mismatch)}
	rehearsed := report{snapshot.ReportRehearsal, upTo(snapshot.RungStructure, snapshot.Match)}
	tests := []struct {
		name    string
		reports []report
		reasons string // of the backup of the second day, which nothing else protects
	}{
		{"nothing was looked at", nil, ""},
		{"only the stored bytes", []report{stored}, ""},
		{"the structure", []report{verified}, "newest verified"},
		{"later the stored bytes only", []report{verified, stored}, "newest verified"},
		{"later the stored bytes, damaged", []report{verified, damaged}, "failed"},
		{"later the structure, broken", []report{verified, broken}, "failed"},
		{"damaged, and later well", []report{damaged, verified}, "newest verified"},
		{"damaged, and later the stored bytes well", []report{damaged, stored}, "failed"},
		{"rehearsed", []report{rehearsed}, "newest verified, newest rehearsed"},
		{"rehearsed, and later damaged", []report{rehearsed, damaged}, "newest rehearsed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &snapshot.Catalog{Store: january(), Cluster: "prod"}
			backups, _ := list(t, c)
			for i, r := range test.reports {
				must(c.AddReport(t.Context(), backups[1], snapshot.Report{Kind: r.kind, Time: start.Add(time.Duration(i) * time.Hour), Checks: r.checks}))
			}
			p := plan(t, c)
			reasons := strings.Join(p.Decisions[2].Reasons, ", ")
			switch {
			case p.Decisions[2].Backup.ID != backups[1].ID:
				t.Fatalf("decisions %+v", p.Decisions)
			case test.reasons == "" && p.Decisions[2].Keep, !strings.Contains(reasons, test.reasons):
				t.Errorf("kept %t: %s", p.Decisions[2].Keep, reasons)
			case test.reasons == "failed" && strings.Contains(reasons, "newest verified"):
				t.Errorf("it has failed: %s", reasons)
			}
		})
	}
}

// A stale survivor never takes the place of an ordinary backup.
func TestAnEmergencyBackupPushesNothingOut(t *testing.T) {
	store := january()
	emergency := manifestAt("20260105T000000Z")
	emergency.Kind = snapshot.KindEmergency
	store.commitWhole(emergency)
	p := plan(t, &snapshot.Catalog{Store: store, Cluster: "prod"})
	if days(p, true) != "05 04" || days(p, false) != "03 02 01" {
		t.Errorf("keeps %s, removes %s", days(p, true), days(p, false))
	}
}

// lockable is a store that locks some of its objects.
type lockable struct {
	*memory
	locks map[string]string
	err   error
}

func (l *lockable) Lock(_ context.Context, key string) (string, error) { return l.locks[key], l.err }

func TestLockedBackupsAreKept(t *testing.T) {
	for _, object := range []string{"db.zst", "manifest.json"} {
		store := &lockable{memory: january(), locks: map[string]string{keyOf(manifestAt("20260102T000000Z"), object): "COMPLIANCE until 2027"}}
		c := &snapshot.Catalog{Store: store, Cluster: "prod"}
		p := plan(t, c)
		if days(p, true) != "04 02" || !slices.Contains(p.Decisions[2].Reasons, "locked: COMPLIANCE until 2027") {
			t.Errorf("%s: plan %+v", object, p.Decisions)
		}
		store.err = errDown
		if _, err := c.PlanPrune(t.Context(), lastOne, today); !errors.Is(err, errDown) {
			t.Errorf("a lock that cannot be asked for: %v", err)
		}
	}
}

// The plan is looked at again before anything is removed.
func TestWhatChangedSinceThePlanStays(t *testing.T) {
	first := manifestAt("20260101T000000Z")
	for text, change := range map[string]func(*lockable, *snapshot.Catalog, *snapshot.Backup){
		"held": func(_ *lockable, c *snapshot.Catalog, b *snapshot.Backup) {
			must(c.Hold(t.Context(), b, snapshot.Hold{Time: start}, bytes.NewReader([]byte{1, 2})))
		},
		"locked, GOVERNANCE": func(l *lockable, _ *snapshot.Catalog, _ *snapshot.Backup) {
			l.locks = map[string]string{keyOf(first, "manifest.json"): "GOVERNANCE"}
		},
		"verified or rehearsed": func(_ *lockable, c *snapshot.Catalog, b *snapshot.Backup) {
			must(c.AddReport(t.Context(), b, proven))
		},
	} {
		t.Run(text, func(t *testing.T) {
			store := &lockable{memory: january()}
			c := &snapshot.Catalog{Store: store, Cluster: "prod"}
			p := plan(t, c)
			remove := p.Remove()
			backups, _ := list(t, c)
			change(store, c, backups[0])
			before := store.clone().objects
			err := apply(t.Context(), p, remove[2])
			if !errors.Is(err, snapshot.ErrChanged) || !strings.HasPrefix(err.Error(), "remove backup "+first.ID+": ") || !strings.HasSuffix(err.Error(), text) {
				t.Errorf("error %v", err)
			}
			if !reflect.DeepEqual(store.objects, before) {
				t.Errorf("left are %q", store.keys())
			}
			must(apply(t.Context(), p, remove[1])) // the others are as they were
		})
	}
}

// apply carries out one decision of a plan.
func apply(ctx context.Context, p *snapshot.PrunePlan, d snapshot.PruneDecision) error {
	one := *p
	one.Leftovers = nil
	one.Decisions = slices.DeleteFunc(slices.Clone(p.Decisions), func(other snapshot.PruneDecision) bool {
		return !other.Keep && other.Backup != d.Backup
	})
	return one.ApplyAll(ctx, snapshot.ApplyOptions{})
}
