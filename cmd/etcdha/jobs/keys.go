package jobs

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage/seal"
)

// readKeys reads who can open what is stored, and who says that it is theirs.
func (w *Worker) readKeys(e config.Encryption) error {
	if err := w.readRecipients(e); err != nil {
		return fail.As(fail.ErrUsage, err)
	}
	if err := w.readIdentities(e.IdentityFiles); err != nil {
		return fail.As(fail.ErrUsage, err)
	}
	var err error
	if e.SignKeyFile != "" {
		if w.signKey, err = snapshot.ReadSignKey(e.SignKeyFile); err != nil {
			return err
		}
	}
	for _, name := range e.VerifyKeyFiles {
		key, err := snapshot.ReadVerifyKey(name)
		if err != nil {
			return err
		}
		w.verifyKeys = append(w.verifyKeys, key)
	}
	return w.checkKeys()
}

// checkKeys refuses keys with which no backup of this daemon could be read by it.
func (w *Worker) checkKeys() error {
	if len(w.verifyKeys) == 0 {
		return nil
	}
	if w.signKey == nil {
		return fail.WithHint(fail.Usagef("verifyKeyFiles without a signKeyFile: what is saved would be unsigned, and then not read"), "give the key that signs as signKeyFile, or no verifyKeyFiles")
	}
	own := w.signKey.Public()
	if !slices.ContainsFunc(w.verifyKeys, func(key ed25519.PublicKey) bool { return key.Equal(own) }) {
		return fail.WithHint(fail.Usagef("none of verifyKeyFiles is the public key of signKeyFile: what is saved would not be read"),
			"openssl pkey -in SIGN.pem -pubout -out VERIFY.pem makes it; keys used before may stand beside it")
	}
	return nil
}

func (w *Worker) readRecipients(e config.Encryption) error {
	recipients := new(seal.Recipients)
	for _, text := range e.Recipients {
		if err := recipients.Add(text); err != nil {
			return fmt.Errorf("recipients: %w", err)
		}
	}
	for _, name := range e.RecipientsFiles {
		if err := recipients.AddFile(name); err != nil {
			return fmt.Errorf("recipientsFiles: %w", err)
		}
	}
	// A file that turns out empty must not mean plain.
	if len(e.Recipients)+len(e.RecipientsFiles) > 0 {
		w.seal.Recipients = recipients
	}
	return w.seal.Check()
}

func (w *Worker) readIdentities(names []string) error {
	if len(names) == 0 {
		return nil
	}
	w.identities = new(seal.Identities)
	for _, name := range names {
		if err := w.identities.AddFile(name, noPassphrase); err != nil {
			return fmt.Errorf("identityFiles: %w", err)
		}
	}
	return nil
}

// noPassphrase is the answer of a daemon, whom nobody watches.
func noPassphrase(string) ([]byte, error) {
	return nil, fail.WithHint(errors.New("it asks for a passphrase, which a daemon cannot give"), "give an identity without a passphrase, in a file of mode 0600")
}
