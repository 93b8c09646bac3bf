package etcdservers

import "strings"

// assignment is a variable that an environment file or a unit sets.
type assignment struct {
	name  string
	value view
	// doubt says why versions of systemd disagree about it; "" if they do not.
	doubt string
}

// afterComment is the doubt about a line that follows a comment which ends in a
// backslash: since systemd 254 the comment ends with its line, before it goes on.
const afterComment = "it follows a comment that ends in a backslash, which goes on in some versions of systemd"

// assignments parses an environment file as systemd does, which is no shell:
// quotes have a meaning at the beginning of a value only, variables are not
// replaced, and a value ends with its line and not with its word. Of two
// assignments the later one counts.
//
// It is the state machine of parse_env_file_internal() in systemd's env-file.c.
//
// stray is where the first line ends that assigns nothing, which systemd ignores;
// -1 if there is none.
func assignments(src *source) (all []assignment, stray int) {
	p := &environmentParser{src: src, state: preKey, stray: -1}
	for i := range len(src.data) {
		p.state = p.state(p, i, src.data[i])
	}
	// A value that the end of the file cuts off counts; a name without "=" does not.
	if p.inValue {
		p.push()
	} else if len(p.key) > 0 {
		p.ignore(len(src.data) - 1)
	}
	return p.all, p.stray
}

// newlines end a line; CR and LF do, each by itself.
const newlines = "\n\r"

// environmentParser holds the assignment that is being read.
type environmentParser struct {
	src     *source
	state   environmentState
	all     []assignment
	key     []byte
	value   text
	solid   int  // of value: what stands before the blanks at its end
	inValue bool // past the "="
	doubt   string
	stray   int // see assignments
}

// environmentState takes the byte c, at i, and returns the state after it.
type environmentState func(p *environmentParser, i int, c byte) environmentState

func (p *environmentParser) add(from, to int, c byte) {
	p.value.add(c, place{p.src, from, to, bare{}})
	p.solid = len(p.value.bytes)
}

func (p *environmentParser) push() {
	p.all = append(p.all, assignment{
		name:  strings.TrimRight(string(p.key), blank),
		value: p.value.view().slice(0, p.solid),
		doubt: p.doubt,
	})
	p.key, p.value, p.solid, p.inValue, p.doubt = nil, text{}, 0, false, ""
}

// ignore ends a line that assigns nothing.
func (p *environmentParser) ignore(end int) {
	if p.stray < 0 {
		p.stray = end
	}
	p.key, p.doubt = nil, ""
}

func preKey(p *environmentParser, _ int, c byte) environmentState {
	switch {
	case c == '#' || c == ';':
		p.doubt = ""
		return comment
	case strings.IndexByte(newlines, c) >= 0:
		p.doubt = ""
		return preKey
	case strings.IndexByte(blank, c) >= 0:
		return preKey
	}
	p.key = append(p.key, c)
	return key
}

func key(p *environmentParser, i int, c byte) environmentState {
	switch {
	case strings.IndexByte(newlines, c) >= 0:
		p.ignore(i)
		return preKey
	case c == '=':
		p.inValue = true
		return preValue
	}
	p.key = append(p.key, c)
	return key
}

// preValue is before a value, and after a quote is closed: what follows there is
// added to it.
func preValue(p *environmentParser, i int, c byte) environmentState {
	switch {
	case strings.IndexByte(newlines, c) >= 0:
		p.push()
		return preKey
	case c == '\'':
		return singleQuoted
	case c == '"':
		return doubleQuoted
	case c == '\\':
		return valueEscape
	case strings.IndexByte(blank, c) >= 0:
		return preValue
	}
	p.add(i, i+1, c)
	return unquoted
}

func unquoted(p *environmentParser, i int, c byte) environmentState {
	switch {
	case strings.IndexByte(newlines, c) >= 0:
		p.push()
		return preKey
	case c == '\\':
		p.solid = len(p.value.bytes)
		return valueEscape
	case strings.IndexByte(blank, c) >= 0:
		p.value.add(c, place{p.src, i, i + 1, bare{}}) // counts if something follows
		return unquoted
	}
	p.add(i, i+1, c)
	return unquoted
}

func valueEscape(p *environmentParser, i int, c byte) environmentState {
	if strings.IndexByte(newlines, c) < 0 {
		p.add(i-1, i+1, c)
	}
	return unquoted
}

func singleQuoted(p *environmentParser, i int, c byte) environmentState {
	if c == '\'' {
		return preValue
	}
	p.add(i, i+1, c)
	return singleQuoted
}

func doubleQuoted(p *environmentParser, i int, c byte) environmentState {
	switch c {
	case '"':
		return preValue
	case '\\':
		return doubleQuotedEscape
	}
	p.add(i, i+1, c)
	return doubleQuoted
}

func doubleQuotedEscape(p *environmentParser, i int, c byte) environmentState {
	switch {
	case strings.IndexByte("\"\\`$", c) >= 0:
		p.add(i-1, i+1, c)
	case c != '\n':
		p.add(i-1, i, '\\')
		p.add(i, i+1, c)
	}
	return doubleQuoted
}

func comment(p *environmentParser, _ int, c byte) environmentState {
	switch {
	case c == '\\':
		return commentEscape
	case strings.IndexByte(newlines, c) >= 0:
		return preKey
	}
	return comment
}

func commentEscape(p *environmentParser, _ int, c byte) environmentState {
	if strings.IndexByte(newlines, c) >= 0 {
		p.doubt = afterComment
		return preKey
	}
	return comment
}
