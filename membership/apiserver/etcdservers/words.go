package etcdservers

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// blank are the bytes between words and around values: WHITESPACE of systemd.
const blank = " \t\n\r"

// wordRules are the ways in which systemd splits a text into words. In all of them
// quotes may open and close anywhere in a word, and a backslash has a meaning in
// single quotes, too.
type wordRules int

const (
	// commandWords is how ExecStart= is split: systemd.syntax(7), QUOTING. An escape
	// that is not known stays as it stands.
	commandWords wordRules = iota
	// assignmentWords is how Environment= is split, in which such an escape is an error.
	assignmentWords
	// variableWords is how the value of $VAR is split, a word of its own on a
	// command line: a backslash stands for the byte after it, and a quote that
	// nobody closes ends at the end.
	variableWords
)

var (
	errQuote  = errors.New("a quote is not closed")
	errEscape = errors.New("an escape is not known")
)

// text builds a view. It is a buffer, which a view is not.
type text struct {
	bytes []byte
	from  []place
}

func (t *text) add(b byte, p place) {
	t.bytes = append(t.bytes, b)
	t.from = append(t.from, p)
}

func (t *text) addView(v view) {
	t.bytes = append(t.bytes, v.text...)
	t.from = append(t.from, v.from...)
}

func (t *text) view() view { return view{string(t.bytes), t.from} }

// span is one place for the bytes i..j of v, which stand one after the other.
func (v view) span(i, j int) place {
	p := v.from[i]
	p.to = v.from[j-1].to
	return p
}

// trim is v without blanks before and after it.
func (v view) trim() view {
	from := len(v.text) - len(strings.TrimLeft(v.text, blank))
	return v.slice(from, max(from, len(strings.TrimRight(v.text, blank))))
}

// words splits a text. With an error come the words before it.
func words(v view, rules wordRules) ([]view, error) {
	var all []view
	for at := 0; ; {
		word, next, err := nextWord(v, at, rules)
		if err != nil || next < 0 {
			return all, err
		}
		all, at = append(all, word), next
	}
}

// nextWord returns the word that begins at v[at:] or behind the blanks there, and
// where the one after it begins: -1 if there is no word.
func nextWord(v view, at int, rules wordRules) (word view, next int, err error) {
	s := v.text
	for at < len(s) && strings.IndexByte(blank, s[at]) >= 0 {
		at++
	}
	if at == len(s) {
		return view{}, -1, nil
	}
	var w text
	quote := byte(0)
	for ; at < len(s); at++ {
		switch c := s[at]; {
		case c == '\\':
			n, err := w.addEscape(v, at, rules)
			if err != nil {
				return view{}, -1, err
			}
			at += n - 1
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			w.add(c, v.from[at])
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte(blank, c) >= 0:
			for at < len(s) && strings.IndexByte(blank, s[at]) >= 0 {
				at++
			}
			return w.view(), at, nil
		default:
			w.add(c, v.from[at])
		}
	}
	if quote != 0 && rules != variableWords {
		return view{}, -1, errQuote
	}
	return w.view(), at, nil
}

// addEscape adds what the escape at v[at:] stands for, and returns its length.
func (t *text) addEscape(v view, at int, rules wordRules) (int, error) {
	rest := v.text[at:]
	switch {
	case rules == variableWords && len(rest) == 1:
		return 1, nil
	case rules == variableWords:
		t.add(rest[1], v.span(at, at+2))
		return 2, nil
	}
	value, n := escape(rest)
	switch {
	case n == 0 && rules == assignmentWords:
		return 0, errEscape
	case n == 0:
		n = min(2, len(rest))
		t.addView(v.slice(at, at+n))
		return n, nil
	}
	for i := range len(value) {
		t.add(value[i], v.span(at, at+n))
	}
	return n, nil
}

// simpleEscapes are those of one letter; \s for a space is systemd's own.
const (
	simpleEscapes = `abfnrtv\"'s`
	simpleValues  = "\a\b\f\n\r\t\v\\\"' "
)

// escape returns what the escape at the beginning of s stands for, and its length:
// 0 if it is none of the table in systemd.syntax(7). A NUL is none.
func escape(s string) (value string, length int) {
	if len(s) < 2 {
		return "", 0
	}
	if i := strings.IndexByte(simpleEscapes, s[1]); i >= 0 {
		return simpleValues[i : i+1], 2
	}
	base, from, digits := 16, 2, 0
	switch s[1] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		base, from, digits = 8, 1, 3
	}
	if len(s) < from+digits {
		return "", 0
	}
	n, err := strconv.ParseUint(s[from:from+digits], base, 32)
	if err != nil || n == 0 {
		return "", 0
	}
	if digits <= 3 {
		if n > 0xff {
			return "", 0
		}
		return string([]byte{byte(n)}), from + digits
	}
	if n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return "", 0
	}
	return string(rune(n)), from + digits
}
