package seal_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/etcdha/etcdha/storage/seal"
)

func wantNoIdentity(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrNoIdentity) || errors.Is(err, seal.ErrDamaged) || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("error %v; want %v", err, seal.ErrNoIdentity)
	}
}

// The host that takes backups has no identity. It can still tell that the
// stored bytes are whole.
func TestWithoutAnIdentity(t *testing.T) {
	pairs := keyPairs(t)
	stored := to(t, recipients(t, pairs["native"].recipient))
	for _, ids := range []*seal.Identities{nil, {}, identities(t, pairs["ssh-rsa"].identity+"\n"), identities(t, pairs["post-quantum"].identity)} {
		o, err := seal.Open(strings.NewReader(string(stored)), seal.Format{Compression: seal.Zstd, Encrypted: true}, ids)
		must(t, err)
		defer o.Close()
		for range 2 {
			n, err := io.Copy(io.Discard, o)
			if n > 0 {
				t.Errorf("%d bytes have been read", n)
			}
			wantNoIdentity(t, err)
		}
		if is, err := o.Sum(); err != nil || is != sumOf(stored) {
			t.Errorf("sum is %+v, %v; want %+v", is, err, sumOf(stored))
		}
	}
}

func TestFilesOfIdentities(t *testing.T) {
	pairs := keyPairs(t)
	native, hybrid := pairs["native"], pairs["post-quantum"]
	for name, content := range map[string]string{
		"one":                native.identity,
		"as age-keygen does": "# created: 2026-11-20T00:00:00Z\n# public key: " + native.recipient + "\n" + native.identity,
		"several":            hybrid.identity + "\n" + native.identity,
		"from Windows":       strings.ReplaceAll("# mine\n"+native.identity, "\n", "\r\n"),
	} {
		if plain, err := with(t, to(t, recipients(t, native.recipient)), identities(t, content)); err != nil || plain != secretText {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	ids := identities(t, pairs["ssh-ed25519"].identity)
	must(t, ids.AddFile(keyFile(t, native.identity), nil))
	if ids.Len() != 2 {
		t.Errorf("%d identities of two files", ids.Len())
	}
	if plain, err := with(t, to(t, recipients(t, native.recipient)), ids); err != nil || plain != secretText {
		t.Errorf("the second of two files: %q, %v", plain, err)
	}
}

// Who else can read the file is the business of who wrote it: in a container,
// its mode is not theirs to choose.
func TestModeOfAnIdentityFileIsNotJudged(t *testing.T) {
	pair := keyPairs(t)["native"]
	name := keyFile(t, pair.identity)
	must(t, os.Chmod(name, 0o644))
	if err := new(seal.Identities).AddFile(name, nil); err != nil {
		t.Error(err)
	}
}

// locked is an identity file with the passphrase "correct horse".
type locked struct{ file, recipient string }

// lockedFiles are all kinds of them.
func lockedFiles(t *testing.T) map[string]locked {
	t.Helper()
	pairs := keyPairs(t)
	native := pairs["native"]
	all := map[string]locked{
		"age, binary":  {keyFile(t, encrypted(t, native.identity, "correct horse", false)), native.recipient},
		"age, armored": {keyFile(t, "\n"+encrypted(t, "# two\n"+pairs["post-quantum"].identity+native.identity, "correct horse", true)+"\n"), native.recipient},
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(pairs["ssh-ed25519"].key, "a comment", []byte("correct horse"))
	must(t, err)
	all["ssh"] = locked{keyFile(t, string(pem.EncodeToMemory(block))), pairs["ssh-ed25519"].recipient}
	old := keyFile(t, oldPEM(t, pairs["ssh-rsa"].key.(*rsa.PrivateKey)))
	must(t, os.WriteFile(old+".pub", []byte(pairs["ssh-rsa"].recipient), 0o600))
	all["old PEM"] = locked{old, pairs["ssh-rsa"].recipient}
	return all
}

// oldPEM is what ssh-keygen wrote by default until 2018.
func oldPEM(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der := x509.MarshalPKCS1PrivateKey(key)
	block, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", der, []byte("correct horse"), x509.PEMCipherAES128) //nolint:staticcheck // such files are there
	must(t, err)
	return string(pem.EncodeToMemory(block))
}

// person answers with a passphrase or an error, and counts the questions.
type person struct {
	answer string
	err    error
	asked  []string
}

func (p *person) passphrase(prompt string) ([]byte, error) {
	p.asked = append(p.asked, prompt)
	return []byte(p.answer), p.err
}

func TestAPassphraseIsAskedForOnceWhenItIsNeeded(t *testing.T) {
	for kind, l := range lockedFiles(t) {
		p := &person{answer: "correct horse"}
		ids := new(seal.Identities)
		must(t, ids.AddFile(l.file, p.passphrase))
		if len(p.asked) > 0 {
			t.Errorf("%s: asked %q before anything is to be opened", kind, p.asked)
		}
		stored := to(t, recipients(t, l.recipient))
		for range 3 {
			if plain, err := with(t, stored, ids); err != nil || plain != secretText {
				t.Errorf("%s: %q, %v", kind, plain, err)
			}
		}
		if len(p.asked) != 1 || !strings.Contains(p.asked[0], l.file) {
			t.Errorf("%s: asked %q; want one question with the name %s", kind, p.asked, l.file)
		}
	}
}

// An identity without a passphrase is tried first, and ssh keys that cannot fit
// need none.
func TestNobodyIsAskedInVain(t *testing.T) {
	native, err := age.GenerateX25519Identity()
	must(t, err)
	stored := to(t, recipients(t, native.Recipient().String()))
	for kind, l := range lockedFiles(t) {
		p := &person{answer: "correct horse"}
		ids := new(seal.Identities)
		must(t, ids.AddFile(l.file, p.passphrase))
		if !strings.HasPrefix(kind, "age") {
			_, err := with(t, stored, ids)
			wantNoIdentity(t, err)
		}
		must(t, ids.AddFile(keyFile(t, native.String()), p.passphrase))
		if plain, err := with(t, stored, ids); err != nil || plain != secretText {
			t.Errorf("%s: %q, %v", kind, plain, err)
		}
		if len(p.asked) > 0 {
			t.Errorf("%s: asked %q", kind, p.asked)
		}
	}
}

// What a person does not know is no damage, and can be asked again.
func TestAWrongPassphraseIsNoDamage(t *testing.T) {
	for kind, l := range lockedFiles(t) {
		stored := to(t, recipients(t, l.recipient))
		for name, c := range map[string]struct {
			ask  *person
			want string
		}{
			"wrong":       {&person{answer: "battery staple"}, "passphrase is wrong"},
			"none":        {&person{}, "passphrase"},
			"interrupted": {&person{err: context.Canceled}, context.Canceled.Error()},
		} {
			ids := new(seal.Identities)
			must(t, ids.AddFile(l.file, c.ask.passphrase))
			_, err := with(t, stored, ids)
			if err == nil || errors.Is(err, seal.ErrDamaged) || errors.Is(err, seal.ErrNoIdentity) || !errors.Is(err, c.ask.err) && c.ask.err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			} else if text := err.Error(); !strings.Contains(text, c.want) || !strings.Contains(text, l.file) || strings.Contains(text, "battery") {
				t.Errorf("%s, %s: %v; want %q, and the name of the file", kind, name, err, c.want)
			}
			if name != "wrong" {
				continue
			}
			c.ask.answer = "correct horse"
			if plain, err := with(t, stored, ids); err != nil || plain != secretText {
				t.Errorf("%s, after %s: %q, %v", kind, name, plain, err)
			}
		}
		ids := new(seal.Identities)
		must(t, ids.AddFile(l.file, nil))
		if _, err := with(t, stored, ids); err == nil || !strings.Contains(err.Error(), "nobody to ask") {
			t.Errorf("%s, nobody to ask: %v", kind, err)
		}
	}
}

// Several objects can be opened at once, with one question.
func TestIdentitiesAreSafeForConcurrentUse(t *testing.T) {
	for kind, l := range lockedFiles(t) {
		p := &person{answer: "correct horse"}
		ids := new(seal.Identities)
		must(t, ids.AddFile(l.file, p.passphrase))
		stored := to(t, recipients(t, l.recipient))
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if plain, err := with(t, stored, ids); err != nil || plain != secretText {
					t.Errorf("%s: %q, %v", kind, plain, err)
				}
			})
		}
		all.Wait()
		if len(p.asked) != 1 {
			t.Errorf("%s: asked %q", kind, p.asked)
		}
	}
}

