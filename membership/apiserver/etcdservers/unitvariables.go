package etcdservers

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// variables are what the environment of a service is known to be.
type variables struct {
	set    map[string]assignment
	unsure map[string]string // why a variable, by its name, is not known
	files  []*source         // that were read
	// missing is a file that systemd would not start the service without.
	missing string
	// empty are the variables that were asked for and are not set.
	empty []string
}

// variables reads the environment: Environment=, and over it the files, the later
// ones over the earlier.
func (s *service) variables() (*variables, error) {
	v := &variables{set: map[string]assignment{}, unsure: map[string]string{}}
	names := specifiersOf(s.name)
	for _, value := range s.environment {
		// What stands behind a mistake is ignored.
		parts, _ := words(value, assignmentWords)
		for _, part := range parts {
			part = names.resolve(part)
			name, _, ok := strings.Cut(part.text, "=")
			if ok && validName.MatchString(name) {
				v.set[name] = assignment{name: name, value: part.slice(len(name)+1, len(part.text))}
			}
		}
	}
	for _, value := range s.files {
		if err := s.readFiles(names.resolve(value), v); err != nil {
			return nil, err
		}
	}
	for _, value := range s.pass {
		for _, name := range strings.Fields(value.text) {
			if _, ok := v.set[name]; !ok {
				v.unsure[name] = "the manager of systemd passes " + name
			}
		}
	}
	for _, value := range s.unset {
		for _, name := range strings.Fields(value.text) {
			name, value, both := strings.Cut(name, "=")
			if !both || v.set[name].value.text == value {
				delete(v.set, name)
			}
		}
	}
	return v, nil
}

// readFiles reads what one EnvironmentFile= names.
func (s *service) readFiles(value view, v *variables) error {
	name, optional := strings.CutPrefix(value.text, "-")
	src, err := value.file()
	if err != nil {
		return err
	}
	if !path.IsAbs(name) {
		return nil // ignored with a warning
	}
	if strings.Contains(name, "%") && value.unknowable() != "" {
		v.missing = name
		return nil
	}
	files := []string{s.where.root + path.Clean(name)}
	if strings.ContainsAny(name, "*?[") {
		if files, err = s.where.glob(files[0]); err != nil {
			return badUnit(src, value.line(), err)
		}
	}
	read, err := v.read(s.where.fsys, files)
	if err == nil && read == 0 && !optional {
		v.missing = name
	}
	return err
}

// read puts the variables of those files that are there over the others, and
// returns how many there are.
func (v *variables) read(fsys fs.FS, files []string) (int, error) {
	read := 0
	for _, file := range files {
		part, err := sourceAt(fsys, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return read, err
		}
		all, err := environmentOf(part)
		if err != nil {
			return read, err
		}
		maps.Copy(v.set, all)
		v.files = append(v.files, part)
		read++
	}
	return read, nil
}

// glob returns the files that match, in the order in which systemd reads them.
func (h hierarchy) glob(pattern string) ([]string, error) {
	found, err := fs.Glob(listing(h.fsys), inside(pattern))
	if err != nil {
		return nil, fmt.Errorf("match %s: %w", pattern, err)
	}
	var all []string
	for _, name := range found {
		if !strings.HasPrefix(path.Base(name), ".") || strings.HasPrefix(path.Base(pattern), ".") {
			all = append(all, "/"+name)
		}
	}
	slices.Sort(all)
	return all, nil
}

// lookup returns the value of a variable. One that is not known keeps its name, in
// bytes that nobody can replace.
func (v *variables) lookup(at place) lookup {
	return func(name string) (view, bool) {
		a, ok := v.set[name]
		why := v.unsure[name]
		switch {
		case why != "":
		case v.missing != "":
			why = v.missing + " is not there"
		case a.doubt != "":
			why = a.doubt
		default:
			if !ok {
				v.empty = append(v.empty, name)
			}
			return a.value, ok
		}
		at.style = unknown{why}
		var out text
		for _, c := range []byte("${" + name + "}") {
			out.add(c, at)
		}
		return out.view(), true
	}
}

// nameOf returns the variable whose value a byte stands in; "" for none.
func (v *variables) nameOf(p place) string {
	for name, a := range v.set {
		if slices.Contains(a.value.from, p) {
			return name
		}
	}
	return ""
}

// shell returns the variables as a shell sees them that the service starts.
func (v *variables) shell() environment {
	env := environment{known: map[string]view{}, unknown: map[string]bool{}}
	if v.missing != "" {
		return env
	}
	for name, a := range v.set {
		if v.unsure[name] == "" && a.doubt == "" {
			env.known[name] = a.value
		}
	}
	return env
}
