package snapshot_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pemFile(t testing.TB, content []byte) string {
	name := filepath.Join(t.TempDir(), "key.pem")
	must(os.WriteFile(name, content, 0o600))
	return name
}

func TestKeysAreReadAsOpensslWritesThem(t *testing.T) {
	key := signKey(1)
	private := pemOf("PRIVATE KEY", must1(x509.MarshalPKCS8PrivateKey(key)))
	got, err := snapshot.ReadSignKey(pemFile(t, private))
	if err != nil || !got.Equal(key) {
		t.Errorf("private key: %v", err)
	}
	text := append([]byte("the key of the backup host\n"), pemOf("PUBLIC KEY", must1(x509.MarshalPKIXPublicKey(key.Public())))...)
	verify, err := snapshot.ReadVerifyKey(pemFile(t, text))
	if err != nil || !verify.Equal(key.Public()) {
		t.Errorf("public key: %v", err)
	}
}

// What is no such key is wrong usage. The file may hold a secret that was taken
// for another one: nothing of it is repeated.
func TestWrongKeysAreRefused(t *testing.T) {
	rsaKey := must1(rsa.GenerateKey(rand.Reader, 2048))
	pkcs8, pkix := must1(x509.MarshalPKCS8PrivateKey(signKey(1))), must1(x509.MarshalPKIXPublicKey(signKey(1).Public()))
	rsa8, rsaPublic := must1(x509.MarshalPKCS8PrivateKey(rsaKey)), must1(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	const secret = "c2VjcmV0IHRoYXQgbm9ib2R5IHNob3VsZCBzZWU"
	both := map[string][]byte{
		"empty":           nil,
		"garbage":         []byte(secret),
		"garbage in PEM":  []byte("-----BEGIN PRIVATE KEY-----\n" + secret + "=\n-----END PRIVATE KEY-----\n"),
		"cut off":         pemOf("PRIVATE KEY", pkcs8)[:60],
		"encrypted":       pemOf("ENCRYPTED PRIVATE KEY", pkcs8),
		"old RSA":         pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
		"RSA":             pemOf("PRIVATE KEY", rsa8),
		"RSA public":      pemOf("PUBLIC KEY", rsaPublic),
		"of OpenSSH":      pemOf("OPENSSH PRIVATE KEY", []byte(secret)),
		"mislabelled":     pemOf("PUBLIC KEY", pkcs8),
		"mislabelled too": pemOf("PRIVATE KEY", pkix),
		"an age identity": []byte("AGE-SECRET-KEY-1" + strings.ToUpper(secret)),
	}
	sign, verify := map[string][]byte{"the public one": pemOf("PUBLIC KEY", pkix)}, map[string][]byte{"the private one": pemOf("PRIVATE KEY", pkcs8)}
	for name, data := range both {
		sign[name], verify[name] = data, data
	}
	for name, data := range sign {
		key, err := snapshot.ReadSignKey(pemFile(t, data))
		wantNoKey(t, "sign with "+name, len(key), data, err)
	}
	for name, data := range verify {
		key, err := snapshot.ReadVerifyKey(pemFile(t, data))
		wantNoKey(t, "verify with "+name, len(key), data, err)
	}
	if _, err := snapshot.ReadSignKey(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "read key: ") {
		t.Errorf("absent: %v", err)
	}
}

func wantNoKey(t *testing.T, what string, length int, data []byte, err error) {
	t.Helper()
	if !errors.Is(err, fail.ErrUsage) || length != 0 || !strings.Contains(err.Error(), "key.pem is no ") {
		t.Errorf("%s: key of %d bytes, error %v", what, length, err)
		return
	}
	said := err.Error() + fail.Hint(err)
	if !strings.Contains(fail.Hint(err), "openssl genpkey -algorithm ed25519") {
		t.Errorf("%s: hint %q", what, fail.Hint(err))
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		for i := 0; i+12 <= len(line) && !strings.HasPrefix(line, "-----"); i++ {
			if strings.Contains(said, line[i:i+12]) {
				t.Fatalf("%s: the error repeats the file: %v", what, err)
			}
		}
	}
}

// The signature is over the manifest as it is stored, so that others can check it.
func TestASignatureIsThatOfTheStoredManifest(t *testing.T) {
	s := newSaving(t, newSource(t, newKubernetes(t)), "store")
	s.options.SignKey = signKey(1)
	b := s.mustSave().Stores[0].Backup
	manifest, signature := s.objectOf(b, "manifest.json"), s.objectOf(b, "manifest.sig")
	if len(signature) != ed25519.SignatureSize || !ed25519.Verify(public(signKey(1))[0], manifest, signature) {
		t.Errorf("signature of %d bytes does not fit", len(signature))
	}
}

func TestOnlyWhoHoldsAKeyCanWriteABackup(t *testing.T) {
	signed, unsigned := newVault(t, true), newVault(t, false)
	plain := inMemory(t, unsigned.store)
	good := inMemory(t, signed.store)
	first, second := signed.backups[0].Manifest, signed.backups[1].Manifest
	change := func(name string, data []byte) *memory {
		store := good.clone()
		store.objects[keyOf(first, name)] = data
		return store
	}
	forged := *first
	forged.Revision = 9
	tests := []struct {
		name  string
		store *memory
		keys  []ed25519.PublicKey
		text  string // "" if both are believed
	}{
		{"the key that signed", good, public(signKey(1)), ""},
		{"one of several", good, public(signKey(3), signKey(2), signKey(1)), ""},
		{"no key is asked for", good, nil, ""},
		{"no key is asked for, and none signed", plain, nil, ""},
		{"another key", good, public(signKey(2)), "manifest is signed by none of the 1 keys given"},
		{"other keys", good, public(signKey(2), signKey(3)), "manifest is signed by none of the 2 keys given"},
		{"unsigned", plain, public(signKey(1)), "manifest is not signed"},
		{"with an empty signature", change("manifest.sig", nil), public(signKey(1)), "signed by none"},
		{"with a signature too long", change("manifest.sig", make([]byte, 65)), public(signKey(1)), "signed by none"},
		{"with a signature too large to read", change("manifest.sig", make([]byte, 5<<20)), public(signKey(1)), "is too large"},
		{"with the signature of another manifest", change("manifest.sig", good.objects[keyOf(second, "manifest.sig")]), public(signKey(1)), "signed by none"},
		{"with a manifest that was rewritten, sum and all", change("manifest.json", record(&forged)), public(signKey(1)), "signed by none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &snapshot.Catalog{Store: test.store, Cluster: "prod", VerifyKeys: test.keys}
			backups, problems := list(t, c)
			if test.text == "" {
				if len(backups) != 2 || len(problems) != 0 {
					t.Errorf("%d backups, problems %v", len(backups), problems)
				}
				return
			}
			if len(problems) == 0 || len(backups)+len(problems) != 2 {
				t.Fatalf("%d backups, problems %v", len(backups), problems)
			}
			if err := problems[0].Err; !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("problem %v", err)
			}
		})
	}
}

// A store that cannot return a signature has not lost it.
func TestASignatureThatCannotBeReadIsNoMissingOne(t *testing.T) {
	v := newVault(t, true)
	c := v.catalog(brokenAt(v.store, "manifest.sig", errDown))
	backups, problems := list(t, c)
	if len(backups) != 0 || len(problems) != 2 || !errors.Is(problems[0].Err, errDown) || kindOf(problems[0].Err) != nil {
		t.Errorf("%d backups, problems %v", len(backups), problems)
	}
}
