package etcdservers

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// shells run a command line that is one word.
var shells = []string{"sh", "bash", "dash", "ash"}

// shellScript finds the command line behind sh -c, and the words after it. ok is
// false if there is no such shell.
func shellScript(words []view) (script view, rest []view, ok bool) {
	if len(words) > 0 && path.Base(words[0].text) == "busybox" {
		words = words[1:]
	}
	if len(words) == 0 || !slices.Contains(shells, path.Base(words[0].text)) {
		return view{}, nil, false
	}
	command := false
	for i := 1; i < len(words); i++ {
		option := words[i].text
		if !strings.HasPrefix(option, "-") && !strings.HasPrefix(option, "+") {
			return words[i], words[i+1:], command
		}
		if !strings.HasPrefix(option, "--") {
			command = command || strings.Contains(option, "c")
			if strings.HasSuffix(option, "o") { // -o pipefail
				i++
			}
		}
	}
	return view{}, nil, false
}

// readCommandLine reads a plain command line for a shell: no more than one
// command with its words and redirections.
func readCommandLine(script view, env environment) ([]view, error) {
	if strings.Contains(script.text, "\r") {
		return nil, errors.New("the command line of the shell has line breaks of another system")
	}
	src := &source{data: script.text, in: script}
	parsed, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script.text), "")
	if err != nil {
		return nil, fmt.Errorf("the command line is no shell's: %w", err)
	}
	call := plainCommand(parsed)
	if call == nil {
		return nil, errors.New("is a shell script, more than one plain command line")
	}
	var words []view
	for _, w := range call.Args {
		r := shellReader{src: src, env: env}
		if err := r.parts(w.Parts, false); err != nil {
			return nil, fmt.Errorf("%w: %s", err, script.text[w.Pos().Offset():w.End().Offset()])
		}
		words = append(words, r.word.view())
	}
	if len(words) > 0 && words[0].text == "exec" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, errors.New("the command line of the shell runs nothing")
	}
	return words, nil
}

// plainCommand is the one command of a script; nil if there is anything else.
func plainCommand(script *syntax.File) *syntax.CallExpr {
	if len(script.Stmts) != 1 {
		return nil
	}
	s := script.Stmts[0]
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || s.Negated || s.Background || s.Coprocess {
		return nil
	}
	return call
}

// shellReader reads one word.
type shellReader struct {
	src  *source
	env  environment
	word text
}

func (r *shellReader) parts(parts []syntax.WordPart, quoted bool) error {
	for _, part := range parts {
		from, to := int(part.Pos().Offset()), int(part.End().Offset())
		switch p := part.(type) {
		case *syntax.Lit:
			r.literal(from, to, quoted)
		case *syntax.SglQuoted:
			if p.Dollar {
				return errors.New("quotes of that kind are not known")
			}
			r.word.addView(verbatim(r.src, from+1, to-1, shellStyle{}))
		case *syntax.DblQuoted:
			if p.Dollar {
				return errors.New("quotes of that kind are not known")
			}
			if err := r.parts(p.Parts, true); err != nil {
				return err
			}
		case *syntax.ParamExp:
			if err := r.parameter(p, from, to, quoted); err != nil {
				return err
			}
		default:
			if err := r.opaque(from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// literal reads text, without the backslashes that the shell takes away.
func (r *shellReader) literal(from, to int, quoted bool) {
	data := r.src.data
	for i := from; i < to; i++ {
		if data[i] == '\\' && i+1 < to {
			switch {
			case data[i+1] == '\n':
				i++
				continue
			case !quoted || strings.IndexByte("$`\"\\", data[i+1]) >= 0:
				i++
			}
		}
		r.word.add(data[i], place{r.src, i, i + 1, shellStyle{}})
	}
}

// parameter reads $NAME or ${NAME}. Without quotes a shell splits the value into
// words.
func (r *shellReader) parameter(p *syntax.ParamExp, from, to int, quoted bool) error {
	raw := r.src.data[from:to]
	value, ok := r.env.known[strings.Trim(raw, "${}")]
	if !ok || p.Param == nil || raw != "$"+p.Param.Value && raw != "${"+p.Param.Value+"}" {
		return r.opaque(from, to)
	}
	if !quoted && strings.ContainsAny(value.text, " \t\n*?") {
		return errors.New("the shell would make several words of the variable")
	}
	r.word.addView(value)
	return nil
}

// opaque keeps what only a shell can know as it stands: in the value of another
// flag it does no harm.
func (r *shellReader) opaque(from, to int) error {
	name, _, ok := strings.Cut(string(r.word.bytes), "=")
	if !ok || isFlag(name) || !strings.HasPrefix(name, "-") {
		return errors.New("only a shell can tell what that is")
	}
	r.word.addView(verbatim(r.src, from, to, shellStyle{}))
	return nil
}

// shellStyle is a text in the words of a shell, in quotes or not.
type shellStyle struct{}

// replace implements [style]. The list needs neither quotes nor escapes.
func (shellStyle) replace(_ *source, from, to int, text string) (edit, error) {
	if strings.Trim(text, plain+",") != "" {
		return edit{}, errors.New("it would need quotes")
	}
	return edit{from, to, text}, nil
}
