package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// maxRecipients keeps a header far below what age reads: 2 MiB.
const maxRecipients = 256

// maxKeyFile is the size, in bytes, of what is certainly no file of keys.
const maxKeyFile = 1 << 20

// Recipients are the public keys that objects are encrypted to. Whoever has the
// identity of any one of them can open the object. The zero value has none.
type Recipients struct {
	all          []age.Recipient
	fingerprints []string
	postQuantum  bool // all of them are, or none
}

// Add adds a recipient: age1..., the post-quantum age1pq1..., or an ssh public
// key (ssh-ed25519 or ssh-rsa) as in an authorized_keys file. One that is there
// already changes nothing. age does not mix post-quantum recipients with others:
// the object would be no safer than for the others.
func (r *Recipients) Add(s string) error {
	recipient, fingerprint, err := parseRecipient(strings.TrimSpace(s))
	if err != nil {
		return err
	}
	if slices.Contains(r.fingerprints, fingerprint) {
		return nil
	}
	_, postQuantum := recipient.(*age.HybridRecipient)
	switch {
	case len(r.all) == maxRecipients:
		return fmt.Errorf("more than %d recipients", maxRecipients)
	case len(r.all) > 0 && postQuantum != r.postQuantum:
		return errors.New("post-quantum recipients (age1pq1...) cannot be mixed with others")
	}
	r.all = append(r.all, recipient)
	r.fingerprints = append(r.fingerprints, fingerprint)
	r.postQuantum = postQuantum
	return nil
}

// AddFile adds the recipients of a file: one a line, empty lines and lines that
// begin with # aside. A file without any is an error, and so is a key that
// cannot be encrypted to: its owner would learn that too late.
func (r *Recipients) AddFile(name string) error {
	content, err := readKeyFile(name)
	if err != nil {
		return fmt.Errorf("read recipients: %w", err)
	}
	found := false
	for n, line := range keyLines(content) {
		if err := r.Add(line); err != nil {
			return fmt.Errorf("recipients file %s, line %d: %w", name, n, err)
		}
		found = true
	}
	if !found {
		return fmt.Errorf("recipients file %s has no recipients", name)
	}
	return nil
}

// Len is how many recipients there are.
func (r *Recipients) Len() int { return len(r.all) }

// Fingerprints name the recipients: "SHA256:" and the unpadded base64 of the
// SHA-256 of the ssh key, as ssh-keygen -l prints it, or of the recipient's own
// string.
func (r *Recipients) Fingerprints() []string { return slices.Clone(r.fingerprints) }

// parseRecipient does not repeat s in its errors: it may be a secret key that
// was taken for another file.
func parseRecipient(s string) (age.Recipient, string, error) {
	kind, _, _ := strings.Cut(s, "1")
	switch {
	case strings.HasPrefix(strings.ToUpper(s), "AGE-"), strings.HasPrefix(s, "-----BEGIN"):
		return nil, "", errors.New("this is an identity, which is secret, and no recipient")
	case strings.HasPrefix(s, "age1pq1"):
		recipient, err := age.ParseHybridRecipient(s)
		if err != nil {
			return nil, "", errors.New("malformed post-quantum recipient (age1pq1...)")
		}
		return recipient, nativeFingerprint(recipient), nil
	case kind == "age" && strings.Count(s, "1") > 1:
		plugin, _, _ := strings.Cut(s[len("age1"):], "1")
		return nil, "", fmt.Errorf("recipients of age plugins (age1%s1...) are not supported", plugin)
	case kind == "age":
		recipient, err := age.ParseX25519Recipient(s)
		if err != nil {
			return nil, "", errors.New("malformed recipient (age1...)")
		}
		return recipient, nativeFingerprint(recipient), nil
	}
	return parseSSHRecipient(s)
}

func nativeFingerprint(recipient fmt.Stringer) string {
	sum := sha256.Sum256([]byte(recipient.String()))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// parseSSHRecipient reads a line of an authorized_keys file, options included.
func parseSSHRecipient(s string) (age.Recipient, string, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil || strings.ContainsAny(s, "\r\n") { // of several lines it would read one
		return nil, "", errors.New("unknown or malformed recipient: there are age1..., age1pq1..., ssh-ed25519 and ssh-rsa")
	}
	var recipient age.Recipient
	switch key.Type() {
	case ssh.KeyAlgoED25519:
		recipient, err = agessh.NewEd25519Recipient(key)
	case ssh.KeyAlgoRSA:
		recipient, err = agessh.NewRSARecipient(key)
	default:
		return nil, "", fmt.Errorf("nothing can be encrypted to an ssh key of type %s: there are ssh-ed25519 and ssh-rsa", key.Type())
	}
	if err != nil {
		return nil, "", fmt.Errorf("unusable %s key: %w", key.Type(), err)
	}
	return recipient, ssh.FingerprintSHA256(key), nil
}

// readKeyFile reads a file of keys, whose mode is its owner's business.
func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err == nil && len(content) == maxKeyFile {
		err = fmt.Errorf("%s is no file of keys: it has %d KiB or more", name, maxKeyFile>>10)
	}
	return content, err
}

// keyLines yields the numbers and the content of lines that hold keys.
func keyLines(content []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(string(content)) {
			n++
			line = strings.TrimSpace(line)
			if line != "" && line[0] != '#' && !yield(n, line) {
				return
			}
		}
	}
}
