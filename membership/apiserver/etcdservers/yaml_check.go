package etcdservers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// decodeDocuments reads a text by the parser that kubelet and kubeadm use, which
// is not the one that finds positions. No key may come twice.
func decodeDocuments(data []byte) ([]any, error) {
	var docs []any
	for _, doc := range splitDocuments(data) {
		text, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			return nil, fmt.Errorf("is no YAML: %w", err)
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("is no YAML: %w", err)
		}
		docs = append(docs, value)
	}
	return docs, nil
}

// change is a value that is not the same before and after.
type change struct {
	path          string
	before, after any
}

// changes compares two values.
func changes(path string, before, after any) []change {
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		if !ok || len(a) != len(b) {
			break
		}
		var all []change
		for key, value := range b {
			other, ok := a[key]
			if !ok {
				return []change{{path, before, after}}
			}
			all = append(all, changes(path+"."+key, value, other)...)
		}
		return all
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		var all []change
		for i := range b {
			all = append(all, changes(fmt.Sprintf("%s[%d]", path, i), b[i], a[i])...)
		}
		return all
	}
	if reflect.DeepEqual(before, after) {
		return nil
	}
	return []change{{path, before, after}}
}

// recheckFlag sees to it that one string has changed, and in it the old list to
// the new one.
func recheckFlag(old string) func(before, after []byte, servers []string) error {
	return func(before, after []byte, servers []string) error {
		b, err := decodeDocuments(before)
		if err != nil {
			return err
		}
		a, err := decodeDocuments(after)
		if err != nil {
			return err
		}
		all := changes("", b, a)
		for _, c := range all {
			was, isString := c.before.(string)
			is, ok := c.after.(string)
			if !isString || !ok || !replaces(was, is, old, strings.Join(servers, ",")) {
				return fmt.Errorf("%s would change as well", c.path)
			}
		}
		if len(all) > 1 {
			return fmt.Errorf("%s and %s would both change", all[0].path, all[1].path)
		}
		return nil
	}
}

// replaces tells whether after is before with one old text replaced.
func replaces(before, after, old, text string) bool {
	for i := 0; ; i++ {
		next := strings.Index(before[i:], old)
		if next < 0 || old == "" {
			return false
		}
		i += next
		if after == before[:i]+text+before[i+len(old):] {
			return true
		}
	}
}

// recheckEndpoints sees to it that the endpoints of the configuration have
// changed and nothing else.
func recheckEndpoints(before, after []byte, servers []string) error {
	rest, _, err := takeEndpoints(before)
	if err != nil {
		return err
	}
	restAfter, is, err := takeEndpoints(after)
	if err != nil {
		return err
	}
	if !slices.Equal(is, servers) {
		return fmt.Errorf("the list would read %q to another parser", is)
	}
	if all := changes("", rest, restAfter); len(all) > 0 {
		return fmt.Errorf("%s would change as well", all[0].path)
	}
	return nil
}

// takeEndpoints takes the endpoints out of a configuration, and returns the rest
// and them. The configuration may be in a ConfigMap.
func takeEndpoints(data []byte) (rest []any, endpoints []string, err error) {
	rest, err = decodeDocuments(data)
	if err != nil {
		return nil, nil, err
	}
	for _, doc := range rest {
		if inner, ok := dig(doc, "data", configKey).(string); ok && dig(doc, "kind") == "ConfigMap" {
			delete(dig(doc, "data").(map[string]any), configKey)
			inside, endpoints, err := takeEndpoints([]byte(inner))
			return append(rest, inside...), endpoints, err
		}
		if external, ok := dig(doc, "etcd", "external").(map[string]any); ok && dig(doc, "kind") == configKey {
			list, _ := external["endpoints"].([]any)
			for _, endpoint := range list {
				endpoints = append(endpoints, fmt.Sprint(endpoint))
			}
			if !reflect.DeepEqual(external["httpEndpoints"], external["endpoints"]) && external["httpEndpoints"] != nil {
				return nil, nil, errors.New("httpEndpoints would be another list")
			}
			delete(external, "endpoints")
			delete(external, "httpEndpoints")
			return rest, endpoints, nil
		}
	}
	return nil, nil, errors.New("another parser does not find the list")
}

// dig returns the value at the keys, nil if there is none.
func dig(value any, keys ...string) any {
	for _, key := range keys {
		m, _ := value.(map[string]any)
		value = m[key]
	}
	return value
}
