package page_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

func at(t *testing.T, e *html.Node, name string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.TrimSuffix(attr(e, name), "%"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTimeline(t *testing.T) {
	c := statustest.Healthy("production")
	f := statustest.Fleet(c)
	for span, days := range map[string]int{"2d": 2, "2w": 14, "3m": 91} {
		lane := get(t, f, "/?range="+span).picture("s3: 43 backups")
		shown := 0
		for _, b := range c.Stores[0].Backups {
			if statustest.Now.Sub(b.Started) <= time.Duration(days)*24*time.Hour {
				shown++
			}
		}
		marks, last := slices.Collect(all(lane, element("use"))), -1.0
		for _, m := range marks {
			if x := at(t, m, "x"); x <= last || x > 100 {
				t.Errorf("%s: a mark at %f is not right of %f", span, x, last)
			} else {
				last = x
			}
		}
		if len(marks) != shown {
			t.Errorf("%s: %d marks of %d backups", span, len(marks), shown)
		}
		newest := marks[len(marks)-1]
		if attr(newest, "href") != "#r-stored" || text(newest) != "2026-07-31 14:02 UTC, stored, 1.2 GiB" {
			t.Errorf("%s: the newest is %q, %s", span, text(newest), attr(newest, "href"))
		}
	}
}

// The rungs have shapes, not only colours.
func TestEachRungHasItsShape(t *testing.T) {
	c := statustest.Healthy("production")
	b := c.Stores[0].Backups
	for i, r := range []status.Rung{status.Failed, status.Listed, status.Sampled, status.Verified, status.Rehearsed} {
		b[len(b)-5+i].Rung = r
	}
	lane := get(t, statustest.Fleet(c), "/?range=2d").picture("s3: ")
	var shapes []string
	for m := range all(lane, element("use")) {
		shapes = append(shapes, attr(m, "href"))
	}
	want := []string{"#r-damaged", "#r-stored", "#r-sampled", "#r-verified", "#r-rehearsed"}
	if got := shapes[len(shapes)-5:]; !slices.Equal(got, want) {
		t.Errorf("they are %q", got)
	}
}

func TestTheSpanFitsTheRhythm(t *testing.T) {
	hourly := statustest.Healthy("production")
	daily := statustest.Healthy("production")
	daily.Stores = daily.Stores[:1]
	daily.Stores[0].Backups = slices.DeleteFunc(daily.Stores[0].Backups, func(b status.Backup) bool { return b.Started.Hour() != 2 })
	for want, c := range map[string]status.Cluster{"2 days": hourly, "all": daily, "3 months": monthsOf(daily, 40)} {
		d := get(t, statustest.Fleet(c), "/")
		chosen := first(d.Node, func(e *html.Node) bool { return attr(e, "aria-current") == "true" })
		if text(chosen) != want {
			t.Errorf("chosen is %q, want %q", text(chosen), want)
		}
	}
	d := get(t, statustest.Fleet(hourly), "/?range=2w")
	if chosen := first(d.Node, func(e *html.Node) bool { return attr(e, "aria-current") == "true" }); text(chosen) != "2 weeks" {
		t.Errorf("asked for two weeks, chosen is %q", text(chosen))
	}
}

// monthsOf gives a cluster so many backups, one a day.
func monthsOf(c status.Cluster, days int) status.Cluster {
	var backups []status.Backup
	for i := range days {
		b := c.Stores[0].Backups[0]
		b.Started = statustest.Now.Add(-time.Duration(days-i) * 24 * time.Hour)
		b.ID = b.Started.String()
		backups = append(backups, b)
	}
	c.Stores = []status.Store{{Name: "s3", Read: statustest.Now, Backups: backups}}
	return c
}

func TestHolesAreSeen(t *testing.T) {
	for name, story := range map[string]struct {
		drop func(b []status.Backup) []status.Backup // of the oldest first
		want []string
	}{
		"none, although older ones are thinned out": {func(b []status.Backup) []status.Backup { return b }, nil},
		"one slot": {func(b []status.Backup) []status.Backup { return slices.Delete(b, len(b)-5, len(b)-4) },
			[]string{"no backup for 2 hours, from 2026-07-31 09:02 UTC to 2026-07-31 11:02"}},
		"two outages": {func(b []status.Backup) []status.Backup {
			return slices.Delete(slices.Delete(b, len(b)-6, len(b)-3), len(b)-14, len(b)-10)
		}, []string{"no backup for 5 hours, from 2026-07-31 00:02 UTC to 2026-07-31 05:02", "no backup for 4 hours, from 2026-07-31 08:02 UTC to 2026-07-31 12:02"}},
		"until now": {func(b []status.Backup) []status.Backup { return b[:len(b)-4] }, []string{"no backup for 4 hours, from 2026-07-31 10:02 UTC"}},
	} {
		c := statustest.Healthy("production")
		c.Stores = c.Stores[:1]
		c.Stores[0].Backups = story.drop(c.Stores[0].Backups)
		lane := get(t, statustest.Fleet(c), "/?range=all").picture("s3: ")
		var got []string
		for h := range all(lane, class("hole")) {
			got = append(got, text(h))
			if x, w := at(t, h, "x"), at(t, h, "width"); x < 0 || w <= 0 || x+w > 100.01 {
				t.Errorf("%s: a hole at %f of %f", name, x, w)
			}
		}
		if !slices.Equal(got, story.want) {
			t.Errorf("%s: %q, want %q", name, got, story.want)
		}
		if label := attr(lane, "aria-label"); len(got) > 0 && !strings.Contains(label, got[0]) {
			t.Errorf("%s: who cannot see it is told %q", name, label)
		}
	}
}

func TestEmergencyBackupsAreApart(t *testing.T) {
	d := get(t, statustest.Fleet(statustest.In("quorum lost", "production")), "/")
	apart := slices.Collect(all(d.picture("Emergency: "), element("use")))
	if len(apart) != 2 || attr(apart[0], "href") != "#r-emergency" || text(apart[1]) != "2026-07-31 14:12 UTC, stored, 1.2 GiB, in local" {
		t.Errorf("there are %d", len(apart))
	}
	if first(d.picture("s3: 43 backups"), class("emergency")) != nil {
		t.Error("one is among the ordinary ones")
	}
}

func TestBackupsAsATable(t *testing.T) {
	c := statustest.Healthy("production")
	c.Stores[1].Backups[29].Rung = status.Failed
	rows := get(t, statustest.Fleet(c), "/").table("All backups, the newest first")
	if len(rows) != 43 {
		t.Fatalf("there are %d rows", len(rows))
	}
	for i, want := range map[int]map[string]string{
		0:  {"Taken": "2026-07-31 14:02", "Proof": "damaged in local", "Stores": "s3, local", "db": "1.2 GiB", "Took": "9.0 s", "From": "m2"},
		12: {"Taken": "2026-07-31 02:02", "Proof": "rehearsed", "Stores": "s3, local"},
		42: {"Stores": "s3", "Revision": "43801000"},
	} {
		for column, text := range want {
			if rows[i][column] != text {
				t.Errorf("%s of row %d is %q, want %q", column, i, rows[i][column], text)
			}
		}
	}
}

func TestPlots(t *testing.T) {
	c := statustest.Healthy("production")
	d := get(t, statustest.Fleet(c), "/?range=2w")
	for name, scale := range map[string]string{"Size of the db: 1.2 GiB at last": "2.0 GiB 1.0 GiB 0", "Time a snapshot takes: 9.0 s at last": "20 s 10 s 0"} {
		p := d.picture(name)
		points := slices.Collect(all(p, element("circle")))
		if len(points) != 37 || len(strings.Fields(attr(first(p, element("polyline")), "points"))) != 37 {
			t.Errorf("%s: %d points", name, len(points))
		}
		for _, c := range points {
			if x, y := at(t, c, "cx"), at(t, c, "cy"); x < 0 || x > 100 || y < 0 || y > 100 {
				t.Errorf("%s: a point at %f, %f", name, x, y)
			}
		}
		if got := text(first(p.Parent, class("scale"))); got != scale {
			t.Errorf("%s: the axis has %q, want %q", name, got, scale)
		}
		var ticks []string
		for e := range all(first(p.Parent, class("ticks")), element("text")) {
			ticks = append(ticks, text(e))
		}
		if got := strings.Join(ticks, " "); got != "18 Jul 20 Jul 22 Jul 24 Jul 26 Jul 28 Jul 30 Jul" {
			t.Errorf("%s: the time axis has %q", name, got)
		}
	}
}

// A schedule that rests at night and over the weekend has wide gaps, which nobody has to look into. One
// that nobody planned is seen, also beside them.
func TestARestIsNoHole(t *testing.T) {
	slots, err := schedule.Parse("0 8-18 * * 1-5", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 7, 27, 10, 20, 0, 0, time.UTC) // a Monday
	var backups []status.Backup
	for at := slots.Next(now.Add(-14 * 24 * time.Hour)); at.Before(now); at = slots.Next(at) {
		backups = append(backups, status.Backup{ID: at.String(), Started: at.Add(2 * time.Minute), Finished: at.Add(3 * time.Minute), Rung: status.Listed})
	}
	lanes := func(backups []status.Backup) []string {
		c := statustest.Healthy("production")
		c.Job(config.Snapshot).Slots = slots
		c.Stores = []status.Store{{Name: "s3", Read: now, Backups: backups}}
		f := statustest.Fleet(c)
		f.Now = now
		var got []string
		for h := range all(get(t, f, "/?range=all").picture("s3: "), class("hole")) {
			got = append(got, text(h))
		}
		return got
	}
	if got := lanes(backups); got != nil {
		t.Errorf("holes: %q", got)
	}
	friday := len(backups) - 3 // three on Monday
	backups = slices.Delete(slices.Clone(backups), friday-2, friday)
	want := []string{"no backup for 2 days, from 2026-07-24 16:02 UTC to 2026-07-27 08:02"}
	if got := lanes(backups); !slices.Equal(got, want) {
		t.Errorf("Friday's last two are missing: %q, want %q", got, want)
	}
}

// A rehearsal that failed is the last one from when it was done, although its backup is older than others.
func TestTheLastRehearsalMayHaveFailed(t *testing.T) {
	c := statustest.Healthy("production")
	for i := range c.Stores {
		b := &c.Stores[i].Backups[0]
		b.Rung, b.RehearsalTime, b.Rehearsal = status.Failed, statustest.Now.Add(-3*time.Minute), statustest.Stages()[:3]
		b.Rehearsed, b.Rehearsal[2].Verdict = time.Time{}, "mismatch"
	}
	section := text(get(t, statustest.Fleet(c), "/").region("Last rehearsal"))
	if !strings.Contains(section, "failed") || !strings.Contains(section, "3 minutes ago") {
		t.Errorf("it is not the last one:\n%s", section)
	}
}
