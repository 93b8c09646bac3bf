package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/etcdha/etcdha/internal/fail"
)

// A record is a manifest, a report or a hold: indented JSON whose last member
// is the SHA-256 of everything before the comma in front of it. A store may
// flip a bit in a record as well as in a snapshot, and nothing else would tell:
//
//	head -c -83 manifest.json | sha256sum
const (
	sumBefore = ",\n  \"sha256\": \""
	sumAfter  = "\"\n}\n"
	sumLength = len(sumBefore) + 2*sha256.Size + len(sumAfter)
)

// encodeRecord returns the record of v, a struct.
func encodeRecord(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	data = bytes.TrimSuffix(data, []byte("\n}"))
	sum := sha256.Sum256(data)
	return fmt.Appendf(data, "%s%x%s", sumBefore, sum, sumAfter), nil
}

// decodeRecord reads a record of this format into v. Damage is
// [fail.ErrVerification].
func decodeRecord(data []byte, v any) error {
	body, ok := recordBody(data)
	if !ok {
		return fail.Verificationf("damaged: it does not have its own SHA-256")
	}
	body = append(bytes.Clone(body), '}')
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return fail.Verificationf("not readable: %v", err)
	}
	if head.Format != Format {
		return fail.WithHint(fmt.Errorf("%w %d", ErrNewerFormat, head.Format), "a newer etcdha wrote it: use that one")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fail.Verificationf("not readable: %v", err)
	}
	return nil
}

// recordBody returns what the SHA-256 of a record covers, if it fits.
func recordBody(data []byte) ([]byte, bool) {
	n := len(data) - sumLength
	if n < 0 {
		return nil, false
	}
	sum := sha256.Sum256(data[:n])
	return data[:n], string(data[n:]) == sumBefore+hex.EncodeToString(sum[:])+sumAfter
}
