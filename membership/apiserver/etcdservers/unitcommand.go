package etcdservers

import (
	"errors"
	"fmt"
	"strings"
)

// command is one command line of ExecStart=.
type command struct {
	program view
	words   []view // as the process gets them, but for the variables; its own name first
	renamed bool   // the name is not that of the program
	literal bool   // variables are not replaced
}

// commands parses the value of an ExecStart=, as config_parse_exec() in systemd's
// load-fragment.c does. A lone semicolon separates two of them.
func commands(value view, s specifiers) ([]command, error) {
	var all []command
	var now *command
	for at := 0; at < len(value.text); {
		switch rest := value.text[at:]; {
		case now != nil && isWord(rest, ";"):
			now = nil
			at += skipBlank(rest[1:]) + 1
			continue
		case now != nil && isWord(rest, `\;`):
			now.words = append(now.words, view{";", []place{value.span(at, at+2)}})
			at += skipBlank(rest[2:]) + 2
			continue
		}
		word, next, err := nextWord(value, at, commandWords)
		if err != nil || next < 0 {
			return all, err
		}
		at = next
		switch {
		case now != nil:
			now.words = append(now.words, s.resolve(word))
		case word.text != ";":
			first, err := program(word)
			if err != nil {
				return nil, err
			}
			first.program = s.resolve(first.program)
			if !first.renamed {
				first.words = []view{first.program}
			}
			all = append(all, first)
			now = &all[len(all)-1]
		}
	}
	return all, nil
}

// skipBlank is how many bytes s begins with that stand between words.
func skipBlank(s string) int { return len(s) - len(strings.TrimLeft(s, blank)) }

// isWord tells whether s begins with a word as it stands.
func isWord(s, word string) bool {
	rest, ok := strings.CutPrefix(s, word)
	return ok && (rest == "" || strings.IndexByte(blank, rest[0]) >= 0)
}

// program takes the prefixes from the first word: systemd.service(5), table
// "Special executable prefixes".
func program(word view) (command, error) {
	var c command
	n := 0
	for ; n < len(word.text) && strings.IndexByte("-@:+!", word.text[n]) >= 0; n++ {
		switch word.text[n] {
		case '@':
			c.renamed = true
		case ':':
			c.literal = true
		}
	}
	if n == len(word.text) {
		return c, errors.New("ExecStart= names no program")
	}
	if strings.IndexByte("/%", word.text[n]) < 0 && !isName(word.text[n]) {
		return c, fmt.Errorf("ExecStart= has a prefix %q that is not known", word.text[n])
	}
	c.program = word.slice(n, len(word.text))
	return c, nil
}

// isName tells whether a byte can begin the name of a program.
func isName(b byte) bool {
	return b == '_' || b == '.' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}

// lookup returns the value of a variable.
type lookup func(name string) (view, bool)

// expand replaces the variables on a command line, as replace_env_argv() in
// systemd's env-util.c does. A variable that is not set is empty.
func (c command) expand(variable lookup) ([]view, error) {
	if c.literal {
		return c.words, nil
	}
	var all []view
	for _, word := range c.words {
		if s := word.text; !strings.HasPrefix(s, "$") || strings.HasPrefix(s, "${") || strings.HasPrefix(s, "$$") {
			all = append(all, expandBraces(word, variable))
			continue
		}
		// The whole rest is the name, so that "$A/b" is nothing.
		value, _ := variable(word.text[1:])
		parts, err := words(value, variableWords)
		if err != nil {
			return nil, err
		}
		all = append(all, parts...)
	}
	return all, nil
}

// expandBraces replaces ${VAR} and $$ in a word. Anything else stays: systemd knows
// neither "${VAR:-x}" nor "$VAR" within a word.
func expandBraces(word view, variable lookup) view {
	if strings.IndexByte(word.text, '$') < 0 {
		return word
	}
	var out text
	for i := 0; i < len(word.text); i++ {
		rest := word.text[i:]
		if strings.HasPrefix(rest, "$$") {
			out.add('$', word.span(i, i+2))
			i++
			continue
		}
		if strings.HasPrefix(rest, "${") {
			end := strings.IndexAny(rest, "}:")
			if end < 0 { // nothing closes it, so that all that follows is taken as it stands
				out.addView(word.slice(i, len(word.text)))
				break
			}
			if rest[end] == '}' {
				value, _ := variable(rest[2:end])
				out.addView(value)
				i += end
				continue
			}
		}
		out.addView(word.slice(i, i+1))
	}
	return out.view()
}
