package etcdservers

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
)

// CheckServers refuses what is no list of etcd's client URLs, or could not be
// written everywhere without quotes and escapes. It is a usage error.
func CheckServers(servers []string) error {
	if len(servers) == 0 {
		return fail.Usagef("the list of servers is empty")
	}
	for i, server := range servers {
		u, err := url.Parse(server)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil ||
			strings.TrimRight(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" ||
			strings.Trim(server, plain) != "" {
			return fail.WithHint(fail.Usagef("%q is no URL of an etcd server", server), "they look like https://10.0.0.1:2379")
		}
		if slices.Contains(servers[:i], server) {
			return fail.Usagef("%s is in the list twice", server)
		}
	}
	return nil
}

// plain are the bytes of such URLs. None has a meaning in a quoted string of
// YAML, of systemd or of a shell.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-_[]"

// serversOf splits the value of the flag as kube-apiserver does.
func serversOf(value string) []string {
	var servers []string
	for server := range strings.SplitSeq(value, ",") {
		if server = strings.TrimSpace(server); server != "" {
			servers = append(servers, server)
		}
	}
	return servers
}

// flagValue finds the one value of the flag among the words of a command line, as
// --flag=value or as two words. ok is false if the flag is not there.
func flagValue(words []view) (value view, ok bool, err error) {
	for i, w := range words {
		var found view
		switch name, _, both := strings.Cut(w.text, "="); {
		case !isFlag(name):
			continue
		case both:
			found = w.slice(len(name)+1, len(w.text))
		case i+1 == len(words):
			return view{}, false, fmt.Errorf("%s has no value", w.text)
		default:
			found = words[i+1]
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

// runsAPIServer tells whether a command is kube-apiserver, by its first words.
func runsAPIServer(words []string) bool {
	if len(words) > 1 && path.Base(words[0]) == "hyperkube" {
		words = words[1:]
	}
	return len(words) > 0 && (path.Base(words[0]) == "kube-apiserver" || words[0] == "apiserver")
}