// Errors name the file and what is wrong with it, and nothing that is in it.
func TestIdentitiesThatCannotBe(t *testing.T) {
	pairs := keyPairs(t)
	native := pairs["native"]
	for name, c := range map[string]struct{ content, want string }{
		"empty":                    {"", "no identities"},
		"only comments":            {"# AGE-SECRET-KEY-1\n", "no identities"},
		"a recipient":              {native.recipient, "line 1: this is a recipient"},
		"an ssh public key":        {pairs["ssh-rsa"].recipient, "line 1: this is a recipient"},
		"cut short":                {"# mine\n" + native.identity[:40], "line 2: malformed identity"},
		"a changed character":      {strings.Replace(native.identity, "Q", "P", 1)[:len(native.identity)-3] + "QQ", "line 1: malformed identity"},
		"cut short, hybrid":        {pairs["post-quantum"].identity[:40], "line 1: malformed identity"},
		"a plugin's":               {"AGE-PLUGIN-YUBIKEY-1QWERTYUIOP", "plugins (AGE-PLUGIN-...) are not supported"},
		"a passphrase":             {"correct horse battery staple", "line 1: unknown kind"},
		"an ssh key cut short":     {pairs["ssh-ed25519"].identity[:200], "private key"},
		"some PEM":                 {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "private key"},
		"armor cut short":          {encrypted(t, native.identity, "x", true)[:200], "armor"},
		"far too long":             {strings.Repeat("#", 1<<20), "no file of keys"},
		"old PEM without its .pub": {oldPEM(t, pairs["ssh-rsa"].key.(*rsa.PrivateKey)), "public key"},
	} {
		ids := new(seal.Identities)
		file := keyFile(t, c.content)
		err := ids.AddFile(file, nil)
		switch {
		case err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file):
			t.Errorf("%s: %v; want %q, and the name of the file", name, err, c.want)
		case repeats(err, c.content):
			t.Errorf("%s is repeated: %v", name, err)
		}
		if ids.Len() > 0 {
			t.Errorf("%s has been added", name)
		}
	}
	if err := new(seal.Identities).AddFile("/no/such/file", nil); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("no such file: %v", err)
	}
}

