package snapshot

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
)

// timeFormat is the time in ids and report names: UTC, to the second, sortable.
const timeFormat = "20060102T150405Z"

// newID names a backup begun at start of a member that had reached revision.
// The snapshot holds that revision or a later one.
func newID(start time.Time, revision int64, random io.Reader) (string, error) {
	suffix, err := randomHex(random, 2)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-r%d-%s", start.UTC().Format(timeFormat), revision, suffix), nil
}

// randomHex returns 2n hexadecimal digits.
func randomHex(random io.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// idTime is when the backup with this id was begun; ok is false for what is no id.
func idTime(id string) (t time.Time, ok bool) {
	at, _, ok := strings.Cut(id, "-r")
	if !ok {
		return t, false
	}
	t, err := time.Parse(timeFormat, at)
	return t, err == nil
}
