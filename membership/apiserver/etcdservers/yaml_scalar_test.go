package etcdservers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Scalars as people write them. Each byte of the text is found in the source: the
// text between two x is replaced, and nothing else changes to a parser.
func TestScalars(t *testing.T) {
	for name, data := range map[string]string{
		"plain":                     "a: oxxo",
		"plain with a comment":      "a: oxxo # x",
		"plain over lines":          "a: o xx\n  o\n\n  o\nb: 1",
		"plain in brackets":         "a: [oxxo,2]",
		"plain with a hash":         "a: o#xxo",
		"behind a tag":              "a: !!str oxxo",
		"behind an anchor":          "a: &b oxxo\nc: *b",
		"behind both":               "a: &b !!str  'oxxo'",
		"behind tabs":               "a:\t\toxxo\t# c",
		"single quotes":             "a: 'o''xx'''",
		"single quotes, lines":      "a: 'o  \n\n  xx\n   o '",
		"double quotes":             `a: "\\\"xx\x41\u00fc\U0001F600\t"`,
		"double quotes, lines":      "a: \"o\\\n   \\  xx  \n  \n  o\"",
		"JSON":                      "{\"a\":\"o\\nxx\"}",
		"literal":                   "a: |\n  o\n   xx o\n\n  o\nb: 1",
		"literal, stripped":         "a: |-\n  o\n  xx",
		"literal, kept":             "a: |+\n\n  xx\n\n\nb: 1",
		"literal, indented":         "a: |2\n    o\n  xx\n",
		"literal, CRLF":             "a: |\r\n  o\r\n  xx\r\n\r\n  o\r\nb: 1\r\n",
		"literal with a comment":    "a: |  # c\n  # no comment\n  xx\n# c\n",
		"literal in a list":         "- |\n xx\n o\n- o",
		"folded":                    "a: >\n  o\n  xx\n\n  o\n\n\n    xo\n    o\n  o\n",
		"folded, stripped":          "a: >-\n\n  o\n  xx\n\n",
		"folded, kept, CRLF":        "a: >+\r\n  o\r\n  xx\r\n\r\n\r\nb: 1",
		"after umlauts":             "{ü: ä, 'a': \"öxxö\"}",
		"after a byte order mark":   "\ufeffa: xx",
		"without an end of line":    "a:\n  - xx",
		"on the line after its key": "a:\n  oxxo",
	} {
		doc, n := scalarNode(t, data)
		s, err := doc.scalar(n)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		i := strings.Index(s.text, "xx")
		e, err := s.slice(i, i+2).replace("long:word")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after, err := apply([]byte(data), []edit{e})
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(data, "xx", "long:word", 1); string(after) != want {
			t.Errorf("%s gives %q, not %q", name, after, want)
		}
		if _, n := scalarNode(t, string(after)); n.Value != strings.Replace(s.text, "xx", "long:word", 1) {
			t.Errorf("%s reads %q", name, n.Value)
		}
	}
}

// scalarNode finds the first scalar with xx or the new word in it.
func scalarNode(t *testing.T, data string) (*document, *yaml.Node) {
	t.Helper()
	docs, err := parseYAML(&source{data: data})
	if err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	var found *yaml.Node
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && found == nil && (strings.Contains(n.Value, "xx") || strings.Contains(n.Value, "long:word")) {
			found = n
		}
		for _, child := range n.Content {
			walk(child)
		}
	}
	walk(docs[0].root)
	if found == nil {
		t.Fatalf("no scalar in %q", data)
	}
	return docs[0], found
}

// Whatever an emitter writes is found again, in every style and at any depth.
func TestRandomScalars(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	alphabet := []string{"a", "b", " ", " ", "\n", "'", `"`, `\`, ":", "#", ",", "[", "ü", "😀", "-", "\t", "$"}
	styles := []yaml.Style{0, yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle}
	for range 2000 {
		var text strings.Builder
		for range random.IntN(60) {
			text.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text.String(), Style: styles[random.IntN(len(styles))]}
		outer := n
		for depth := range random.IntN(4) {
			list := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: fmt.Sprint(depth)}, outer}}
			if random.IntN(6) == 0 {
				list.Style = yaml.FlowStyle
			}
			outer = list
		}
		var data bytes.Buffer
		encoder := yaml.NewEncoder(&data)
		encoder.SetIndent(2 + random.IntN(4))
		if err := encoder.Encode(outer); err != nil {
			t.Fatal(err)
		}
		checkScalars(t, data.String())
	}
}

// checkScalars finds the bytes of all scalars, and in their order.
func checkScalars(t *testing.T, data string) {
	t.Helper()
	docs, err := parseYAML(&source{data: data})
	if err != nil {
		return // the emitter writes what the other parser does not take, such as a tab at the start
	}
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		for _, child := range n.Content {
			walk(child)
		}
		if n.Kind != yaml.ScalarNode {
			return
		}
		s, err := docs[0].scalar(n)
		if err != nil {
			t.Fatalf("%v in %q", err, data)
		}
		if s.text != n.Value {
			t.Fatalf("%q is %q in %q", n.Value, s.text, data)
		}
		for i, p := range s.from {
			if p.from < s.start || p.to > s.end || i > 0 && p.from < s.from[i-1].to && p.from != s.from[i-1].from {
				t.Fatalf("byte %d of %q is not in its place in %q", i, s.text, data)
			}
		}
	}
	walk(docs[0].root)
}
