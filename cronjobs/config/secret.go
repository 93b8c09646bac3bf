package config

import (
	"fmt"
	"io"
)

// Secret is a text that is printed nowhere: not by any verb of fmt, not by slog, and
// not as JSON or YAML. Whoever needs it calls Reveal. Two are equal if their texts are.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String tells only whether there is one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// Format is String for every verb. Without it a wrong verb would print the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is String, for encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
