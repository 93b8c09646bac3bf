package jobs

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

func runOf(job config.JobName, slot time.Time, mayAct func() error) cronjobs.Run {
	return cronjobs.Run{Job: job, Slot: slot, Attempt: 1, MayAct: mayAct}
}

// A backup of a node whose clock was ahead is that of no slot.
func TestABackupDatedInTheFutureIsOfNoSlot(t *testing.T) {
	w := newWorld(t, 1, "local")
	w.ahead = 24 * time.Hour
	w.save(1)
	w.ahead = 0
	slot := w.slot()
	w.mustDo(config.Snapshot, slot)
	if ids := w.ids("local"); len(ids) != 2 {
		t.Errorf("backups %q", ids)
	}
	w.mustDo(config.Snapshot, slot)
	if ids := w.ids("local"); len(ids) != 2 {
		t.Errorf("one more for the same slot: %q", ids)
	}
}

// Nor does a record of the future hide those of now.
func TestARecordDatedInTheFuture(t *testing.T) {
	w := newStoresWorld(t, "s3", "local")
	worker := w.worker()
	now := w.now().Truncate(time.Hour).UTC()
	w.must(worker.Add(t.Context(), recordOf(config.Verify, now)))
	w.must(worker.Add(t.Context(), recordOf(config.Verify, now.AddDate(0, 0, 1))))
	if r, err := worker.Last(t.Context(), config.Verify); err != nil || !r.Slot.Equal(now) {
		t.Errorf("%+v, %v", r, err)
	}
}

// A store that was away when a record was kept gets it, so that it knows the slot alone.
func TestAStoreThatMissedARecordGetsIt(t *testing.T) {
	w := newStoresWorld(t, "s3", "local")
	w.ahead = time.Until(aSlot.Add(time.Hour))
	back := w.away("local")
	w.must(w.worker().Add(t.Context(), recordOf(config.Verify, aSlot)))
	back()
	want, err := w.worker().Last(t.Context(), config.Verify)
	w.must(err)
	w.away("s3")
	if r, err := w.worker().Last(t.Context(), config.Verify); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v; want %+v", r, err, want)
	}
}

// Reports of a clock that was ahead prove nothing for the slots of now.
func TestReportsDatedInTheFuture(t *testing.T) {
	w := newWorld(t, 1, "local")
	id := w.save(1)[0]
	for _, kind := range []string{snapshot.ReportRehearsal, snapshot.ReportVerification} {
		w.must(w.vault("local").AddReport(t.Context(), w.backups("local")[0], snapshot.Report{
			Kind: kind, Time: w.now().AddDate(0, 0, 1), Checks: snapshot.Checks{{Name: snapshot.RungStructure, Verdict: snapshot.Match}},
		}))
	}
	slot := w.slot()
	for range 2 { // the second has nothing to do
		w.mustDo(config.VerifySample, slot)
		w.mustDo(config.Rehearse, slot)
	}
	if got, want := w.reports("local", id), []string{"rehearsal.json", "verification.json", "rehearsal.json", "verification.json"}; !reflect.DeepEqual(got, want) {
		t.Errorf("reports %q, want %q", got, want)
	}
	w.mustDo(config.Verify, slot)
	w.mustDo(config.Verify, slot)
	if n := len(w.reports("local", id)); n != 4 { // the rehearsal has climbed the ladder
		t.Errorf("%d reports", n)
	}
}

// An older backup that somebody rehearses by hand is not the rehearsal of the slot.
func TestAnOlderBackupRehearsedByHand(t *testing.T) {
	w := newWorld(t, 1, "local")
	ids := w.save(2)
	slot := w.slot()
	worker, v := w.worker(), w.vault("local")
	w.must(worker.restore(t.Context(), v, w.backups("local")[0]))
	if summary := w.mustDo(config.Rehearse, slot); !strings.HasPrefix(summary, "local: "+ids[1]+" restored and compared in ") {
		t.Errorf("summary %q", summary)
	}
}

// A plain backup that somebody makes by hand goes to no store where everything is sealed.
func TestABackupMadeByHandIsNotCopied(t *testing.T) {
	w := newWorld(t, 1, "s3", "local")
	both := w.config.Stores
	slot := w.slot()
	w.config.Stores = both[1:]
	w.mustDo(config.Snapshot, slot)
	plain := w.ids("local")[0]

	key, err := age.GenerateX25519Identity()
	w.must(err)
	w.config.Stores = both
	w.config.Encryption = config.Encryption{Recipients: []string{key.Recipient().String()}, SignKeyFile: w.signKeys()[0]}
	if r, err := w.worker().Last(t.Context(), config.Snapshot); r != nil || err != nil {
		t.Errorf("it counts as a run: %+v, %v", r, err)
	}
	w.mustDo(config.Snapshot, slot)
	for _, b := range w.backups("s3") {
		if b.ID == plain || b.Encryption == nil {
			t.Errorf("in s3: %s, encryption %+v", b.ID, b.Encryption)
		}
	}
	w.mustDo(config.Snapshot, slot)
	if a, b := w.ids("s3"), w.ids("local"); len(a) != 1 || len(b) != 2 {
		t.Errorf("in s3 %q, in local %q", a, b)
	}
	summary := w.mustDo(config.Verify, w.slot())
	if !strings.Contains(summary, "0 sound, 1 as they were stored and not opened, since no identity fits") ||
		!strings.Contains(summary, "1 sound, 1 as they were stored and not opened") {
		t.Errorf("without an identity: %q", summary)
	}
}

// signKeys makes a key pair: the file of the private key, and of the public one.
func (w *world) signKeys() [2]string {
	w.Helper()
	public, private, err := ed25519.GenerateKey(rand.NewChaCha8([32]byte{byte(len(w.log.String()))}))
	w.must(err)
	dir := w.TempDir()
	names := [2]string{filepath.Join(dir, "sign.pem"), filepath.Join(dir, "verify.pem")}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	w.must(err)
	w.must(os.WriteFile(names[0], pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	der, err = x509.MarshalPKIXPublicKey(public)
	w.must(err)
	w.must(os.WriteFile(names[1], pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	return names
}

// Keys with which the daemon would not read what it saves are refused.
func TestKeysThatDoNotFit(t *testing.T) {
	w := newStoresWorld(t)
	own := w.signKeys()
	w.log.WriteString("another seed")
	other := w.signKeys()
	for name, c := range map[string]struct {
		encryption config.Encryption
		refused    string
	}{
		"both":              {config.Encryption{SignKeyFile: own[0], VerifyKeyFiles: []string{other[1], own[1]}}, ""},
		"only signs":        {config.Encryption{SignKeyFile: own[0]}, ""},
		"of another":        {config.Encryption{SignKeyFile: own[0], VerifyKeyFiles: []string{other[1]}}, "none of verifyKeyFiles is the public key of signKeyFile"},
		"nothing is signed": {config.Encryption{VerifyKeyFiles: []string{own[1]}}, "verifyKeyFiles without a signKeyFile"},
	} {
		_, err := New(config.Cluster{Name: "c", Encryption: c.encryption}, w.worker().Options)
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.refused != "" && (!errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), c.refused) || fail.Hint(err) == ""):
			t.Errorf("%s: %v", name, err)
		}
	}
}
