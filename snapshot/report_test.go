package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

var (
	passed = snapshot.Checks{{Name: "digest", Verdict: snapshot.Match, Detail: "equal", Seconds: 1.5}, {Name: snapshot.RungStructure, Verdict: snapshot.Match}}
	failed = snapshot.Checks{{Name: "digest", Verdict: snapshot.Mismatch, Detail: "not equal"}}
)

// reported is a catalog with one backup.
func reported(t testing.TB) (*memory, *snapshot.Catalog, *snapshot.Backup) {
	store := newMemory()
	store.commit(manifestAt("20260102T000000Z"))
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	backups, _ := list(t, c)
	return store, c, backups[0]
}

func (m *memory) reports() []string {
	var names []string
	for _, key := range m.keys() {
		if path.Base(path.Dir(key)) == "reports" {
			names = append(names, path.Base(key))
		}
	}
	return names
}

func TestAReportIsReadBackAsItWasWritten(t *testing.T) {
	store, c, b := reported(t)
	want := snapshot.Report{Kind: snapshot.ReportVerification, Time: start.UTC(), Checks: passed, Etcdha: "v1.2.3"}
	must(c.AddReport(t.Context(), b, want))
	want.Format, want.Passed, want.Backup, want.Name = 1, true, b.ID, "reports/20261120T235211Z-verification.json"

	again, _ := list(t, c)
	for name, backup := range map[string]*snapshot.Backup{"the same": b, "as listed anew": again[0]} {
		got, err := c.LatestReport(t.Context(), backup, snapshot.ReportVerification)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, error %v", name, got, err)
		}
		if none, err := c.LatestReport(t.Context(), backup, snapshot.ReportRehearsal); none != nil || err != nil {
			t.Errorf("%s: a rehearsal that never was: %+v, error %v", name, none, err)
		}
	}
	if got := store.reports(); !slices.Equal(got, []string{"20261120T235211Z-verification.json"}) {
		t.Errorf("reports %q", got)
	}
}

func TestTheLatestReportOfAKindCounts(t *testing.T) {
	_, c, b := reported(t)
	for i, r := range []snapshot.Report{
		{Kind: snapshot.ReportRehearsal, Checks: failed},
		{Kind: snapshot.ReportVerification, Checks: failed},
		{Kind: snapshot.ReportRehearsal, Checks: passed},
		{Kind: snapshot.ReportVerification, Checks: passed},
		{Kind: snapshot.ReportVerification, Checks: failed},
	} {
		r.Time = start.Add(time.Duration(i) * time.Hour)
		must(c.AddReport(t.Context(), b, r))
	}
	again, _ := list(t, c)
	for kind, want := range map[string]bool{snapshot.ReportRehearsal: true, snapshot.ReportVerification: false} {
		r, err := c.LatestReport(t.Context(), again[0], kind)
		if err != nil || r.Passed != want {
			t.Errorf("%s: %+v, error %v", kind, r, err)
		}
	}
}

// Reports are write-once, so that of several in one second each keeps its own.
func TestReportsAreNeverOverwritten(t *testing.T) {
	store, c, b := reported(t)
	for _, checks := range []snapshot.Checks{failed, passed, failed} {
		must(c.AddReport(t.Context(), b, snapshot.Report{Kind: snapshot.ReportRehearsal, Time: start, Checks: checks}))
	}
	want := []string{"20261120T235211Z-rehearsal.json", "20261120T235212Z-rehearsal.json", "20261120T235213Z-rehearsal.json"}
	if got := store.reports(); !slices.Equal(got, want) {
		t.Fatalf("reports %q", got)
	}
	for i, passed := range []string{`"passed": false`, `"passed": true`, `"passed": false`} {
		data := store.objects[keyOf(b.Manifest, "reports/"+want[i])]
		if !bytes.Contains(data, []byte(passed)) || !bytes.Contains(data, []byte(`"time": "2026-11-20T23:52:11Z"`)) {
			t.Errorf("%s: %s", want[i], data)
		}
	}
}

func TestAReportThatCannotBeKeptIsAnError(t *testing.T) {
	store, c, b := reported(t)
	c.Store = &faulty{Store: store, put: func(context.Context, string, io.Reader) error { return errDown }}
	err := c.AddReport(t.Context(), b, snapshot.Report{Kind: snapshot.ReportRehearsal, Time: start, Checks: passed})
	if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "record rehearsal of backup 20260102T000000Z-r8-beef") {
		t.Errorf("error %v", err)
	}
	if r, err := c.LatestReport(t.Context(), b, snapshot.ReportRehearsal); r != nil || err != nil {
		t.Errorf("%+v, error %v", r, err)
	}
}

// A report that cannot be read is not passed over: the one before it may say
// the opposite.
func TestAnUnreadableReportIsAnError(t *testing.T) {
	for name, data := range map[string][]byte{"no sum": []byte(`{"format":1,"passed":true}`), "no JSON": sumAdded("["), "of another backup": sumAdded(`{"format":1,"backup":"20260101T000000Z-r8-beef","passed":true`)} {
		t.Run(name, func(t *testing.T) {
			store, c, b := reported(t)
			must(c.AddReport(t.Context(), b, snapshot.Report{Kind: snapshot.ReportRehearsal, Time: start, Checks: passed}))
			store.objects[keyOf(b.Manifest, "reports/20991231T000000Z-rehearsal.json")] = data
			again, _ := list(t, c)
			if _, err := c.LatestReport(t.Context(), again[0], snapshot.ReportRehearsal); !errors.Is(err, fail.ErrVerification) {
				t.Errorf("error %v", err)
			}
			if _, err := c.Resolve(t.Context(), snapshot.LatestRehearsed, nil); !errors.Is(err, fail.ErrVerification) {
				t.Errorf("latest-rehearsed: error %v", err)
			}
		})
	}
}
