package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// object is one of YAML, in the order in which people read it. A field without a value is not
// there.
type object []field

// field has a value that is a string, a bool, a number, an object, a list of strings or of
// objects, or one of them with a comment.
type field struct {
	key   string
	value any
}

// because is a value and the comment above it: why it is what it is.
type because struct {
	why   string
	value any
}

// octal is the mode of a file.
type octal int

// YAML renders a document for each object. A comment at the top says what has to be
// there before.
func (m *Manifest) YAML() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# %s. What is secret is referred to, and not in here.\n", m.title)
	for i, command := range m.prepare {
		if i == 0 {
			fmt.Fprint(&out, "# Before it is applied, these make what it refers to, from files beside the configuration:\n")
		}
		fmt.Fprintf(&out, "#   %s\n", command)
	}
	for _, o := range m.objects {
		fmt.Fprint(&out, "---\n")
		enc := yaml.NewEncoder(&out)
		enc.SetIndent(2)
		if err := enc.Encode(node(o)); err != nil {
			return nil, fmt.Errorf("render objects: %w", err)
		}
	}
	return out.Bytes(), nil
}

// JSON renders a List of the objects, without comments.
func (m *Manifest) JSON() ([]byte, error) {
	list := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Items      []any  `json:"items"`
	}{"v1", "List", nil}
	for _, o := range m.objects {
		var item any
		if err := node(o).Decode(&item); err != nil {
			return nil, fmt.Errorf("render objects: %w", err)
		}
		list.Items = append(list.Items, item)
	}
	data, err := json.MarshalIndent(list, "", "  ")
	return append(data, '\n'), err
}

func node(value any) *yaml.Node {
	n := &yaml.Node{}
	switch v := value.(type) {
	case because:
		return node(v.value)
	case object:
		n.Kind = yaml.MappingNode
		for _, f := range v {
			if f.value == nil {
				continue
			}
			key := &yaml.Node{Kind: yaml.ScalarNode, Value: f.key}
			if b, ok := f.value.(because); ok {
				key.HeadComment = b.why
			}
			n.Content = append(n.Content, key, node(f.value))
		}
	case []object:
		n.Kind = yaml.SequenceNode
		for _, o := range v {
			n.Content = append(n.Content, node(o))
		}
	case []string:
		n.Kind = yaml.SequenceNode
		for _, s := range v {
			n.Content = append(n.Content, node(s))
		}
	case octal:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!int", fmt.Sprintf("%#o", int(v))
	default:
		// Only what has methods of its own can fail, and none of these has.
		_ = n.Encode(v)
	}
	return n
}
