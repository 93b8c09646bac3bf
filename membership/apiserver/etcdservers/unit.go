package etcdservers

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// service is what systemd knows of a service after it has read the unit and its
// drop-ins.
type service struct {
	where   hierarchy
	name    string // "kube-apiserver.service"
	sources []*source
	oneshot bool
	starts  []view // the values of ExecStart=
	// environment is Environment=, and files EnvironmentFile=.
	environment, files, pass, unset []view
}

// readUnit reads a unit with all that belongs to it. Of a drop-in, it reads the
// unit, and it must be that drop-in in which the list stands.
func readUnit(fsys fs.FS, src *source) (*File, error) {
	s, err := loadService(fsys, src)
	if err != nil {
		return nil, err
	}
	f, err := s.file(src)
	if err != nil {
		return nil, err
	}
	if isDropin(src.path) && f.Path != src.path {
		return nil, &Refusal{
			Path: src.path, Reason: "does not hold the list that counts for " + s.name,
			Instead: "name " + f.Path,
		}
	}
	return f, nil
}

// isDropin tells whether a path is that of a drop-in.
func isDropin(name string) bool {
	return path.Ext(name) == ".conf" && strings.HasSuffix(path.Dir(name), ".d")
}

// loadService finds and reads the unit that src is, or belongs to.
func loadService(fsys fs.FS, src *source) (*service, error) {
	s := &service{name: path.Base(src.path)}
	dir, dropin := path.Dir(src.path), isDropin(src.path)
	if dropin {
		s.name = strings.TrimSuffix(path.Base(dir), ".d")
	}
	linked := strings.HasSuffix(dir, ".wants") || strings.HasSuffix(dir, ".requires")
	if dropin || linked {
		dir = path.Dir(dir)
	}
	if s.name == "service" || strings.HasSuffix(s.name, "-.service") {
		return nil, src.refuse(0, "belongs to several units", "name the unit that runs kube-apiserver")
	}
	s.where = hierarchyOf(fsys, dir)
	main, ok := s.where.find(s.name)
	switch {
	case dropin || linked && ok:
	case ok && !s.where.same(main, src.path):
		return nil, src.refuse(0, "does not count, since there is "+main, "name "+main)
	default:
		main = src.path
	}
	return s, s.load(main, src)
}

// load reads the main file and the drop-ins. A drop-in whose unit is not there, as
// in a pipeline that builds it, is read by itself.
func (s *service) load(main string, src *source) error {
	names, err := s.where.dropins(s.name)
	if err != nil {
		return err
	}
	if isDropin(src.path) && !slices.Contains(names, src.path) {
		return src.refuse(0, "does not count, since another drop-in has its name", "name "+s.name)
	}
	if main != "" {
		names = append([]string{main}, names...)
	}
	if main != "" && s.where.masked(main) {
		return fmt.Errorf("%s is masked: %w", s.name, ErrNotFound)
	}
	for _, name := range names {
		part := src
		if name != src.path {
			if part, err = sourceAt(s.where.fsys, name); err != nil {
				return err
			}
		}
		if name == main && part.data == "" {
			return fmt.Errorf("%s is masked: %w", s.name, ErrNotFound)
		}
		if err := s.add(part); err != nil {
			return err
		}
	}
	return nil
}

// sourceAt reads a file.
func sourceAt(fsys fs.FS, name string) (*source, error) {
	data, err := readFile(fsys, name)
	if err != nil {
		return nil, err
	}
	return &source{path: name, data: string(data)}, nil
}

// add puts a unit or drop-in on top of what was read before it.
func (s *service) add(src *source) error {
	all, err := settings(src)
	if err != nil {
		return err
	}
	s.sources = append(s.sources, src)
	lists := map[string]*[]view{
		"ExecStart": &s.starts, "Environment": &s.environment, "EnvironmentFile": &s.files,
		"PassEnvironment": &s.pass, "UnsetEnvironment": &s.unset,
	}
	for _, set := range all {
		list, ok := lists[set.name]
		switch {
		case set.section != "Service":
		case set.name == "Type":
			s.oneshot = set.value.text == "oneshot"
		case ok && set.value.text == "": // all before it is forgotten
			*list = nil
		case ok:
			*list = append(*list, set.value)
		}
	}
	return nil
}

// commands returns the command lines that systemd runs.
func (s *service) commands() ([]command, error) {
	var all []command
	for _, start := range s.starts {
		src, err := start.file()
		if err != nil {
			return nil, err
		}
		more, err := commands(start, specifiersOf(s.name))
		if err != nil {
			return nil, badUnit(src, start.line(), err)
		}
		all = append(all, more...)
		if len(all) > 1 && !s.oneshot {
			return nil, badUnit(src, start.line(), errors.New("it has more than one ExecStart="))
		}
	}
	return all, nil
}
