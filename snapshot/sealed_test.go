package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
	"github.com/etcdha/etcdha/storage/storagetest"
)

func TestTheManifestSaysHowABackupIsSealed(t *testing.T) {
	key := newAgeKey(t)
	two := new(seal.Recipients)
	must(two.Add(key.recipient))
	must(two.Add(newAgeKey(t).recipient))
	tests := []struct {
		name        string
		options     seal.Options
		object      string
		compression seal.Compression
	}{
		{"by default", seal.Options{}, "db.zst", seal.Zstd},
		{"level 1", seal.Options{Level: 1}, "db.zst", seal.Zstd},
		{"level 19", seal.Options{Compression: seal.Zstd, Level: 19}, "db.zst", seal.Zstd},
		{"as it is", seal.Options{Compression: seal.None}, "db", seal.None},
		{"encrypted", seal.Options{Recipients: key.recipients}, "db.zst.age", seal.Zstd},
		{"encrypted for two", seal.Options{Recipients: two}, "db.zst.age", seal.Zstd},
		{"encrypted and not compressed", seal.Options{Compression: seal.None, Recipients: key.recipients}, "db.age", seal.None},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := newKubernetes(t)
			s := newSaving(t, newSource(t, e), "store")
			s.options.Seal = test.options
			saved := s.mustSave().Stores[0]
			s.catalog.Identities = key.identities
			backups, _ := list(t, s.catalog)
			b := backups[0]
			data := s.objectOf(b, test.object)
			if b.Compression != test.compression || b.Stored.Name != test.object || b.Stored.Sum != sumOf(data) || b.DB != sumOf(undigested(e.stream())) {
				t.Errorf("manifest %s", asJSON(b.Manifest))
			}
			if files := filesIn(s.storage); len(files) != 2 {
				t.Errorf("the store holds %q", files)
			}
			switch r := test.options.Recipients; {
			case r == nil && b.Encryption != nil:
				t.Errorf("encryption %+v", b.Encryption)
			case r != nil && (b.Encryption == nil || b.Encryption.Format != "age" || !slices.Equal(b.Encryption.Recipients, r.Fingerprints())):
				t.Errorf("encryption %+v, want that for %q", b.Encryption, r.Fingerprints())
			case r != nil && !strings.HasSuffix(saved.Check.Detail, "; encrypted"):
				t.Errorf("what cannot be opened was opened: %+v", saved.Check)
			case r == nil && saved.Check.Detail != "read back and opened to the same bytes":
				t.Errorf("check %+v", saved.Check)
			}
			if test.options.Format().Suffix() == "" && !bytes.Equal(data, e.stream()) {
				t.Error("what is stored as it is has changed")
			}
			wantFetched(t, s.catalog, b, e.stream())
		})
	}
}

func wantFetched(t testing.TB, c *snapshot.Catalog, b *snapshot.Backup, want []byte) {
	t.Helper()
	var plain bytes.Buffer
	if err := c.Fetch(t.Context(), b, &plain); err != nil || !bytes.Equal(plain.Bytes(), want) {
		t.Errorf("fetched are %d bytes of %d, error %v", plain.Len(), len(want), err)
	}
}

// Who asked for a sealing that cannot be had gets no other one, and no backup.
func TestASealingThatCannotBeHadIsRefusedAtOnce(t *testing.T) {
	for text, options := range map[string]seal.Options{
		"no recipient":                {Recipients: new(seal.Recipients)},
		"unknown compression":         {Compression: "gzip"},
		"compression level 23 is not": {Level: 23},
	} {
		member := newSource(t, newKubernetes(t))
		s := newSaving(t, member, "file and store")
		s.options.Seal = options
		if err := s.mustFail(text); !errors.Is(err, fail.ErrUsage) || member.snapshots.Load() != 0 {
			t.Errorf("error %v after %d streams", err, member.snapshots.Load())
		}
		s.wantUntouched()
		s.wantEmptyStore()
	}
}

