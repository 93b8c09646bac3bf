package etcdservers

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// onlyOption checks with another parser of units that nothing but the list has
// changed, and that in one option.
func onlyOption(before, after []byte, from, to []string) error {
	if err := onlyList(string(before), string(after), from, to); err != nil {
		return err
	}
	b, err := options(before)
	if err != nil {
		return err
	}
	a, err := options(after)
	if err != nil {
		return err
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d options would be %d", len(b), len(a))
	}
	changed := 0
	for i := range b {
		if b[i].Match(a[i]) {
			continue
		}
		if b[i].Section != a[i].Section || b[i].Name != a[i].Name {
			return fmt.Errorf("option %s would become %s", b[i].Name, a[i].Name)
		}
		if err := onlyList(b[i].Value, a[i].Value, from, to); err != nil {
			return fmt.Errorf("option %s: %w", b[i].Name, err)
		}
		changed++
	}
	if changed > 1 {
		return errors.New("several options would change")
	}
	return nil
}

// options parses a unit. What the parser does not know and systemd does is taken
// away first: comments within a line, CR LF, and lines over 2048 bytes.
func options(data []byte) ([]*unit.UnitOption, error) {
	var plain bytes.Buffer
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, newlines)
		if rest := bytes.TrimLeft(line, blank); len(rest) > 0 && (rest[0] == '#' || rest[0] == ';') {
			continue
		}
		if len(line) >= unit.SYSTEMD_LINE_MAX {
			line = bytes.ReplaceAll(line, []byte(" "), []byte(" \\\n"))
		}
		plain.Write(line)
		plain.WriteByte('\n')
	}
	all, err := unit.DeserializeOptions(strings.NewReader(plain.String()))
	if err != nil {
		return nil, fmt.Errorf("read the unit by another parser: %w", err)
	}
	return all, nil
}
