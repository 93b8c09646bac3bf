package etcdservers

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar is a scalar of YAML, and where it stands.
type scalar struct {
	view
	start, end int // in its source, with its quotes
}

// scalar finds the bytes of a scalar. The parser tells only where it begins; what
// is found has to be what the parser has read.
func (d *document) scalar(n *yaml.Node) (scalar, error) {
	if n == nil || n.Kind != yaml.ScalarNode {
		return scalar{}, errors.New("is no string")
	}
	at, err := d.offset(n)
	if err != nil {
		return scalar{}, err
	}
	if textOf(n) == "" {
		return scalar{start: at, end: at}, nil
	}
	s := scanner{src: d.src, at: at}
	var st style
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		st, err = s.block(n.Value, n.Style&yaml.FoldedStyle != 0)
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		st, err = s.quoted()
	default:
		err = s.plain(n.Value)
		st = plainStyle{from: at, to: s.at, flow: d.flow[n]}
	}
	if err == nil && string(s.text) != n.Value {
		err = errors.New("its bytes are not found")
	}
	if err != nil {
		return scalar{}, fmt.Errorf("the value at line %d: %w", n.Line, err)
	}
	for i := range s.from {
		s.from[i].style = st
	}
	return scalar{view: view{string(s.text), s.from}, start: at, end: s.at}, nil
}

// scanner reads one scalar.
type scanner struct {
	src  *source
	at   int
	text []byte
	from []place
}

func (s *scanner) rest() string { return s.src.data[s.at:] }

// take reads n bytes of the source as text.
func (s *scanner) take(n int, text string) {
	for i := range len(text) {
		s.text = append(s.text, text[i])
		s.from = append(s.from, place{src: s.src, from: s.at, to: s.at + n})
	}
	s.at += n
}

// fold reads white space with line breaks in it: one is a space, more are one
// less. It returns false where there is no line break.
func (s *scanner) fold() bool {
	rest := s.rest()
	n := len(rest) - len(strings.TrimLeft(rest, " \t\r\n"))
	breaks := strings.Count(rest[:n], "\n")
	switch breaks {
	case 0:
		return false
	case 1:
		s.take(n, " ")
	default:
		s.take(n, strings.Repeat("\n", breaks-1))
	}
	return true
}

// plain reads a scalar without quotes, of which only the value tells the end.
func (s *scanner) plain(value string) error {
	for len(s.text) < len(value) {
		if s.at == len(s.src.data) {
			return errors.New("it has no end")
		}
		if !s.fold() {
			s.take(1, s.rest()[:1])
		}
	}
	return nil
}

// quoted reads a scalar in quotes of either kind.
func (s *scanner) quoted() (style, error) {
	if s.rest() == "" {
		return nil, errors.New("it has no end")
	}
	from, quote := s.at, s.src.data[s.at]
	if quote != '"' && quote != '\'' {
		return nil, errors.New("its quotes are not found")
	}
	s.at++
	for s.at < len(s.src.data) {
		switch rest := s.rest(); {
		case s.fold():
		case quote == '"' && rest[0] == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case quote == '\'' && strings.HasPrefix(rest, "''"):
			s.take(2, "'")
		case rest[0] == quote:
			s.at++
			return quotedStyle{from: from, quote: quote}, nil
		default:
			s.take(1, rest[:1])
		}
	}
	return nil, errors.New("it has no end")
}

// escapes of one letter, by the specification of YAML 1.2, section 5.7.
var escapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r",
	'e': "\x1b", ' ': " ", '"': `"`, '/': "/", '\\': `\`, 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
}

// escape reads what begins with a backslash. At the end of a line that takes the
// line break away, and the white space after it.
func (s *scanner) escape() error {
	rest := s.rest()
	if after := strings.TrimPrefix(rest[1:], "\r"); strings.HasPrefix(after, "\n") {
		s.at += len(rest) - len(strings.TrimLeft(after[1:], " \t"))
		return nil
	}
	if len(rest) < 2 {
		return errors.New("it has no end")
	}
	if text, ok := escapes[rest[1]]; ok {
		s.take(2, text)
		return nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[rest[1]]
	if digits == 0 || len(rest) < 2+digits {
		return errors.New("it has an escape that is not known")
	}
	code, err := strconv.ParseUint(rest[2:2+digits], 16, 32)
	if err != nil {
		return errors.New("it has an escape that is not known")
	}
	s.take(2+digits, string(rune(code)))
	return nil
}