// What is wrong inside an encrypted file shows when it is opened.
func TestEncryptedIdentityFilesThatCannotBe(t *testing.T) {
	pair := keyPairs(t)["native"]
	key, err := age.GenerateX25519Identity()
	must(t, err)
	whole := encrypted(t, pair.identity, "correct horse", false)
	for name, c := range map[string]struct{ content, want string }{
		"to a recipient":    {encryptedTo(t, pair.identity, true, key.Recipient()), "not with a passphrase"},
		"cut short":         {whole[:len(whole)-5], "damaged"},
		"its header only":   {whole[:30], "header"},
		"holds a recipient": {encrypted(t, pair.recipient, "correct horse", true), "this is a recipient"},
		"holds nothing":     {encrypted(t, "", "correct horse", true), "no identities"},
		"encrypted twice":   {encrypted(t, whole, "correct horse", true), "unknown kind"},
	} {
		ids := new(seal.Identities)
		file := keyFile(t, c.content)
		must(t, ids.AddFile(file, (&person{answer: "correct horse"}).passphrase))
		_, err := with(t, to(t, recipients(t, pair.recipient)), ids)
		if err == nil || errors.Is(err, seal.ErrDamaged) || errors.Is(err, seal.ErrNoIdentity) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v; want %q, and the name of the file", name, err, c.want)
		}
	}
}
