package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"
)

// Identities are the secret keys that open objects. They can open several at
// once. The zero value has none.
type Identities struct {
	all []age.Identity
}

// Passphrase asks a person for the passphrase that prompt names.
type Passphrase = func(prompt string) ([]byte, error)

// AddFile adds the identities of a file, which is one of:
//
//   - age identities, AGE-SECRET-KEY-1... or the post-quantum
//     AGE-SECRET-KEY-PQ-1..., one a line, empty lines and lines that begin with
//     # aside;
//   - such a file encrypted by age with a passphrase, binary or armored;
//   - an ssh private key, ed25519 or rsa, possibly with a passphrase. An old PEM
//     with one needs the public key beside it: the same name and .pub.
//
// A passphrase is asked for when an object needs it, and not again once it was
// right; nil is nobody to ask. Errors never repeat what is in the file.
func (ids *Identities) AddFile(name string, passphrase Passphrase) error {
	content, err := readKeyFile(name)
	if err != nil {
		return fmt.Errorf("read identities: %w", err)
	}
	added, err := parseIdentities(name, content, passphrase)
	if err != nil {
		return fmt.Errorf("identity file %s: %w", name, err)
	}
	ids.all = append(ids.all, added...)
	return nil
}

// Len is how many identities there are. An encrypted file counts as one.
func (ids *Identities) Len() int { return len(ids.all) }

func parseIdentities(name string, content []byte, passphrase Passphrase) ([]age.Identity, error) {
	ask := func() ([]byte, error) {
		if passphrase == nil {
			return nil, errors.New("it has a passphrase, and there is nobody to ask")
		}
		return passphrase(fmt.Sprintf("Passphrase of identity file %s: ", name))
	}
	trimmed := bytes.TrimSpace(content)
	switch {
	case bytes.HasPrefix(content, []byte("age-encryption.org/")):
		return []age.Identity{&lockedFile{name: name, content: content, ask: ask}}, nil
	case bytes.HasPrefix(trimmed, []byte(armor.Header)):
		binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(content)))
		if err != nil {
			return nil, errors.New("its armor is malformed")
		}
		return []age.Identity{&lockedFile{name: name, content: binary, ask: ask}}, nil
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN")):
		id, err := parseSSHIdentity(name, content, ask)
		return []age.Identity{id}, err
	}
	return parseNativeIdentities(content)
}

func parseNativeIdentities(content []byte) ([]age.Identity, error) {
	var all []age.Identity
	for n, line := range keyLines(content) {
		id, err := parseNativeIdentity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, id)
	}
	if len(all) == 0 {
		return nil, errors.New("it has no identities")
	}
	return all, nil
}

// parseNativeIdentity leaves out what age has to say: it can quote the line.
func parseNativeIdentity(line string) (id age.Identity, err error) {
	switch {
	case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
		id, err = age.ParseHybridIdentity(line)
	case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
		id, err = age.ParseX25519Identity(line)
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		return nil, errors.New("identities of age plugins (AGE-PLUGIN-...) are not supported")
	case strings.HasPrefix(line, "age1"), strings.HasPrefix(line, "ssh-"):
		return nil, errors.New("this is a recipient, and no identity")
	default:
		return nil, errors.New("unknown kind of identity")
	}
	if err != nil {
		return nil, errors.New("malformed identity")
	}
	return id, nil
}

func parseSSHIdentity(name string, content []byte, ask func() ([]byte, error)) (age.Identity, error) {
	id, err := agessh.ParseIdentity(content)
	if err == nil {
		return id, nil
	}
	missing, ok := errors.AsType[*ssh.PassphraseMissingError](err)
	if !ok {
		return nil, errors.New("malformed or unsupported private key: ed25519 and rsa keys of ssh are supported")
	}
	public := missing.PublicKey // OpenSSH's own format has it
	if public == nil {
		if public, err = readPublicKey(name + ".pub"); err != nil {
			return nil, err
		}
	}
	locked := &lockedSSH{name: name}
	locked.key, err = agessh.NewEncryptedSSHIdentity(public, content, func() ([]byte, error) {
		answer, err := ask()
		locked.asked, locked.askErr = true, err
		return answer, err
	})
	if err != nil {
		return nil, fmt.Errorf("unsupported ssh key of type %s: ed25519 and rsa are supported", public.Type())
	}
	return locked, nil
}

