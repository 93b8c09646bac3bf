package snapshot_test

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// ageKey is a recipient, and identities that open what is sealed to it.
type ageKey struct {
	recipient  string
	recipients *seal.Recipients
	identities *seal.Identities
}

func newAgeKey(t testing.TB) ageKey {
	identity := must1(age.GenerateX25519Identity())
	k := ageKey{identity.Recipient().String(), new(seal.Recipients), new(seal.Identities)}
	must(k.recipients.Add(k.recipient))
	name := filepath.Join(t.TempDir(), "identity")
	must(os.WriteFile(name, []byte(identity.String()+"\n"), 0o600))
	must(k.identities.AddFile(name, nil))
	return k
}

// signKey is the same for the same number.
func signKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func public(keys ...ed25519.PrivateKey) []ed25519.PublicKey {
	var all []ed25519.PublicKey
	for _, key := range keys {
		all = append(all, key.Public().(ed25519.PublicKey))
	}
	return all
}

// vault is a store with two backups of a small cluster, a day apart. Each has
// a report of each kind and a hold, under the same names.
type vault struct {
	store   storage.Store
	backups []*snapshot.Backup // as they were listed
	all     older

	verifyKeys []ed25519.PublicKey
	identities *seal.Identities
}

// newVault saves in a directory, signed and encrypted or neither.
func newVault(t testing.TB, sealed bool) *vault {
	v := &vault{store: dirStore(t, t.TempDir()), all: make(older)}
	e := newEtcd(t)
	options := seal.Options{}
	var sign ed25519.PrivateKey
	if sealed {
		key := newAgeKey(t)
		sign, options.Recipients = signKey(1), key.recipients
		v.verifyKeys, v.identities = public(sign), key.identities
	}
	at := newClock()
	for _, value := range []string{"one", "two"} {
		e.put("/registry/pods/default/web", value)
		s := newSaving(t, newSource(t, e), "store")
		s.options.Catalogs, s.options.Now = []*snapshot.Catalog{v.catalog(v.store)}, at.Now
		s.options.Seal, s.options.SignKey = options, sign
		b := s.mustSave().Stores[0].Backup
		v.all[b.ID] = e.stream()
		v.addRecords(t, b)
		at.now = at.now.AddDate(0, 0, 1)
	}
	v.backups, _ = list(t, v.catalog(v.store))
	return v
}

func (v *vault) addRecords(t testing.TB, b *snapshot.Backup) {
	c := v.catalog(v.store)
	rehearsed := proven
	rehearsed.Kind = snapshot.ReportRehearsal
	must(c.AddReport(t.Context(), b, proven))
	must(c.AddReport(t.Context(), b, rehearsed))
	must(c.Hold(t.Context(), b, snapshot.Hold{Time: start, Reason: "audit"}, bytes.NewReader([]byte{1, 2})))
}

// catalog reads a store with all the keys that there are.
func (v *vault) catalog(store storage.Store) *snapshot.Catalog {
	return &snapshot.Catalog{Store: store, Cluster: "prod", VerifyKeys: v.verifyKeys, Identities: v.identities}
}

// names are those of the objects of each backup, the data first.
func (v *vault) names() []string {
	names := []string{v.backups[0].Stored.Name, "manifest.json"}
	if v.verifyKeys != nil {
		names = append(names, "manifest.sig")
	}
	return append(names, "holds/20261120T235211Z-0102-hold.json",
		"reports/20261120T235211Z-rehearsal.json", "reports/20261120T235211Z-verification.json")
}

func isRecord(name string) bool { return path.Dir(name) != "." }

// inMemory copies all objects of a store.
func inMemory(t testing.TB, store storage.Store) *memory {
	m := newMemory()
	for o, err := range store.List(t.Context(), "") {
		must(err)
		m.objects[o.Key] = content(t, store, o.Key)
	}
	return m
}

func content(t testing.TB, store storage.Store, key string) []byte {
	r := must1(store.Open(t.Context(), key))
	defer r.Close()
	return must1(io.ReadAll(r))
}

// clone shares the contents, which are replaced and never changed.
func (m *memory) clone() *memory { return &memory{objects: maps.Clone(m.objects)} }

// later is a clock that stands still, days after the start.
func later(days int) time.Time { return start.AddDate(0, 0, days) }
