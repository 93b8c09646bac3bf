package snapshot_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

// Every record says in its last member what its bytes before that are. Two
// commands that every host has tell whether it is still as it was written.
func TestARecordCarriesItsOwnSum(t *testing.T) {
	v := newVault(t, true)
	file := filepath.Join(t.TempDir(), "record.json")
	for _, name := range v.names() {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		data := content(t, v.store, keyOf(v.backups[0].Manifest, name))
		must(os.WriteFile(file, data, 0o600))
		out := must1(exec.CommandContext(t.Context(), "sh", "-c", `head -c -83 "$0" | sha256sum`, file).Output())
		var record struct{ SHA256 string }
		if err := json.Unmarshal(data, &record); err != nil || record.SHA256 == "" || !strings.HasPrefix(string(out), record.SHA256+" ") {
			t.Errorf("%s says %q, sha256sum says %q; %v", name, record.SHA256, out, err)
		}
		if lines := strings.Split(string(data), "\n"); len(lines) < 8 || lines[0] != "{" || !strings.HasPrefix(lines[1], `  "`) {
			t.Errorf("%s is no text for a person: %.100q", name, data)
		}
	}
}

// A field that a later version adds does not keep this one from reading.
func TestFieldsMayBeAdded(t *testing.T) {
	store := newMemory()
	m := manifestAt("20260102T000000Z")
	body := strings.TrimSuffix(string(must1(json.MarshalIndent(m, "", "  "))), "\n}")
	store.objects[keyOf(m, "manifest.json")] = sumAdded(body + ",\n  \"colour\": \"red\"")
	backups, problems := list(t, &snapshot.Catalog{Store: store, Cluster: "prod"})
	if len(backups) != 1 || len(problems) != 0 || backups[0].Revision != 8 {
		t.Errorf("%d backups, problems %v", len(backups), problems)
	}
}

// A record under another name would change what is the newest of its kind, or
// make a hold out of a release.
func TestARecordHoldsOnlyUnderItsOwnName(t *testing.T) {
	v := newVault(t, false)
	m := v.backups[0].Manifest
	for _, test := range []struct{ from, to string }{
		{"reports/20261120T235211Z-rehearsal.json", "reports/20991231T000000Z-rehearsal.json"},
		{"reports/20261120T235211Z-rehearsal.json", "reports/20261121T000000Z-verification.json"},
		{"holds/20261120T235211Z-0102-hold.json", "holds/20261120T235211Z-0102-release.json"},
		{"holds/20261120T235211Z-0102-hold.json", "reports/20261121T000000Z-verification.json"},
		{"reports/20261120T235211Z-rehearsal.json", "holds/20261121T000000Z-0102-hold.json"},
	} {
		t.Run(test.from+" as "+test.to, func(t *testing.T) {
			store := inMemory(t, v.store)
			store.objects[keyOf(m, test.to)] = store.objects[keyOf(m, test.from)]
			c := v.catalog(store)
			backups, _ := list(t, c)
			verification, spool, err := c.VerifyBackup(t.Context(), backups[0], "", newClock().Now)
			must(err)
			defer spool.Close()
			err = verification.Checks.Err()
			if !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), keyOf(m, test.to)+` is record "`+test.from+`" of backup "`+m.ID+`"`) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// liar says that it has kept what it has thrown away, or changed.
func liar(store *memory, change func([]byte) []byte) *faulty {
	return changing(store, func(string) bool { return true }, change)
}

// Nobody is told that a hold or a report is there while it is not.
func TestARecordIsReadBack(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"throws it away": nil,
		"flips a bit":    func(data []byte) []byte { return flipped(data, 100) },
		"cuts it off":    func(data []byte) []byte { return data[:100] },
	} {
		t.Run(name, func(t *testing.T) {
			store, c, b := reported(t)
			c.Store = liar(store, change)
			if err := c.Hold(t.Context(), b, snapshot.Hold{Time: start}, bytes.NewReader([]byte{1, 2})); err == nil || b.Held() {
				t.Errorf("hold: held %t, error %v", b.Held(), err)
			}
			if err := c.AddReport(t.Context(), b, proven); err == nil {
				t.Error("the report is taken for kept")
			}
		})
	}
}

// A caller who gives up while manifests are read is not told of fewer backups.
func TestAListingThatIsGivenUpIsNoShorterOne(t *testing.T) {
	store := newMemory()
	for day := range 20 {
		store.commit(manifestAt(start.AddDate(0, 0, day).UTC().Format(idTime)))
	}
	for nth := 1; nth <= 20; nth++ {
		ctx, opened := newCountdown(t, nth)
		c := &snapshot.Catalog{Store: &faulty{Store: store, open: opened(store)}, Cluster: "prod"}
		if backups, _, err := c.List(ctx); err == nil && len(backups) != 20 {
			t.Errorf("given up at manifest %d: %d backups and no error", nth, len(backups))
		}
	}
}

// Hours and zones of a record are UTC, whatever the clock's zone.
func TestRecordsAreInUTC(t *testing.T) {
	store, c, b := reported(t)
	must(c.Hold(t.Context(), b, snapshot.Hold{Time: start.Add(time.Nanosecond), Reason: "<audit> & more"}, bytes.NewReader([]byte{1, 2})))
	data := store.objects[keyOf(b.Manifest, "holds/20261120T235211Z-0102-hold.json")]
	var h snapshot.Hold
	must(json.Unmarshal(data, &h))
	if h.Time.Format(time.RFC3339Nano) != "2026-11-20T23:52:11.000000001Z" || h.Backup != b.ID || h.Reason != "<audit> & more" || h.Format != 1 {
		t.Errorf("%+v", h)
	}
}
