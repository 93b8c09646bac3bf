package etcdservers

import (
	"errors"
	"strings"
)

// plainStyle is a scalar of YAML without quotes.
type plainStyle struct {
	from, to int
	flow     bool // in brackets or braces
}

// replace implements [style]. Brackets end at a comma, so that a scalar in them
// gets quotes if it needs them: the only case in which quotes change.
func (s plainStyle) replace(src *source, from, to int, text string) (edit, error) {
	if text == "" || strings.ContainsAny(text, " \t\r\n#\"'") {
		return edit{}, errors.New("it would need quotes")
	}
	if !s.flow || !strings.ContainsAny(text, ",[]{}") {
		return edit{from, to, text}, nil
	}
	all := src.data[s.from:from] + text + src.data[to:s.to]
	if strings.ContainsAny(all, "\"\\\r\n") {
		return edit{}, errors.New("it would need quotes")
	}
	return edit{s.from, s.to, `"` + all + `"`}, nil
}

// quotedStyle is a scalar of YAML in quotes, or a string of JSON.
type quotedStyle struct {
	from  int
	quote byte
}

var (
	doubleEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`)
	singleEscapes = strings.NewReplacer(`'`, `''`)
)

// replace implements [style].
func (s quotedStyle) replace(_ *source, from, to int, text string) (edit, error) {
	if s.quote == '"' {
		return edit{from, to, doubleEscapes.Replace(text)}, nil
	}
	if strings.ContainsAny(text, "\r\n") {
		return edit{}, errors.New("single quotes cannot hold lines")
	}
	return edit{from, to, singleEscapes.Replace(text)}, nil
}

// blockStyle is a scalar of YAML of lines, literal or folded.
type blockStyle struct {
	header, indent int
	folded         bool
}

// replace implements [style]. Lines of text get the indentation, and what follows
// them on a line that the text has broken.
func (s blockStyle) replace(src *source, from, to int, text string) (edit, error) {
	if !strings.Contains(text, "\n") {
		return edit{from, to, text}, nil
	}
	if s.folded {
		return edit{}, errors.New("it would be folded")
	}
	ending := lineEnding(src.data, s.header)
	lines := strings.Split(text, "\n")
	for i, line := range lines[1:] {
		if line != "" || i == len(lines)-2 && src.data[to-1] != '\n' {
			lines[i+1] = strings.Repeat(" ", s.indent) + line
		}
	}
	return edit{from, to, strings.Join(lines, ending)}, nil
}

// lineEnding is how the line at an offset ends.
func lineEnding(data string, at int) string {
	if n := strings.IndexByte(data[at:], '\n'); n > 0 && data[at+n-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}
