package snapshot_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

// rehearsals records a rehearsal of each backup with the given id, in order:
// whether it passed.
func rehearsals(t testing.TB, c *snapshot.Catalog, id string, passed ...bool) {
	t.Helper()
	b := must1(c.Resolve(t.Context(), id, nil))
	at := b.Finished
	for _, ok := range passed {
		verdict := snapshot.Match
		if !ok {
			verdict = snapshot.Mismatch
		}
		at = at.Add(1e9)
		must(c.AddReport(t.Context(), b, snapshot.Report{
			Kind: snapshot.ReportRehearsal, Time: at,
			Checks: snapshot.Checks{{Name: "boot", Verdict: verdict}},
		}))
	}
}

// newWeek is a catalog with a backup a day.
func newWeek(t testing.TB) *snapshot.Catalog {
	store := newMemory()
	emergency := manifestAt("20260105T000000Z")
	emergency.Kind = snapshot.KindEmergency
	second := manifestAt("20260103T000000Z")
	second.ID = "20260103T000000Z-r8-cafe" // in the same second
	store.commit(manifestAt("20260101T000000Z"), manifestAt("20260102T000000Z"), manifestAt("20260103T000000Z"), second,
		manifestAt("20260104T000000Z"), emergency)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	rehearsals(t, c, "20260101", true)
	rehearsals(t, c, "20260102", false, true)
	rehearsals(t, c, "20260103T000000Z-r8-beef", true, false) // did not pass again
	rehearsals(t, c, "20260104", false)
	return c
}

func TestWaysToNameABackup(t *testing.T) {
	tests := []struct{ ref, want string }{
		{"20260102T000000Z-r8-beef", "20260102T000000Z-r8-beef"},
		{"20260102", "20260102T000000Z-r8-beef"},
		{"20260103T000000Z-r8-c", "20260103T000000Z-r8-cafe"},
		{"20260105", "20260105T000000Z-r8-beef"}, // an emergency backup has to be meant
		{"latest", "20260104T000000Z-r8-beef"},
		{"latest-rehearsed", "20260102T000000Z-r8-beef"},
		{"@2026-01-04T00:00:00Z", "20260104T000000Z-r8-beef"}, // at
		{"@2026-01-03T23:59:59Z", "20260103T000000Z-r8-cafe"}, // or before
		{"@2026-01-02T01:00:00+02:00", "20260101T000000Z-r8-beef"},
		{"@20260102T120000Z", "20260102T000000Z-r8-beef"},
		{"@2030-01-01T00:00:00Z", "20260104T000000Z-r8-beef"},
	}
	c := newWeek(t)
	for _, test := range tests {
		b, err := c.Resolve(t.Context(), test.ref, nil)
		if err != nil {
			t.Errorf("%s: %v", test.ref, err)
		} else if b.ID != test.want {
			t.Errorf("%s is %s, want %s", test.ref, b.ID, test.want)
		}
	}
}

func TestNamesThatDecideNothing(t *testing.T) {
	tests := []struct{ ref, text, hint string }{
		{"20260103", `"20260103" begins 2 ids: 20260103T000000Z-r8-beef, 20260103T000000Z-r8-cafe`, "give more of the id"},
		{"2026", `begins 6 ids: `, "give more of the id"},
		{"20270101", `no backup "20270101" of cluster prod in memory:`, "etcdha snapshot list"},
		{"@2025-12-31T23:59:59Z", `no backup "@2025-12-31T23:59:59Z"`, "etcdha snapshot list"},
		{"@yesterday", `"yesterday" is no time`, "for example @2026-11-20T23:52:11Z"},
		{"@", `"" is no time`, "for example"},
	}
	c := newWeek(t)
	for _, test := range tests {
		_, err := c.Resolve(t.Context(), test.ref, nil)
		if !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), test.text) || !strings.Contains(fail.Hint(err), test.hint) {
			t.Errorf("%s: error %v, hint %q", test.ref, err, fail.Hint(err))
		}
	}
}