func readPublicKey(name string) (ssh.PublicKey, error) {
	content, err := readKeyFile(name)
	if err != nil {
		return nil, fmt.Errorf("read its public key: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(content)
	if err != nil {
		return nil, fmt.Errorf("%s is no ssh public key", name)
	}
	return key, nil
}

// identityError is a failure of an identity, which says nothing about the
// object.
type identityError struct{ err error }

func (e *identityError) Error() string { return e.err.Error() }

func (e *identityError) Unwrap() error { return e.err }

func failed(name string, err error) error {
	return &identityError{fmt.Errorf("identity file %s: %w", name, err)}
}

// lockedSSH is an ssh key with a passphrase.
type lockedSSH struct {
	name string

	mu     sync.Mutex // one question at a time
	key    *agessh.EncryptedSSHIdentity
	asked  bool
	askErr error
}

func (l *lockedSSH) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked, l.askErr = false, nil
	fileKey, err := l.key.Unwrap(stanzas)
	switch {
	case l.askErr != nil:
		return nil, failed(l.name, l.askErr)
	case err != nil && l.asked && !errors.Is(err, age.ErrIncorrectIdentity):
		return nil, failed(l.name, errors.New("the passphrase is wrong, or the key is not that of its public key"))
	}
	return fileKey, err
}

// lockedFile is a file of identities that age encrypted with a passphrase.
type lockedFile struct {
	name    string
	content []byte // binary
	ask     func() ([]byte, error)

	mu  sync.Mutex // one question at a time
	all []age.Identity
}

func (l *lockedFile) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		var err error
		if l.all, err = l.unlock(); err != nil {
			return nil, failed(l.name, err)
		}
	}
	for _, id := range l.all {
		if fileKey, err := id.Unwrap(stanzas); !errors.Is(err, age.ErrIncorrectIdentity) {
			return fileKey, err
		}
	}
	return nil, age.ErrIncorrectIdentity
}

func (l *lockedFile) unlock() ([]age.Identity, error) {
	r, err := age.Decrypt(bytes.NewReader(l.content), &asking{ask: l.ask})
	if noMatch, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		if len(noMatch.StanzaTypes) == 1 && noMatch.StanzaTypes[0] == scryptStanza {
			return nil, errors.New("the passphrase is wrong")
		}
		return nil, errors.New("it is encrypted, but not with a passphrase")
	}
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, errors.New("it is damaged")
	}
	return parseNativeIdentities(plain)
}

// scryptStanza is the header of what is encrypted with a passphrase.
const scryptStanza = "scrypt"

// asking asks for the passphrase only where there is one.
type asking struct{ ask func() ([]byte, error) }

func (a *asking) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != scryptStanza {
		return nil, age.ErrIncorrectIdentity
	}
	passphrase, err := a.ask()
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, err // it is empty
	}
	return id.Unwrap(stanzas)
}

// decrypt reads the header of stored and returns what follows it, decrypted.
func (ids *Identities) decrypt(stored io.Reader) (io.Reader, error) {
	if ids == nil || len(ids.all) == 0 {
		return nil, fmt.Errorf("stored object is encrypted: %w", ErrNoIdentity)
	}
	r, err := age.Decrypt(stored, ids.all...)
	if err == nil {
		return r, nil
	}
	if noMatch, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, fmt.Errorf("stored object is encrypted: %w: tried %d, for %d recipients", ErrNoIdentity, len(ids.all), len(noMatch.StanzaTypes))
	}
	if own, ok := errors.AsType[*identityError](err); ok {
		return nil, own.err
	}
	return nil, damaged(fmt.Errorf("%.200s", err.Error())) // it can quote lines of any length
}
