package config

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/etcdha/etcdha/cronjobs/schedule"
)

// Read reads and checks a file. What is wrong with it is [Errors]. Relative paths in it are
// relative to its own directory.
func Read(path string, o Options) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Errors{{File: path, What: "it cannot be read: " + reason(err), Fix: "check --config, and who may read the file"}}
	}
	return read(path, data, o)
}

// reader reads one file.
type reader struct {
	path   string
	o      Options
	errors Errors

	references map[Reference]int // the first line of each, which has none itself
	// What several clusters have in common is read once. A zone has to be the same pointer for
	// all time besides: what time keeps in one differs with the season in which it was loaded.
	contents  map[string]content
	schedules map[scheduleKey]parsed
}

type scheduleKey struct {
	spec string
	zone *time.Location
}

type parsed struct {
	schedule schedule.Schedule
	interval time.Duration
	err      error
}

func read(path string, data []byte, o Options) (*File, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	r := &reader{
		path: path, o: o, references: make(map[Reference]int),
		contents: make(map[string]content), schedules: make(map[scheduleKey]parsed),
	}
	var file *File
	if root := r.parse(data); root != nil {
		file = r.file(r.section(fileShape, "", entry{line: root.Line, node: root}))
	}
	if len(r.errors) > 0 {
		return nil, r.errors.inOrder()
	}
	file.references = r.inOrder()
	return file, nil
}

func (r *reader) file(s *section) *File {
	f := &File{Path: r.path, Concurrency: s.number("concurrency", 4)}
	if f.Concurrency < 1 {
		s.wrong("concurrency", "at least one job has to be able to run", "use 1 or more; the default is 4")
	}
	f.SpoolDir = s.dir("spoolDir")
	f.Server = r.server(s.section("server"))
	f.Webhooks = r.webhooks(s)
	f.Stores = r.stores(s)
	f.Clusters = r.clusters(s, f.Stores)
	return f
}

// parse returns the only document of the file, which is a mapping, or nil.
func (r *reader) parse(data []byte) *yaml.Node {
	const example = "see the example configuration of etcdha"
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	switch {
	case errors.Is(err, io.EOF):
		r.fail(0, "it is empty", example)
		return nil
	case err != nil:
		r.malformed(data, err)
		return nil
	}
	if err = decoder.Decode(&second); err == nil {
		r.fail(second.Line, "a second document begins", "take out the --- : one file is one configuration")
	} else if !errors.Is(err, io.EOF) {
		r.malformed(data, err)
	}
	root := resolved(first.Content[0])
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		r.fail(0, "it is empty", example)
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.fail(root.Line, "it has to begin with a key such as clusters:", example)
		return nil
	}
	return root
}

func (r *reader) fail(line int, what, fix string) {
	r.errors = append(r.errors, &Error{File: r.path, Line: line, What: what, Fix: fix})
}

// refer keeps that the file refers to something.
func (r *reader) refer(kind Kind, name string, line int) {
	ref := Reference{Kind: kind, Name: name}
	if known, ok := r.references[ref]; !ok || line < known {
		r.references[ref] = line
	}
}

func (r *reader) inOrder() []Reference {
	var all []Reference
	for ref, line := range r.references {
		ref.Line = line
		all = append(all, ref)
	}
	slices.SortFunc(all, func(a, b Reference) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// inDir is the path of a file that the configuration names.
func (r *reader) inDir(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(filepath.Dir(r.path), name)
}

// reason is what the system says, without the path, which the message has already.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
