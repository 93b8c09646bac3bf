package snapshot

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/etcdha/etcdha/internal/fail"
)

// A signature is that of the manifest's bytes as they are stored: pure Ed25519
// (RFC 8032), 64 bytes in an object of its own. openssl makes the keys and
// checks signatures too; docs/recover-by-hand.md shows how.

// ReadSignKey reads an Ed25519 private key: PEM, PKCS #8, not encrypted.
func ReadSignKey(name string) (ed25519.PrivateKey, error) {
	der, err := readPEM(name, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, notAKey(name, "PKCS #8 private key")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, notAKey(name, "Ed25519 private key")
	}
	return key, nil
}

// ReadVerifyKey reads an Ed25519 public key: PEM, SubjectPublicKeyInfo.
func ReadVerifyKey(name string) (ed25519.PublicKey, error) {
	der, err := readPEM(name, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, notAKey(name, "public key")
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, notAKey(name, "Ed25519 public key")
	}
	return key, nil
}

func readPEM(name, kind string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fail.As(fail.ErrUsage, fmt.Errorf("read key: %w", err))
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, notAKey(name, "PEM "+kind)
	}
	return block.Bytes, nil
}

// notAKey repeats nothing of what the file holds.
func notAKey(name, want string) error {
	return fail.WithHint(fail.Usagef("%s is no %s", name, want),
		"openssl genpkey -algorithm ed25519 -out sign.pem, and openssl pkey -in sign.pem -pubout -out verify.pem")
}

// errUnsigned says that a signature was asked for and there is none.
var errUnsigned = errors.New("manifest is not signed")

// checkSignature holds a manifest against the keys that may have signed it.
func checkSignature(keys []ed25519.PublicKey, manifest, signature []byte) error {
	for _, key := range keys {
		if ed25519.Verify(key, manifest, signature) {
			return nil
		}
	}
	return fail.Verificationf("manifest is signed by none of the %d keys given", len(keys))
}