// An older backup is not taken for the latest because the newest cannot be
// read. It can be had by its id or its time.
func TestAnUnreadableNewestIsNotSteppedOver(t *testing.T) {
	store := newMemory()
	store.commit(manifestAt("20260101T000000Z"), manifestAt("20260103T000000Z"))
	for _, at := range []string{"20260102T000000Z", "20260104T000000Z"} {
		store.objects[keyOf(manifestAt(at), "manifest.json")] = []byte("{")
	}
	store.objects["prod/"+life+"/snapshots/notes/manifest.json"] = []byte("no time in its name")
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	for _, ref := range []string{"latest", "@2026-01-05T00:00:00Z", "@2026-01-04T00:00:00Z", "@2026-01-02T00:00:00Z"} {
		newer := "20260104T000000Z-r8-beef"
		if ref == "@2026-01-02T00:00:00Z" {
			newer = "20260102T000000Z-r8-beef"
		}
		_, err := c.Resolve(t.Context(), ref, nil)
		if !errors.Is(err, fail.ErrVerification) || !strings.HasPrefix(err.Error(), "backup "+newer+" is the newest and cannot be read: ") {
			t.Errorf("%s: error %v", ref, err)
		}
		if !strings.Contains(fail.Hint(err), "id of an older backup") {
			t.Errorf("%s: hint %q", ref, fail.Hint(err))
		}
	}
	// Between the rehearsed backup and the readable ones there is one that may
	// have been rehearsed, too.
	rehearsals(t, c, "20260101", true)
	delete(store.objects, keyOf(manifestAt("20260104T000000Z"), "manifest.json"))
	if b, err := c.Resolve(t.Context(), "latest-rehearsed", nil); err == nil || !strings.Contains(err.Error(), "20260102T000000Z-r8-beef is the newest") {
		t.Errorf("latest-rehearsed: %v, error %v", b, err)
	}
	for ref, want := range map[string]string{
		"latest":                "20260103T000000Z-r8-beef",
		"@2026-01-03T12:00:00Z": "20260103T000000Z-r8-beef",
		"@2026-01-01T12:00:00Z": "20260101T000000Z-r8-beef",
		"20260103":              "20260103T000000Z-r8-beef",
	} {
		if b, err := c.Resolve(t.Context(), ref, nil); err != nil || b.ID != want {
			t.Errorf("%s: %v, error %v", ref, b, err)
		}
	}
}

// A store in which nothing can be read is no empty one.
func TestOnlyUnreadableBackups(t *testing.T) {
	store := newMemory()
	store.objects[keyOf(manifestAt("20260102T000000Z"), "manifest.json")] = sumAdded(`{"format":2`)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	for _, ref := range []string{"latest", "latest-rehearsed", "@2026-01-02T00:00:00Z"} {
		if b, err := c.Resolve(t.Context(), ref, nil); !errors.Is(err, snapshot.ErrNewerFormat) {
			t.Errorf("%s: %v, error %v", ref, b, err)
		}
	}
}

func TestLatestOfWhatIsNotThere(t *testing.T) {
	store := newMemory()
	emergency := manifestAt("20260105T000000Z")
	emergency.Kind = snapshot.KindEmergency
	store.commit(emergency)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	for _, ref := range []string{"latest", "latest-rehearsed", "@2030-01-01T00:00:00Z"} {
		if b, err := c.Resolve(t.Context(), ref, nil); !errors.Is(err, fail.ErrUsage) {
			t.Errorf("%s: %v, %v", ref, b, err)
		}
	}
}

// An exact id is what it says even where it begins another one.
func TestAnIDThatBeginsAnother(t *testing.T) {
	longer := manifestAt("20260102T000000Z")
	longer.ID += "0"
	store := newMemory()
	store.commit(manifestAt("20260102T000000Z"), longer)
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	b, err := c.Resolve(t.Context(), "20260102T000000Z-r8-beef", nil)
	if err != nil || b.ID != "20260102T000000Z-r8-beef" {
		t.Errorf("%v, %v", b, err)
	}
}
