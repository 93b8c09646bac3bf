package etcdservers

import (
	"errors"
	"strings"
)

// block reads a scalar of lines, of which the value tells the end. The first line
// with something in it tells how far it is indented: a header may say so, too,
// and the lines may begin with spaces of their own.
func (s *scanner) block(value string, folded bool) (style, error) {
	header := s.at
	if s.nextLine() == 0 {
		return nil, errors.New("it has no lines")
	}
	indent := spaces(firstText(s.rest())) - spaces(firstText(value))
	if indent < 0 {
		return nil, errors.New("its indentation is not known")
	}
	s.skipIndent(indent)
	for len(s.text) < len(value) {
		left := value[len(s.text):]
		switch rest := s.rest(); {
		case rest == "":
			return nil, errors.New("it has no end")
		case rest[0] != '\n' && !strings.HasPrefix(rest, "\r\n"):
			s.take(1, rest[:1])
		case folded:
			s.foldBlock(left, indent)
		default:
			from := s.at
			s.nextLine()
			s.at, from = from, s.at-from
			s.take(from, "\n")
			s.skipIndent(indent)
		}
	}
	return blockStyle{header: header, indent: indent, folded: folded}, nil
}

// nextLine goes to the beginning of the next line, and returns how far that was;
// 0 if there is none.
func (s *scanner) nextLine() int {
	n := strings.IndexByte(s.rest(), '\n') + 1
	s.at += n
	return n
}

// skipIndent skips the indentation of a line. Empty lines may have less.
func (s *scanner) skipIndent(indent int) {
	s.at += min(indent, spaces(s.rest()))
}

// foldBlock reads the line breaks up to the next text in a folded scalar. left is
// what the value still has: it knows whether they are a space, or how many line
// breaks they are, which depends on the lines around.
func (s *scanner) foldBlock(left string, indent int) {
	from := s.at
	for s.at < len(s.src.data) {
		rest := s.rest()
		if rest[0] != '\n' && !strings.HasPrefix(rest, "\r\n") {
			break
		}
		s.nextLine()
		s.skipIndent(indent)
	}
	n := s.at - from
	s.at = from
	if left[0] == ' ' {
		s.take(n, " ")
		return
	}
	s.take(n, left[:max(1, len(left)-len(strings.TrimLeft(left, "\n")))])
}

// firstText is the rest from the beginning of the first line that is not empty.
func firstText(text string) string {
	for line := range strings.Lines(text) {
		if strings.Trim(line, " \r\n") != "" {
			break
		}
		text = text[len(line):]
	}
	return text
}

func spaces(text string) int { return len(text) - len(strings.TrimLeft(text, " ")) }
