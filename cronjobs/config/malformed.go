package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is where the library sees an error: often where the mapping around it begins.
var place = regexp.MustCompile(`^yaml: (line \d+: )?`)

// malformed says where a file ends to be YAML.
func (r *reader) malformed(data []byte, err error) {
	what := place.ReplaceAllString(err.Error(), "")
	line := firstBad(data)
	tab := tabbed(data)
	text := lineOf(data, line)
	switch {
	case tab > 0 && tab <= line:
		r.fail(tab, "a tab indents the line", "YAML is indented with spaces")
	case bytes.Count(text, []byte(`"`))%2 == 1:
		r.fail(line, "a quote seems not to be closed", `write a second " in this line`)
	case strings.Contains(what, "unknown anchor"), // the library repeats its name, which may be a secret
		strings.Contains(what, "expected alphabetic or numeric"):
		r.fail(line, "a text begins with * or &, which have a meaning in YAML", `quote it, as in "* * * * *"`)
	case strings.Contains(what, "mapping values are not allowed"):
		r.fail(line, "a key is where none can be", "check the indentation, and quote a text with a colon and a space in it")
	case strings.Contains(what, "cannot start any token"):
		r.fail(line, "a text begins with a character that has a meaning in YAML", `quote it, as in "@hourly"`)
	default:
		r.fail(line, "it is no YAML from here on: "+what, "check the indentation, close every quote and bracket, and quote texts within { }")
	}
}

// firstBad is the line with which the file ends to be YAML: all lines before it are, and no
// longer part from the beginning is. A part can end within something of several lines,
// which is no YAML yet; so some shorter ones are tried as well.
func firstBad(data []byte) int {
	var ends []int // of the lines
	for line := range bytes.Lines(data) {
		last := 0
		if len(ends) > 0 {
			last = ends[len(ends)-1]
		}
		ends = append(ends, last+len(line))
	}
	const shorter = 10
	good, bad := 0, len(ends) // so many lines
	for bad-good > 1 {
		middle, found := good+(bad-good)/2, false
		for n := middle; n > max(good, middle-shorter) && !found; n-- {
			if found = wellFormed(data[:ends[n-1]]); found {
				good = n
			}
		}
		if !found {
			bad = middle
		}
	}
	for good < len(ends) && blank(data[:ends[good]]) {
		good++
	}
	return min(good+1, len(ends))
}

// lineOf is one line of the file; the first is 1.
func lineOf(data []byte, number int) []byte {
	n := 0
	for line := range bytes.Lines(data) {
		if n++; n == number {
			return line
		}
	}
	return nil
}

// blank tells whether the last line has nothing but perhaps a comment.
func blank(lines []byte) bool {
	line := bytes.TrimSpace(lines[bytes.LastIndexByte(bytes.TrimSuffix(lines, []byte("\n")), '\n')+1:])
	return len(line) == 0 || line[0] == '#'
}

func wellFormed(data []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// tabbed is the first line that a tab indents, 0 if there is none.
func tabbed(data []byte) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.ContainsRune(indent, '\t') {
			return n
		}
	}
	return 0
}
