package config

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// text is the value of a key. It is not given if the key is not there, or is "".
func (s *section) text(key string) value {
	e, ok := s.entry(key)
	if !ok {
		return value{path: s.below(key), line: s.line}
	}
	return s.r.value(e)
}

// required is text that has to be there.
func (s *section) required(key, example string) value {
	v := s.text(key)
	switch _, there := s.entry(key); {
	case v.given():
	case there:
		s.r.wrong(v, "it is empty", "write for example "+key+": "+example)
	default:
		s.missing(key, example)
	}
	return v
}

// missing says that a key is not there, unless that has its reason in another error.
func (s *section) missing(key, example string) {
	if !s.unreadable && !slices.Contains(s.meant, key) {
		s.r.fail(s.line, s.below(key)+": it is missing", "write for example "+key+": "+example)
	}
}

// name is one that a store can keep and a label can have.
func (s *section) name(example string) value {
	v := s.required("name", example)
	if v.checkable() {
		s.r.checkName(v)
	}
	return v
}

func (r *reader) checkName(v value) {
	if storage.CheckElement(v.text) != nil {
		r.wrong(v, "it is no name", "use A-Z a-z 0-9 . _ - only, at most 255 of them, and no dot in front")
	}
}

// number is fallback if the key is not there.
func (s *section) number(key string, fallback int) int {
	v := s.text(key)
	if !v.checkable() {
		return fallback
	}
	n, err := strconv.Atoi(v.text)
	switch {
	case err != nil:
		s.r.wrong(v, "it is no whole number", "write for example "+key+": "+strconv.Itoa(max(fallback, 1)))
		return fallback
	case n < 0:
		s.r.wrong(v, "it is negative", "use a number from 0 on")
		return fallback
	}
	return n
}

// yes is false if the key is not there.
func (s *section) yes(key string) bool {
	v := s.text(key)
	if v.checkable() && v.text != "true" && v.text != "false" {
		s.r.wrong(v, "it is neither true nor false", "write "+key+": true or "+key+": false")
	}
	return v.text == "true"
}

// dir is the path of what does not come with the configuration, "" if there is none.
func (s *section) dir(key string) string {
	v := s.text(key)
	if !v.checkable() {
		return v.text
	}
	return s.r.inDir(v.text)
}

// file is the path of a file that is opened later.
func (s *section) file(key string) string { return s.r.plainFile(s.text(key)) }

func (r *reader) plainFile(v value) string {
	if !v.checkable() {
		return v.text
	}
	name := r.inDir(v.text)
	r.refer(PlainFile, name, v.line)
	return name
}

func (s *section) files(key string) []string {
	var names []string
	for _, v := range s.list(key) {
		names = append(names, s.r.plainFile(v))
	}
	return names
}

// list are texts. None of them is empty.
func (s *section) list(key string) []value {
	e, ok := s.entry(key)
	if !ok {
		return nil
	}
	n := resolved(e.node)
	if n.Kind != yaml.SequenceNode {
		s.r.fail(n.Line, e.path+": it has to be a list", "write each below the key with - in front, or all as [a, b]")
		return []value{{path: e.path, line: n.Line, text: Placeholder}}
	}
	var all []value
	for _, item := range n.Content {
		v := s.r.value(entry{path: e.path, line: item.Line, node: item})
		if !v.given() {
			s.r.wrong(v, "it has an empty entry", "take it out, or write [] for none at all")
			v.text = Placeholder
		}
		all = append(all, v)
	}
	return all
}

func texts(all []value) []string {
	var list []string
	for _, v := range all {
		list = append(list, v.text)
	}
	return list
}

// secret is the value of key, or what the file named by keyFile contains. One of them in a
// section overrides both in the defaults.
func (s *section) secret(key string) (Secret, value) {
	fileKey := key + "File"
	for ; s != nil; s = s.under {
		_, plain := s.entries[key]
		named, inFile := s.entries[fileKey]
		switch {
		case plain && inFile:
			s.r.fail(named.line, named.path+": "+key+" is there as well", "take one of them out")
			return Placeholder, s.text(key)
		case plain:
			v := s.text(key)
			return Secret(v.text), v
		case inFile:
			v := s.text(fileKey)
			if !v.given() {
				return "", v
			}
			return s.r.secretFile(v), v
		}
	}
	return "", value{}
}

// duration is fallback if the key is not there.
func (s *section) duration(key string, fallback time.Duration) time.Duration {
	v := s.text(key)
	if !v.checkable() {
		return fallback
	}
	d, err := schedule.ParseDuration(v.text)
	if err != nil {
		s.r.wrong(v, v.because(err), fail.Hint(err))
		return fallback
	}
	return d
}

// zones are the time zones that were loaded, by name. Each is the same pointer for the life of
// the process, so that a file that is read again has equal schedules: what time keeps
// in a location depends on the season in which it was loaded.
var zones sync.Map

// zone is UTC if the key is not there.
func (s *section) zone(key string) *time.Location {
	v := s.text(key)
	if !v.checkable() {
		return time.UTC
	}
	if known, ok := zones.Load(v.text); ok {
		return known.(*time.Location)
	}
	loc, err := time.LoadLocation(v.text)
	if v.text == time.Local.String() {
		s.r.wrong(v, "the zone of one host need not be that of another", "name it, as in Europe/Berlin")
		return time.UTC
	}
	if err != nil {
		s.r.wrong(v, "there is no such time zone", "use a name such as UTC or Europe/Berlin, with capitals as there")
		return time.UTC
	}
	known, _ := zones.LoadOrStore(v.text, loc)
	return known.(*time.Location)
}
