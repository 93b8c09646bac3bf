package seal_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"io"
	"math/big"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"

	"github.com/etcdha/etcdha/storage/seal"
)

// keyPair is a recipient and its identity, as files have them.
type keyPair struct {
	recipient, identity string
	key                 crypto.Signer // of ssh
}

// keyPairs are one of each kind that age itself encrypts to.
func keyPairs(t testing.TB) map[string]keyPair {
	t.Helper()
	native, err := age.GenerateX25519Identity()
	must(t, err)
	hybrid, err := age.GenerateHybridIdentity()
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return map[string]keyPair{
		"native":       {recipient: native.Recipient().String(), identity: native.String() + "\n"},
		"post-quantum": {recipient: hybrid.Recipient().String(), identity: hybrid.String() + "\n"},
		"ssh-ed25519":  sshKeyPair(t, ed25519.NewKeyFromSeed(random(32))),
		"ssh-rsa":      sshKeyPair(t, rsaKey),
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sshKeyPair(t testing.TB, key crypto.Signer) keyPair {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	must(t, err)
	return keyPair{sshRecipient(t, key.Public()), string(pem.EncodeToMemory(block)), key}
}

func sshRecipient(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	public, err := ssh.NewPublicKey(key)
	must(t, err)
	return string(ssh.MarshalAuthorizedKey(public))
}

// largestRSA is a public key of 16384 bits, the most that ssh reads. Nobody has
// its private one: making it would take minutes.
func largestRSA(t testing.TB) string {
	modulus := new(big.Int).SetBytes(random(2048))
	modulus.SetBit(modulus, 16383, 1).SetBit(modulus, 0, 1)
	return sshRecipient(t, &rsa.PublicKey{N: modulus, E: 65537})
}

const secretText = "the bytes that nobody else should see"

// to seals the secret text to recipients.
func to(t testing.TB, recipients *seal.Recipients) []byte {
	t.Helper()
	return sealer{options: seal.Options{Recipients: recipients}}.sealed(t, []byte(secretText))
}

// with opens an object with identities.
func with(t testing.TB, stored []byte, ids *seal.Identities) (string, error) {
	t.Helper()
	o, err := seal.Open(bytes.NewReader(stored), seal.Format{Compression: seal.Zstd, Encrypted: true}, ids)
	must(t, err)
	defer o.Close()
	plain, err := io.ReadAll(o)
	return string(plain), err
}

func TestEveryKindOfKeyOpensWhatIsSealedToIt(t *testing.T) {
	for kind, pair := range keyPairs(t) {
		stored := to(t, recipients(t, pair.recipient))
		ids := identities(t, pair.identity)
		for range 2 {
			if plain, err := with(t, stored, ids); err != nil || plain != secretText {
				t.Errorf("%s: %q, %v", kind, plain, err)
			}
		}
	}
}

func TestEachOfSeveralRecipientsOpens(t *testing.T) {
	pairs := keyPairs(t)
	var names []string
	for kind, pair := range pairs {
		if kind != "post-quantum" {
			names = append(names, pair.recipient)
		}
	}
	all := recipients(t, names...)
	if all.Len() != 3 {
		t.Errorf("%d recipients, want 3", all.Len())
	}
	stored := to(t, all)
	for kind, pair := range pairs {
		plain, err := with(t, stored, identities(t, pair.identity))
		if kind == "post-quantum" {
			wantNoIdentity(t, err)
			continue
		}
		if err != nil || plain != secretText {
			t.Errorf("%s: %q, %v", kind, plain, err)
		}
	}
}

// encrypted returns an age identity file with a passphrase.
func encrypted(t testing.TB, content, passphrase string, armored bool) string {
	t.Helper()
	recipient, err := age.NewScryptRecipient(passphrase)
	must(t, err)
	recipient.SetWorkFactor(10) // a test need not be slow to guess
	return encryptedTo(t, content, armored, recipient)
}

func encryptedTo(t testing.TB, content string, armored bool, recipient age.Recipient) string {
	t.Helper()
	var file bytes.Buffer
	text := io.WriteCloser(armor.NewWriter(&file))
	dst := io.Writer(text)
	if !armored {
		dst = &file
	}
	w, err := age.Encrypt(dst, recipient)
	must(t, err)
	_, err = io.WriteString(w, content)
	must(t, err)
	must(t, w.Close())
	if armored {
		must(t, text.Close())
	}
	return file.String()
}
