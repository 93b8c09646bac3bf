package etcdservers

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// flagValue finds the one value of the flag among the words of a command line, as
// --flag=value or as two words. ok is false if the flag is not there.
func flagValue(words []view) (value view, ok bool, err error) {
	for i, w := range words {
		name, _, both := strings.Cut(w.text, "=")
		if !isFlag(name) {
			continue
		}
		var found view
		rest := words[i+1:]
		switch {
		case both:
			found = w.slice(len(name)+1, len(w.text))
		case len(rest) == 0:
			return view{}, false, fmt.Errorf("%s has no value", w.text)
		default:
			found, rest = rest[0], rest[1:]
		}
		if len(rest) > 0 && strings.Contains(rest[0].text, "://") && !strings.HasPrefix(rest[0].text, "-") {
			return view{}, false, errors.New("a URL stands behind the list as a word of its own, which kube-apiserver does not take")
		}
		if ok {
			return view{}, false, fmt.Errorf("%s is given twice, and kube-apiserver adds one to the other", FlagName)
		}
		value, ok = found, true
	}
	return value, ok, nil
}

// isFlag tells whether a word is the name of the flag; kube-apiserver takes
// underscores for dashes.
func isFlag(name string) bool { return strings.ReplaceAll(name, "_", "-") == FlagName }

// hasFlag tells whether a word is the flag, alone or with its value.
func hasFlag(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	return isFlag(name)
}

// rewriteFlag replaces the value of the flag.
func rewriteFlag(value view) func([]string) ([]edit, error) {
	return func(servers []string) ([]edit, error) {
		e, err := value.replace(strings.Join(servers, ","))
		return []edit{e}, err
	}
}

// texts are the words of a command line as the process gets them.
func texts(words []view) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.text
	}
	return all
}

// withoutServers is a command line but for the value of the flag.
func withoutServers(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		if name, _, both := strings.Cut(arg, "="); isFlag(name) && both {
			args[i] = name + "="
		} else if isFlag(name) && i+1 < len(args) {
			args[i+1] = ""
		}
	}
	return args
}

// Value returns the value of another flag of the command line, such as
// "--etcd-cafile"; the last one if it is given several times.
func (f *File) Value(flag string) (value string, ok bool) {
	for i, arg := range f.Args {
		switch name, v, both := strings.Cut(arg, "="); {
		case strings.ReplaceAll(name, "_", "-") != flag:
		case both:
			value, ok = v, true
		case i+1 < len(f.Args):
			value, ok = f.Args[i+1], true
		}
	}
	return value, ok
}

// HostPath is where a file, which the command line names, lies on the host. In a
// container that may be elsewhere.
func (f *File) HostPath(name string) string {
	best := mount{}
	for _, m := range f.mounts {
		if within(name, m.container) && len(m.container) > len(best.container) {
			best = m
		}
	}
	if best.container == "" {
		return name
	}
	return path.Join(best.host, strings.TrimPrefix(name, best.container))
}

// within tells whether name is dir or lies in it.
func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// apiServer is what kube-apiserver is called, as a program or as an image: with a
// version, a platform, a tag or a digest behind it.
var apiServer = regexp.MustCompile(`^kube-apiserver($|[-_.]?v?[0-9]|(-[a-z0-9]+)?[:@]|(-linux)?-[a-z]+64(le)?$)`)

// runsAPIServer tells whether a command is kube-apiserver, by its first words.
func runsAPIServer(words []string) bool {
	if len(words) > 1 && path.Base(words[0]) == "hyperkube" {
		words = words[1:]
	}
	return len(words) > 0 && (apiServer.MatchString(path.Base(words[0])) || path.Base(words[0]) == "apiserver")
}
