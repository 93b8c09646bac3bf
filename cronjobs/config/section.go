package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/etcdha/etcdha/storage"
)

// section is a mapping of the file, with the defaults below it.
type section struct {
	r          *reader
	shape      *shape // nil: any keys
	path       string
	line       int
	entries    map[string]entry
	order      []string            // of the keys
	meant      []string            // keys that were misspelt, and so are not missed
	unreadable bool                // in part at least, which was told: what is missing is not
	under      *section            // the section of the defaults that this one overrides by key; nil: none
	cached     map[string]*section // so that the defaults are read once, and not for each cluster
}

// section reads the mapping of an entry. One that is none is told, and empty.
func (r *reader) section(k *shape, path string, e entry) *section {
	s := &section{r: r, shape: k, path: path, line: e.line, entries: make(map[string]entry), cached: make(map[string]*section)}
	n := resolved(e.node)
	if !r.untagged(n, cmp.Or(path, "the file")) {
		s.unreadable = true
		return s
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, path+": it has to be a section with keys", s.mappingFix(n))
		s.unreadable = true
		return s
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		s.add(n.Content[i], n.Content[i+1])
	}
	return s
}

func (s *section) mappingFix(n *yaml.Node) string {
	switch {
	case n.Tag == "!!null":
		return "write its keys below it, further to the right, or take the key out"
	case s.shape == jobShape:
		return `write it as {schedule: "0 * * * *"}`
	case s.shape == nil:
		return "write lines of NAME: VALUE below it"
	}
	return "write its keys below it: " + strings.Join(s.shape.keys, ", ")
}

func (s *section) add(key, node *yaml.Node) {
	key = resolved(key)
	where := s.below(key.Value)
	switch {
	case key.Kind != yaml.ScalarNode:
		s.r.fail(key.Line, s.at("a key is a mapping or a list"), "quote a key that begins with { or [")
	case key.Tag == "!!merge":
		s.unreadable = true
		s.r.fail(key.Line, s.at("merge keys (<<) are not used here"), "what clusters have in common goes into defaults")
	case s.entries[key.Value].node != nil:
		s.r.fail(key.Line, where+": the key is there twice", fmt.Sprintf("take one of them out; the other is in line %d", s.entries[key.Value].line))
	case s.shape != nil && !s.shape.has(key.Value):
		s.meant = append(s.meant, s.shape.nearest(key.Value))
		s.r.fail(key.Line, where+": there is no such key", s.shape.fix(key.Value))
	default:
		s.entries[key.Value] = entry{path: where, line: key.Line, node: node}
		s.order = append(s.order, key.Value)
	}
}

// at names the section in front of what.
func (s *section) at(what string) string {
	if s.path == "" {
		return what
	}
	return s.path + ": " + what
}

func (s *section) below(key string) string {
	if storage.CheckElement(key) != nil {
		key = strconv.Quote(key)
	}
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

// entry returns that of the section itself, or else that of the defaults.
func (s *section) entry(key string) (entry, bool) {
	for ; s != nil; s = s.under {
		if e, ok := s.entries[key]; ok {
			return e, true
		}
	}
	return entry{}, false
}

// wrong says what is wrong with a key, or with the section if it is not there.
func (s *section) wrong(key, what, fix string) {
	e, ok := s.entry(key)
	if !ok {
		e = entry{path: s.below(key), line: s.line}
	}
	s.r.fail(e.line, e.path+": "+what, fix)
}

// section returns the section below a key, merged with that of the defaults. It is empty if
// neither is there.
func (s *section) section(key string) *section {
	if known, ok := s.cached[key]; ok {
		return known
	}
	found := &section{r: s.r, shape: s.shape.below[key], path: s.below(key), line: s.line, cached: make(map[string]*section)}
	if e, ok := s.entries[key]; ok {
		found = s.r.section(found.shape, e.path, e)
	}
	if s.under != nil {
		found.under = s.under.section(key)
	}
	s.cached[key] = found
	return found
}

// sections are those of a list, nil if there is no list.
func (s *section) sections(key string) []*section {
	e, ok := s.entry(key)
	if !ok {
		return nil
	}
	n := resolved(e.node)
	if n.Kind != yaml.SequenceNode {
		s.r.fail(n.Line, e.path+": it has to be a list", "begin each with - name: and its name")
		return nil
	}
	all := []*section{}
	for i, item := range n.Content {
		path := fmt.Sprintf("%s[%d]", e.path, i)
		if name := nameOf(resolved(item)); name != "" {
			path = e.path + "." + name
		}
		all = append(all, s.r.section(s.shape.below[key], path, entry{line: item.Line, node: item}))
	}
	return all
}

// nameOf is the name that a mapping gives itself, if it is one that can be shown.
func nameOf(n *yaml.Node) string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name := n.Content[i+1].Value; n.Content[i].Value == "name" && storage.CheckElement(name) == nil {
			return name
		}
	}
	return ""
}

// free is a section whose keys are names that the reader of the file makes up. It replaces
// that of the defaults as a whole.
func (s *section) free(key string) *section {
	e, ok := s.entry(key)
	if !ok {
		return &section{r: s.r, path: s.below(key), line: s.line}
	}
	return s.r.section(nil, e.path, e)
}