// A host that has the identity proves more.
func TestWhoHoldsTheIdentityOpensWhatIsReadBack(t *testing.T) {
	key := newAgeKey(t)
	s := newSaving(t, newSource(t, newKubernetes(t)), "store")
	s.options.Seal.Recipients, s.catalog.Identities = key.recipients, key.identities
	if check := s.mustSave().Stores[0].Check; check.Detail != "read back and opened to the same bytes" {
		t.Errorf("check %+v", check)
	}
}

// counting counts how often objects of a name are opened.
func counting(store storage.Store, name string, n *int) *faulty {
	return &faulty{Store: store, open: func(ctx context.Context, key string) (io.ReadCloser, error) {
		if path.Base(key) == name {
			*n++
		}
		return store.Open(ctx, key)
	}}
}

func TestWithoutAnIdentityTheStoredBytesAreVerified(t *testing.T) {
	v := newVault(t, true)
	store := inMemory(t, v.store)
	key := keyOf(v.backups[0].Manifest, "db.zst.age")
	good := store.objects[key]
	for name, test := range map[string]struct {
		data    []byte
		verdict string
	}{
		"good":    {good, "match"},
		"flipped": {flipped(good, len(good)/2), "mismatch"},
		"cut off": {good[:len(good)-1], "mismatch"},
	} {
		store.objects[key] = test.data
		c := &snapshot.Catalog{Store: store, Cluster: "prod"}
		dir := t.TempDir()
		verification, spool, err := c.VerifyBackup(t.Context(), v.backups[0], dir, newClock().Now)
		if err != nil || spool != nil {
			t.Fatalf("%s: spool %v, error %v", name, spool, err)
		}
		wantChecks(t, verification.Checks, "reports match", "stored bytes "+test.verdict,
			"digest not-asked", "structure not-asked", "records not-asked")
		for _, check := range verification.Checks[2:] {
			if !strings.HasPrefix(check.Detail, "needs --identity FILE: encrypted to SHA256:") {
				t.Errorf("%s: %s says %q", name, check.Name, check.Detail)
			}
		}
		if err := verification.Checks.Err(); errors.Is(err, fail.ErrVerification) != (test.verdict == "mismatch") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// What kept it from looking is no verdict.
	c := &snapshot.Catalog{Store: brokenAt(store, "db.zst.age", errDown), Cluster: "prod"}
	if _, _, err := c.VerifyBackup(t.Context(), v.backups[0], "", newClock().Now); !errors.Is(err, errDown) || kindOf(err) != nil {
		t.Errorf("error %v", err)
	}
}

func TestWithoutTheRightIdentityNothingIsFetched(t *testing.T) {
	v := newVault(t, true)
	b := v.backups[0]
	opened := 0
	c := &snapshot.Catalog{Store: counting(v.store, "db.zst.age", &opened), Cluster: "prod"}
	for i, identities := range []*seal.Identities{nil, newAgeKey(t).identities} {
		name := []string{"none", "another"}[i]
		c.Identities = identities
		var plain bytes.Buffer
		err := c.Fetch(t.Context(), b, &plain)
		if !errors.Is(err, seal.ErrNoIdentity) || kindOf(err) != nil || plain.Len() != 0 || !strings.HasPrefix(err.Error(), "fetch backup "+b.ID+": ") {
			t.Errorf("%s: %d bytes, error %v", name, plain.Len(), err)
		}
		if hint := fail.Hint(err); hint != "--identity FILE names a private key of one of: "+b.Encryption.Recipients[0] {
			t.Errorf("%s: hint %q", name, hint)
		}
		if identities == nil && opened != 0 {
			t.Errorf("the data was opened %d times by who cannot read it", opened)
		}
	}
	verified, spool, err := c.VerifyBackup(t.Context(), b, "", newClock().Now)
	if err != nil || spool != nil {
		t.Fatalf("verified with another identity: spool %v, error %v", spool, err)
	}
	wantChecks(t, verified.Checks, "reports match", "stored bytes match", "digest not-asked", "structure not-asked", "records not-asked")
}

// A header whose key is damaged looks as if it were for somebody else. The sum
// of the stored bytes tells, whatever identity there is.
func TestADamagedHeaderIsNoMissingIdentity(t *testing.T) {
	v := newVault(t, true)
	store := inMemory(t, v.store)
	key := keyOf(v.backups[0].Manifest, "db.zst.age")
	good := store.objects[key]
	header := bytes.Index(good, []byte("\n---"))
	if header < 0 {
		t.Fatal("no age header")
	}
	for name, identities := range map[string]*seal.Identities{"the right one": v.identities, "another": newAgeKey(t).identities} {
		c := &snapshot.Catalog{Store: store, Cluster: "prod", Identities: identities}
		for at := range header + 60 {
			store.objects[key] = flipped(good, at)
			if err := c.Fetch(t.Context(), v.backups[0], io.Discard); !errors.Is(err, fail.ErrVerification) || errors.Is(err, seal.ErrNoIdentity) {
				t.Errorf("%s, byte %d of the header: error %v", name, at, err)
			}
		}
	}
}

// tapped keeps all that a store was ever given, whatever became of it.
type tapped struct {
	storage.Store
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *tapped) Put(ctx context.Context, key string, r io.Reader) error {
	return s.Store.Put(ctx, key, io.TeeReader(r, s))
}

func (s *tapped) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(p)
}

