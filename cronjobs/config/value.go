package config

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Placeholder stands for what is not known where a file is read without its secrets. A
// value that contains it is not checked, but for being there.
const Placeholder = "(not known here)"

// entry is a key of a section, and what it has.
type entry struct {
	path string // such as clusters.production.tls.caFile
	line int    // of the key
	node *yaml.Node
}

// value is a text of the file, after ${NAME} was replaced.
type value struct {
	path string
	line int
	text string // "" if the key is not there or has nothing to say
	raw  string // as in the file, where a variable has only its name
}

func (v value) given() bool { return v.text != "" }

// unknown tells that nothing can be said about its content.
func (v value) unknown() bool { return strings.Contains(v.text, Placeholder) }

// checkable tells whether there is something to check.
func (v value) checkable() bool { return v.given() && !v.unknown() }

// because is what a parser says of the text, unless that could repeat a variable.
func (v value) because(err error) string {
	if v.text != v.raw {
		return strconv.Quote(v.raw) + " stands for something that is not valid"
	}
	return err.Error()
}

func (r *reader) wrong(v value, what, fix string) { r.fail(v.line, v.path+": "+what, fix) }

// resolved follows an alias.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// value reads one text, of any type of YAML. What cannot be read is told, and unknown.
func (r *reader) value(e entry) value {
	n := resolved(e.node)
	v := value{path: e.path, line: n.Line, text: Placeholder}
	switch {
	case n.Kind == yaml.MappingNode:
		r.wrong(v, "it is a mapping, and has to be one value", "write it behind the colon")
		return v
	case n.Kind == yaml.SequenceNode:
		r.wrong(v, "it is a list, and has to be one value", "write it behind the colon, without - and []")
		return v
	case !r.untagged(n, e.path):
		return v
	case n.Tag == "!!null":
		r.wrong(v, "it has no value", "give it one, or take the key out")
		return v
	}
	v.raw = n.Value
	v.text = r.expand(v)
	return v
}

// untagged refuses tags such as !!binary, which would change what is read.
func (r *reader) untagged(n *yaml.Node, path string) bool {
	if n.Style&yaml.TaggedStyle != 0 {
		r.fail(n.Line, path+": it has a tag of YAML", "take out the tag; quote a text that begins with !")
		return false
	}
	return true
}

var reference = regexp.MustCompile(`\$\$|\$\{([^}]*)(\}?)`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces ${NAME}, and $$ by $. A variable's content is not looked at again.
func (r *reader) expand(v value) string {
	ok := true
	text := reference.ReplaceAllStringFunc(v.raw, func(found string) string {
		if found == "$$" {
			return "$"
		}
		m := reference.FindStringSubmatch(found)
		value, good := r.variable(v, m[1], m[2] != "")
		ok = ok && good
		return value
	})
	if !ok {
		return Placeholder // one error is enough
	}
	return text
}

func (r *reader) variable(v value, name string, closed bool) (string, bool) {
	const literal = "; a literal $ is written $$"
	switch {
	case !closed:
		r.wrong(v, "${ is not closed", "write ${NAME}"+literal)
		return "", false
	case !variableName.MatchString(name):
		r.wrong(v, "between ${ and } is no name of a variable", "write ${NAME}, with letters, digits and _"+literal)
		return "", false
	}
	r.refer(Variable, name, v.line)
	switch content, ok := r.o.LookupEnv(name); {
	case !ok:
		r.wrong(v, "the variable "+name+" is not set", "set it in the environment of the daemon"+literal)
		return "", false
	case content == "":
		r.wrong(v, "the variable "+name+" is empty", "fill it, or take ${"+name+"} out")
		return "", false
	default:
		return content, true
	}
}

// content is the first line of a file that holds a secret.
type content struct {
	text string
	what string // is wrong with it
}

// secretFile reads a value that is kept in a file.
func (r *reader) secretFile(v value) Secret {
	if v.unknown() {
		return Placeholder
	}
	name := r.inDir(v.text)
	r.refer(SecretFile, name, v.line)
	c, ok := r.contents[name]
	if !ok {
		c = r.firstLine(name)
		r.contents[name] = c
	}
	if c.what != "" {
		r.wrong(v, c.what, "write the value into the first line of "+strconv.Quote(r.inDir(v.raw))+", readable by the daemon")
		return Placeholder
	}
	return Secret(c.text)
}

func (r *reader) firstLine(name string) content {
	data, err := r.o.ReadFile(name)
	if err != nil {
		return content{what: "the file cannot be read: " + reason(err)}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return content{what: "the first line of the file is empty"}
	}
	return content{text: line}
}
