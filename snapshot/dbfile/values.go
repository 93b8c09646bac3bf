package dbfile

import (
	"bytes"
	"strings"
)

// Values counts the values of all puts in the key bucket, superseded ones
// included, by what Kubernetes would call their encoding.
type Values struct {
	Protobuf  int64            `json:"protobuf"`            // prefix "k8s\x00"
	JSON      int64            `json:"json"`                // first byte '{'
	Encrypted map[string]int64 `json:"encrypted,omitempty"` // by "provider:version:key name", see below
	Other     int64            `json:"other"`
}

// encryptedPrefix opens every value that kube-apiserver encrypts at rest:
// k8s:enc:<provider>:<version>:<key or plugin name>:<ciphertext>
// (staging/src/k8s.io/apiserver/pkg/server/options/encryptionconfig).
const encryptedPrefix = "k8s:enc:"

const (
	maxEncryptionName = 256 // longer than any key or plugin name
	maxEncryptions    = 64  // distinct names counted; more are "(others)"
)

func (v *Values) add(value []byte) {
	switch {
	case bytes.HasPrefix(value, []byte("k8s\x00")):
		v.Protobuf++
	case bytes.HasPrefix(value, []byte(encryptedPrefix)):
		v.addEncrypted(encryptionName(value[len(encryptedPrefix):]))
	case len(value) > 0 && value[0] == '{':
		v.JSON++
	default:
		v.Other++
	}
}

func (v *Values) addEncrypted(name string) {
	if v.Encrypted == nil {
		v.Encrypted = make(map[string]int64)
	}
	if _, known := v.Encrypted[name]; !known && len(v.Encrypted) >= maxEncryptions {
		name = "(others)"
	}
	v.Encrypted[name]++
}

func encryptionName(rest []byte) string {
	parts := strings.SplitN(string(rest[:min(len(rest), maxEncryptionName)]), ":", 4)
	if len(parts) < 4 {
		return "(malformed)"
	}
	return strings.Join(parts[:3], ":")
}
