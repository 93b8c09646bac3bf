package seal_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/etcdha/etcdha/storage/seal"
)

// A manifest names recipients by what their owners can compute.
func TestFingerprints(t *testing.T) {
	for kind, pair := range keyPairs(t) {
		named := []byte(pair.recipient)
		if pair.key != nil {
			var err error
			named, err = base64.StdEncoding.DecodeString(strings.Fields(pair.recipient)[1])
			must(t, err)
		}
		sum := sha256.Sum256(named)
		want := "SHA256:" + strings.TrimRight(base64.StdEncoding.EncodeToString(sum[:]), "=")
		r := recipients(t, pair.recipient, pair.recipient)
		if is := r.Fingerprints(); len(is) != 1 || is[0] != want {
			t.Errorf("%s: fingerprints of the same recipient twice are %q, want %q", kind, is, want)
		}
	}
}

func TestFilesOfRecipients(t *testing.T) {
	pairs := keyPairs(t)
	native, ed, rsaKey := pairs["native"].recipient, pairs["ssh-ed25519"].recipient, pairs["ssh-rsa"].recipient
	for name, c := range map[string]struct {
		content string
		n       int
	}{
		"one":                   {native, 1},
		"with comments":         {"# the offline key\n\n  \n" + native + "\n# and\n" + ed, 2},
		"from Windows":          {native + "\r\n" + strings.TrimSpace(ed) + "\r\n", 2},
		"an authorized_keys":    {`from="10.0.0.0/8",no-pty ` + strings.TrimSpace(ed) + " root@backup host\n" + rsaKey, 2},
		"the same key repeated": {native + "\n" + native, 1},
	} {
		r := new(seal.Recipients)
		if err := r.AddFile(keyFile(t, c.content)); err != nil || r.Len() != c.n {
			t.Errorf("%s: %d recipients, %v; want %d", name, r.Len(), err, c.n)
		}
	}
}

// Who cannot be encrypted to is told so, and is not left out silently. Nothing
// of what was given is repeated: it may be a secret key.
func TestRecipientsThatCannotBe(t *testing.T) {
	pairs := keyPairs(t)
	native, hybrid := pairs["native"].recipient, pairs["post-quantum"].recipient
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	for name, c := range map[string]struct{ recipient, want string }{
		"a passphrase":              {"hunter2 hunter2", "unknown or malformed"},
		"a changed character":       {native[:20] + "b" + native[21:len(native)-1] + "b", "malformed recipient"},
		"a part":                    {native[:30], "malformed recipient"},
		"a post-quantum part":       {hybrid[:300], "malformed post-quantum recipient"},
		"an ssh part":               {pairs["ssh-rsa"].recipient[:60], "unknown or malformed"},
		"a plugin's":                {"age1yubikey1qwertyuiopasdfghjkl", "plugins (age1yubikey1...) are not supported"},
		"a tagged one":              {"age1tag1qwertyuiopasdfghjkl", "plugins (age1tag1...) are not supported"},
		"an identity":               {pairs["native"].identity, "an identity, which is secret"},
		"a lower-case identity":     {strings.ToLower(pairs["native"].identity), "an identity, which is secret"},
		"a post-quantum identity":   {pairs["post-quantum"].identity, "an identity, which is secret"},
		"an ssh identity":           {pairs["ssh-ed25519"].identity, "an identity, which is secret"},
		"an ssh key of other kinds": {sshRecipient(t, curve.Public()), "ecdsa-sha2-nistp256"},
		"a short ssh key":           {sshRecipient(t, short.Public()), "too small"},
	} {
		r := new(seal.Recipients)
		for _, err := range []error{r.Add(c.recipient), r.AddFile(keyFile(t, "# a key\n"+c.recipient))} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v; want %q", name, err, c.want)
			} else if repeats(err, c.recipient) {
				t.Errorf("%s is repeated: %v", name, err)
			}
		}
		if r.Len() > 0 {
			t.Errorf("%s has been added", name)
		}
	}
}

// repeats tells whether an error has a long part of a key in it.
func repeats(err error, key string) bool {
	for i := 0; i+24 <= len(key); i++ {
		if strings.Contains(err.Error(), key[i:i+24]) {
			return true
		}
	}
	return false
}

// Two keys in one string are not taken for one.
func TestARecipientIsOneLine(t *testing.T) {
	pairs := keyPairs(t)
	for _, kind := range []string{"native", "ssh-rsa"} {
		r := new(seal.Recipients)
		if err := r.Add(pairs["ssh-ed25519"].recipient + pairs[kind].recipient); err == nil || r.Len() > 0 {
			t.Errorf("ssh-ed25519 and %s: %v, %d recipients", kind, err, r.Len())
		}
	}
}

func TestFilesOfRecipientsThatCannotBe(t *testing.T) {
	native := keyPairs(t)["native"].recipient
	for content, want := range map[string]string{
		"":                         "no recipients",
		"# later\n":                "no recipients",
		native + "\n\nage1x\n":     "line 3: malformed",
		strings.Repeat("#", 1<<20): "no file of keys",
	} {
		name := keyFile(t, content)
		if err := new(seal.Recipients).AddFile(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%.50q: %v; want %q, and the name of the file", content, err, want)
		}
	}
	if err := new(seal.Recipients).AddFile("/no/such/file"); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("no such file: %v", err)
	}
}

// An object is only as safe as the weakest of its recipients.
func TestPostQuantumRecipientsAreNotMixed(t *testing.T) {
	pairs := keyPairs(t)
	hybrid := pairs["post-quantum"].recipient
	for kind, pair := range pairs {
		if kind == "post-quantum" {
			continue
		}
		for _, order := range [][]string{{hybrid, pair.recipient}, {pair.recipient, hybrid}} {
			r := recipients(t, order[0])
			if err := r.Add(order[1]); err == nil || !strings.Contains(err.Error(), "cannot be mixed") || r.Len() != 1 {
				t.Errorf("%s and post-quantum: %v, %d recipients", kind, err, r.Len())
			}
		}
	}
	other, err := age.GenerateHybridIdentity()
	must(t, err)
	both := recipients(t, hybrid, other.Recipient().String())
	if plain, err := with(t, to(t, both), identities(t, other.String())); err != nil || plain != secretText {
		t.Errorf("two post-quantum recipients: %q, %v", plain, err)
	}
}

// What nobody could open must not be stored.
func TestRecipientsAreNotTooMany(t *testing.T) {
	r := recipients(t, largestRSA(t))
	var last *age.X25519Identity
	for {
		key, err := age.GenerateX25519Identity()
		must(t, err)
		if err := r.Add(key.Recipient().String()); err != nil {
			if r.Len() != 256 || !strings.Contains(err.Error(), "256") {
				t.Errorf("%d recipients, then: %v", r.Len(), err)
			}
			break
		}
		last = key
	}
	if plain, err := with(t, to(t, r), identities(t, last.String())); err != nil || plain != secretText {
		t.Errorf("the last of %d recipients reads %q, %v", r.Len(), plain, err)
	}
}
