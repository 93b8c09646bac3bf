package snapshot_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/retention"
	"github.com/etcdha/etcdha/storage"
)

// Clocks are wrong now and then. Nothing is lost by it, and nothing is taken for
// newer than it is.

// timed is a store with a clock of its own.
type timed struct {
	*memory
	now time.Time
}

func (s *timed) Now(context.Context) (time.Time, error) { return s.now, nil }

func TestAPrunerWhoseClockRunsAheadSweepsNothingYoung(t *testing.T) {
	store := &timed{memory: january(), now: today}
	store.upload(life, "20260130T000000Z-r8-0001", "db.zst", today.Add(-time.Hour)) // a save on its way
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	p := must1(c.PlanPrune(t.Context(), lastOne, today.AddDate(0, 0, 30)))
	if got := names(p.Leftovers); len(got) != 0 {
		t.Errorf("leftovers %q", got)
	}
}

func TestASaveThatIsSweptFails(t *testing.T) {
	s := newSaving(t, newSource(t, newKubernetes(t)), "store")
	target := newMemory()
	s.options.Catalogs = []*snapshot.Catalog{{Store: swept(target), Cluster: "prod"}}
	if err := s.mustFail("do it again"); kindOf(err) != nil {
		t.Errorf("%v is taken for %v", err, kindOf(err))
	}
	if backups, problems := list(t, &snapshot.Catalog{Store: target, Cluster: "prod"}); len(backups) != 0 || len(problems) != 0 {
		t.Errorf("listed: %q, %v", ids(backups), problems)
	}
}

// A report of a host whose clock ran ahead is not the newest for ever.
func TestALaterReportIsTheNewest(t *testing.T) {
	_, c, b := reported(t)
	ahead := proven
	ahead.Time = start.AddDate(1, 0, 0)
	must(c.AddReport(t.Context(), b, ahead))
	must(c.AddReport(t.Context(), b, snapshot.Report{Kind: snapshot.ReportVerification, Time: start, Checks: failed}))
	again, _ := list(t, c)
	if r, err := c.LatestReport(t.Context(), again[0], snapshot.ReportVerification); err != nil || r.Passed || !r.Time.Equal(start) {
		t.Errorf("latest %+v, error %v", r, err)
	}
}

func TestLatestIsNotWhatIsDatedInTheFuture(t *testing.T) {
	store := newMemory()
	store.commit(manifestAt("20260101T000000Z"), manifestAt("20360101T000000Z"))
	c := &snapshot.Catalog{Store: store, Cluster: "prod", Now: func() time.Time { return today }}
	if b, err := c.Resolve(t.Context(), snapshot.Latest, nil); !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), "20360101T000000Z-r8-beef, is dated in the future") {
		t.Errorf("latest: %v, error %v", b, err)
	}
	for _, ref := range []string{"20360101", "@2030-01-01T00:00:00Z"} {
		if _, err := c.Resolve(t.Context(), ref, nil); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// A member that differs says nothing of the backup.
func TestAMismatchOfALiveMemberIsNoFailureOfTheBackup(t *testing.T) {
	store := january()
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	backups, _ := list(t, c)
	differs := snapshot.Report{Kind: snapshot.ReportVerification, Time: start, Checks: append(snapshot.Checks{
		{Name: snapshot.RungLive, Verdict: snapshot.Mismatch, Detail: "m3 differs"}}, proven.Checks...)}
	must(c.AddReport(t.Context(), backups[0], differs))
	p := must1(c.PlanPrune(t.Context(), retention.Policy{Last: 1, Location: time.UTC}, today))
	oldest := p.Decisions[len(p.Decisions)-1]
	if !oldest.Keep || !strings.Contains(strings.Join(oldest.Reasons, ", "), "newest verified") {
		t.Errorf("%s: keep %t, %q", oldest.Backup.ID, oldest.Keep, oldest.Reasons)
	}
}

// Somebody may put an empty object where a release would be.
func TestAReleaseThatCannotBeReadEndsNoHold(t *testing.T) {
	store := january()
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	backups, _ := list(t, c)
	must(c.Hold(t.Context(), backups[0], snapshot.Hold{Time: start, Reason: "audit"}, strings.NewReader("ab")))
	for _, key := range store.keys() {
		if stem, ok := strings.CutSuffix(key, "-hold.json"); ok {
			store.objects[stem+"-release.json"] = nil
		}
	}
	p := plan(t, c)
	if oldest := p.Decisions[len(p.Decisions)-1]; !oldest.Keep {
		t.Errorf("%s: %q", oldest.Backup.ID, oldest.Reasons)
	}
}

// One object that cannot be had takes no other away.
func TestOneManifestThatIsForbiddenHidesNoOther(t *testing.T) {
	store := january()
	forbidden := keyOf(manifestAt("20260102T000000Z"), "manifest.json")
	c := &snapshot.Catalog{Cluster: "prod", Store: &faulty{Store: store, open: func(ctx context.Context, key string) (io.ReadCloser, error) {
		if key == forbidden {
			return nil, storage.ErrUnavailable
		}
		return store.Open(ctx, key)
	}}}
	backups, problems := list(t, c)
	if len(backups) != 3 || len(problems) != 1 || problems[0].ID != "20260102T000000Z-r8-beef" {
		t.Errorf("%q, problems %v", ids(backups), problems)
	}
}

// What stays is why another one can go.
func TestARemovalLooksAtWhatStays(t *testing.T) {
	for name, change := range map[string]func(c *snapshot.Catalog, newest *snapshot.Backup){
		"is gone": func(c *snapshot.Catalog, newest *snapshot.Backup) {
			must(c.Store.Delete(t.Context(), keyOf(newest.Manifest, "manifest.json")))
		},
		"is no longer proven": func(c *snapshot.Catalog, newest *snapshot.Backup) {
			must(c.AddReport(t.Context(), newest, snapshot.Report{Kind: snapshot.ReportVerification, Time: start.AddDate(0, 1, 0), Checks: failed}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := january()
			c := &snapshot.Catalog{Store: store, Cluster: "prod"}
			backups, _ := list(t, c)
			newest := backups[len(backups)-1]
			must(c.AddReport(t.Context(), newest, proven))
			p := plan(t, c)
			change(c, newest)
			if err := apply(t.Context(), p, p.Remove()[0]); !errors.Is(err, snapshot.ErrChanged) || !strings.HasSuffix(err.Error(), name) {
				t.Errorf("error %v", err)
			}
		})
	}
}
