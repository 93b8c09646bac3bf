package config_test

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/config"
)

var documented = regexp.MustCompile("^\\| `([^`]+)` \\|")

// The documentation has the keys that the reader knows, in the same sections and order.
func TestDocumentationHasAllKeys(t *testing.T) {
	data, err := os.ReadFile("../../docs/daemon-config.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections [][]string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			sections = append(sections, []string{title})
		}
		if m := documented.FindStringSubmatch(line); m != nil {
			last := len(sections) - 1
			sections[last] = append(sections[last], m[1])
		}
	}
	if got, want := sections[1:], config.Keys(); !reflect.DeepEqual(got, want) { // the first has rules and no keys
		t.Errorf("documented are\n%v\nand known\n%v", got, want)
	}
}

// The example of the documentation is read, and its error is the one that is given.
func TestDocumentationIsTrue(t *testing.T) {
	data, err := os.ReadFile("../../docs/daemon-config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "backs something up:\n\n")
	block, rest, _ := strings.Cut(rest, "\n\n`")
	example := strings.ReplaceAll(block, "\n    ", "\n")
	example = strings.TrimPrefix(example, "    ") + "\n"
	file, err := config.ReadData("config.yaml", []byte(example), world)
	if err != nil || len(file.Clusters) != 1 || len(file.Clusters[0].Jobs) != 1 {
		t.Fatalf("the example is %v: %v\n%s", file, err, example)
	}
	_, rest, _ = strings.Cut(rest, "    config.yaml")
	want, _, _ := strings.Cut("config.yaml"+rest, "\n")
	_, err = config.ReadData("config.yaml", []byte(strings.Replace(example, "{schedule", "{shedule", 1)), world)
	if err == nil || err.Error() != want {
		t.Errorf("the error is\n%v\nand documented as\n%s", err, want)
	}
}

// The example has every key, in use or commented out, and is right.
func TestExampleHasAllKeys(t *testing.T) {
	const path = "../../deploy/config.example.yaml"
	file := read(t, path, world)
	if len(file.Clusters) != 2 || len(file.Clusters[0].Jobs) != len(config.JobNames) || file.Clusters[0].Local == "" {
		t.Errorf("its clusters are %+v", file.Clusters)
	}
	if got := jobsOf(file.Clusters[1]); !strings.Contains(got, "snapshot @every 6h 1h0m0s 30m0s") || strings.Contains(got, "rehearse") {
		t.Errorf("jobs of its second cluster are %s", got)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A key in use is followed by a colon; one that is commented out, or another way, stands in a
	// comment, and there as a word of its own.
	var used, commented []byte
	for line := range bytes.Lines(data) {
		code, comment, _ := bytes.Cut(line, []byte("#"))
		used, commented = append(used, code...), append(commented, comment...)
		used, commented = append(used, '\n'), append(commented, '\n')
	}
	for _, section := range config.Keys() {
		for _, key := range section[1:] {
			inUse := regexp.MustCompile(`(?m)(^|[\s{-])` + key + `:`).Match(used)
			asComment := regexp.MustCompile(`(?m)(^|or )\s*` + key + `(:| *$)`).Match(commented)
			if !inUse && !asComment {
				t.Errorf("it does not have %s of %s", key, section[0])
			}
		}
	}
}
