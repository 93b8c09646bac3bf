package etcdservers

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// setting is an assignment of a unit or drop-in.
type setting struct {
	section, name string
	value         view // without the blanks around it; a continuation is one space
}

// settings parses a unit by the rules of systemd.syntax(7), as config_parse() in
// systemd's conf-parser.c does. What systemd ignores with a warning is ignored.
func settings(src *source) ([]setting, error) {
	if strings.IndexByte(src.data, 0) >= 0 {
		return nil, badUnit(src, 0, errors.New("a NUL byte is in it"))
	}
	var all []setting
	section := ""
	for _, line := range logicalLines(src) {
		line = line.trim()
		switch {
		case line.text == "" || !utf8.ValidString(line.text):
			continue
		case line.text[0] == '[' && !strings.HasSuffix(line.text, "]"):
			return nil, badUnit(src, line.line(), errors.New("a section is not closed"))
		case line.text[0] == '[':
			section = line.text[1 : len(line.text)-1]
			continue
		}
		if name, _, ok := strings.Cut(line.text, "="); ok && name != "" && section != "" {
			all = append(all, setting{section, strings.Trim(name, blank), line.slice(len(name)+1, len(line.text)).trim()})
		}
	}
	return all, nil
}

// badUnit is the refusal of what systemd does not load, or what it would guess.
func badUnit(src *source, line int, err error) error {
	return &Refusal{
		Path: src.path, Line: line, Reason: "is no sound unit: " + err.Error(),
		Instead: "repair it first; `systemd-analyze verify` tells what systemd makes of it",
	}
}

// logicalLines are the lines of a unit without its comments, which may stand
// between the parts of a line, too. A backslash that continues a line is a space.
func logicalLines(src *source) []view {
	var all []view
	var open *text // a line that is continued
	for at := 0; at < len(src.data); {
		end, next := physicalLine(src.data, at)
		from, now := at, src.data[at:end]
		at = next
		if rest := strings.TrimLeft(now, blank); rest != "" && (rest[0] == '#' || rest[0] == ';') {
			continue
		}
		if from == 0 {
			from += len(now) - len(strings.TrimPrefix(now, "\ufeff"))
		}
		if open == nil {
			open = &text{}
		} else {
			open.from[len(open.from)-1].to = from // the space is all there is in between
		}
		open.addView(verbatim(src, from, end, bare{}))
		if continued(src.data[from:end]) {
			open.bytes[len(open.bytes)-1] = ' '
			continue
		}
		all = append(all, open.view())
		open = nil
	}
	if open != nil {
		all = append(all, open.view())
	}
	return all
}

// continued tells whether a line ends in a backslash that is not escaped itself.
func continued(line string) bool {
	backslashes := len(line) - len(strings.TrimRight(line, `\`))
	return backslashes%2 == 1
}

// physicalLine returns the end of the line that begins at i, and where the next
// one begins. As in systemd, CR ends a line as LF does, and one of each, in
// whichever order, is one end.
func physicalLine(s string, i int) (end, next int) {
	end = i
	for end < len(s) && strings.IndexByte(newlines, s[end]) < 0 {
		end++
	}
	next = min(end+1, len(s))
	if next < len(s) && strings.IndexByte(newlines, s[next]) >= 0 && s[next] != s[end] {
		next++
	}
	return end, next
}

// looksLikeUnit tells a unit by its first line that is no comment.
func looksLikeUnit(data string) bool {
	for line := range strings.Lines(data) {
		if line = strings.Trim(line, blank); line != "" && line[0] != '#' && line[0] != ';' {
			return line == "[Unit]" || line == "[Service]" || line == "[Install]"
		}
	}
	return false
}

// specifiers are the "%" of systemd.unit(5), SPECIFIERS, whose value the name of the
// unit decides. The others are known on the running host only.
type specifiers map[byte]string

// specifiersOf returns them for a unit.
func specifiersOf(unit string) specifiers {
	full := strings.TrimSuffix(unit, ".service")
	prefix, instance, _ := strings.Cut(full, "@")
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	known := specifiers{'n': unit, 'N': full, 'p': prefix, 'i': instance, 'j': last}
	for letter, value := range map[byte]string{'P': prefix, 'I': instance, 'J': last} {
		if !strings.ContainsAny(value, `\-`) { // else it is unescaped
			known[letter] = value
		}
	}
	return known
}

// resolve replaces the specifiers in a word. One that is not known here stays as
// it stands, and is marked.
func (s specifiers) resolve(v view) view {
	if strings.IndexByte(v.text, '%') < 0 {
		return v
	}
	var out text
	for i := 0; i < len(v.text); i++ {
		letter := byte(0)
		if v.text[i] == '%' && i+1 < len(v.text) {
			letter = v.text[i+1]
		}
		switch isLetter := letter|0x20 >= 'a' && letter|0x20 <= 'z'; {
		case letter == '%':
			out.add('%', v.span(i, i+2))
		case isLetter:
			p := v.span(i, i+2)
			p.style = unknown{fmt.Sprintf("systemd puts something in place of %%%c", letter)}
			value, known := s[letter]
			if !known {
				value = "%" + string(letter)
			}
			for j := range len(value) {
				out.add(value[j], p)
			}
		default:
			out.add(v.text[i], v.from[i])
			continue
		}
		i++
	}
	return out.view()
}