// holds tells whether any part of a secret has come out.
func (s *tapped) holds(secret string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; len(secret) >= 8; secret = secret[8:] {
		if bytes.Contains(s.seen.Bytes(), []byte(secret[:8])) {
			return true
		}
	}
	return false
}

// Where encryption was asked for, no plain byte reaches a store, whatever goes
// wrong there.
func TestPlainBytesNeverReachAStore(t *testing.T) {
	e := newEtcd(t)
	secret := fmt.Sprintf("%x", rand.NewPCG(1, 2).Uint64()) + strings.Repeat("tOpSeCrEt-vAlUe.", 8)
	e.put("/registry/secrets/default/token", secret)
	member, key := newSource(t, e), newAgeKey(t)
	save := func(t *testing.T, store *tapped, options seal.Options) error {
		s := newSaving(t, member, "store")
		s.options.Catalogs, s.options.SignKey, s.options.Seal = []*snapshot.Catalog{{Store: store, Cluster: "prod"}}, signKey(1), options
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := snapshot.Save(ctx, s.options)
		return err
	}
	everyOperation(t, func(t *testing.T, arrange func(storage.Store) *storagetest.Faulty) {
		store := &tapped{Store: arrange(newMemory())}
		_ = save(t, store, seal.Options{Compression: seal.None, Recipients: key.recipients}) // however it ends
		if store.holds(secret) {
			t.Error("plain bytes have come out")
		}
	})
	open := &tapped{Store: newMemory()}
	if err := save(t, open, seal.Options{Compression: seal.None}); err != nil || !open.holds(secret) {
		t.Errorf("the secret is not even found where it was not encrypted; error %v", err)
	}
}

// Names of keys and of their owners are nobody's business but theirs.
func TestTheManifestNamesRecipientsByTheirFingerprints(t *testing.T) {
	s := newSaving(t, newSource(t, newKubernetes(t)), "store")
	s.options.Seal.Recipients = new(seal.Recipients)
	public := must1(ssh.NewPublicKey(signKey(1).Public()))
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	must(s.options.Seal.Recipients.Add(line + " backup@example.com"))
	b := s.mustSave().Stores[0].Backup
	manifest := string(s.objectOf(b, "manifest.json"))
	if !strings.Contains(manifest, `"`+ssh.FingerprintSHA256(public)+`"`) || strings.Contains(manifest, "AAAAC3NzaC1lZDI1NTE5") || strings.Contains(manifest, "example.com") {
		t.Errorf("manifest %s", manifest)
	}
}
