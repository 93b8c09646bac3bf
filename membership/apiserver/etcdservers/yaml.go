package etcdservers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document is one document of a text in YAML. JSON is YAML.
type document struct {
	src   *source
	root  *yaml.Node // what is in it; nil if it is empty
	lines []int      // where each line of the text begins
	flow  map[*yaml.Node]bool
}

const bom = "\ufeff"

// readYAML reads a manifest or a configuration of kubeadm.
func readYAML(_ fs.FS, src *source) (*File, error) {
	docs, err := parseYAML(src)
	if err != nil {
		return nil, src.refuse(0, err.Error(), "put the file in order first")
	}
	if slices.ContainsFunc(docs, (*document).isKubeadm) {
		return readClusterConfiguration(src, docs)
	}
	// kubelet reads the first document of a file and no other one.
	if len(docs) > 0 && docs[0].text("kind") == "Pod" {
		if strings.HasPrefix(strings.TrimSpace(src.data), "{") && !json.Valid([]byte(src.data)) {
			return nil, src.refuse(0, "begins as JSON does, so that kubelet reads it as JSON, and it is none", "put the file in order first")
		}
		return readPod(docs[0])
	}
	if !mentionsFlag(src.data) {
		return nil, fmt.Errorf("%s: %w", src.path, ErrNotFound)
	}
	for _, d := range docs {
		if d.text("kind") == "Pod" {
			return nil, src.refuse(0, "holds several documents, and kubelet reads only the first one", "put the Pod into a file of its own")
		}
	}
	kind := "of another system"
	if len(docs) > 0 && docs[0].text("kind") != "" {
		kind = "a " + docs[0].text("kind")
	}
	return nil, src.refuse(0, "is "+kind+", which kubelet does not run as a static pod", "change the list where that system takes it from")
}

// parseYAML reads all documents of a text. Keys must not come twice.
func parseYAML(src *source) ([]*document, error) {
	if _, err := decodeDocuments([]byte(src.data)); err != nil {
		if strings.Contains(src.data, `\/`) && json.Valid([]byte(src.data)) { // the parsers of YAML do not know it
			err = errors.New(`has slashes with a backslash, which JSON allows and does not need`)
		}
		return nil, err
	}
	if strings.ContainsAny(strings.ReplaceAll(src.data, "\r\n", "\n"), "\r\u0085\u2028\u2029") {
		return nil, errors.New("has line breaks that not every parser takes for such")
	}
	lines := []int{0}
	if strings.HasPrefix(src.data, bom) {
		lines[0] = len(bom)
	}
	for i := range len(src.data) {
		if src.data[i] == '\n' {
			lines = append(lines, i+1)
		}
	}
	var docs []*document
	for decoder := yaml.NewDecoder(strings.NewReader(src.data)); ; {
		var n yaml.Node
		err := decoder.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, fmt.Errorf("is no YAML: %w", err)
		}
		d := &document{src: src, lines: lines, flow: map[*yaml.Node]bool{}}
		if len(n.Content) > 0 {
			d.root = n.Content[0]
			d.findFlow(d.root, false)
		}
		docs = append(docs, d)
	}
}

// findFlow notes which scalars stand in brackets or braces.
func (d *document) findFlow(n *yaml.Node, flow bool) {
	flow = flow || n.Style&yaml.FlowStyle != 0
	d.flow[n] = flow
	for _, child := range n.Content {
		d.findFlow(child, flow)
	}
}

// offset is where a node begins in the text.
func (d *document) offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(d.lines) {
		return 0, errors.New("its place is not known")
	}
	at := d.lines[n.Line-1]
	for range n.Column - 1 { // columns are characters
		_, size := utf8.DecodeRuneInString(d.src.data[at:])
		at += size
	}
	// A tag and an anchor stand before what they belong to.
	for at < len(d.src.data) && (d.src.data[at] == '&' || d.src.data[at] == '!') {
		end := strings.IndexAny(d.src.data[at:], " \t\r\n")
		if end < 0 {
			return 0, errors.New("its place is not known")
		}
		at += end
		at += len(d.src.data[at:]) - len(strings.TrimLeft(d.src.data[at:], " \t"))
	}
	return at, nil
}

// field returns the value of a key, through several keys; nil if it is not there.
func field(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		n = resolve(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		i := 0
		for i < len(n.Content) && n.Content[i].Value != key {
			i += 2
		}
		if i+1 >= len(n.Content) {
			return nil
		}
		n = n.Content[i+1]
	}
	return resolve(n)
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// items are the elements of a list; none if there is no list.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	all := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		all[i] = resolve(item)
	}
	return all
}

// text is the value of a scalar at the keys; "" if there is none.
func (d *document) text(keys ...string) string { return textOf(field(d.root, keys...)) }

func textOf(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// refuse is a refusal of the file that the text stands in.
func (s *source) refuse(line int, reason, instead string) *Refusal {
	return &Refusal{Path: s.path, Line: line, Reason: reason, Instead: instead}
}

// firstKey is a key of YAML on a line of its own or before a value.
var firstKey = regexp.MustCompile(`^["']?[A-Za-z][\w.-]*["']?\s*:(\s|$)`)

// looksLikeYAML tells YAML and JSON from an environment file by the first line
// that says something.
func looksLikeYAML(data string) bool {
	for line := range strings.Lines(strings.TrimPrefix(data, bom)) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			continue
		}
		return strings.HasPrefix(line, "{") || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "%YAML") ||
			firstKey.MatchString(line)
	}
	return false
}

// flagMention finds the flag in any text, and not a longer one.
var flagMention = regexp.MustCompile(`--etcd[-_]servers($|[^-_A-Za-z0-9])`)

func mentionsFlag(text string) bool { return flagMention.MatchString(text) }

// splitDocuments splits a text where a line begins with three dashes, which can
// mean nothing else in YAML.
func splitDocuments(data []byte) [][]byte {
	var docs [][]byte
	var doc []byte
	for line := range bytes.Lines(data) {
		rest, ok := bytes.CutPrefix(line, []byte("---"))
		if ok && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n")) && len(bytes.TrimSpace(doc)) > 0 {
			docs = append(docs, doc)
			doc = nil
		}
		doc = append(doc, line...)
	}
	return append(docs, doc)
}
