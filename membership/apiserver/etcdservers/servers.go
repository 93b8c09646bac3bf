package etcdservers

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
)

// plain are the bytes of URLs of etcd servers. None has a meaning in a quoted
// string of YAML, of systemd or of a shell.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-_[]"

// Split takes the value of the flag apart at its commas. kube-apiserver does that
// as with a line of CSV, and takes no blanks away: a URL with one before it is a
// server that it never reaches. Here it is the server that was meant, so that the
// list can be shown and mended, and an empty item is none. Quotes, which CSV
// takes away, stay: no list of etcd servers needs them, and one that has them is
// refused.
func Split(value string) []string {
	var servers []string
	for server := range strings.SplitSeq(value, ",") {
		if server = strings.TrimSpace(server); server != "" {
			servers = append(servers, server)
		}
	}
	return servers
}

// CheckServers refuses what is no list of etcd's client URLs, or could not be
// written everywhere without quotes and escapes. It is a usage error.
func CheckServers(servers []string) error {
	if len(servers) == 0 {
		return fail.Usagef("the list of servers is empty")
	}
	for i, server := range servers {
		if strings.Contains(server, "@") { // never shown, for what may stand before it
			return fail.WithHint(fail.Usagef("server %d of the list has a name or a password in its URL", i+1),
				"give it without: kube-apiserver proves itself to etcd by a certificate")
		}
		if why := flaw(server); why != "" {
			return fail.WithHint(fail.Usagef("%q is no URL of an etcd server: %s", server, why), "they look like https://10.0.0.1:2379")
		}
		if slices.ContainsFunc(servers[:i], func(other string) bool { return canonical(other) == canonical(server) }) {
			return fail.Usagef("%s is in the list twice", server)
		}
	}
	return nil
}

// canonical is a URL as it is compared: neither case nor a slash at the end makes
// it another server.
func canonical(server string) string { return strings.TrimRight(strings.ToLower(server), "/") }

// flaw says why a text is no client URL of etcd; "" if it is one.
func flaw(server string) string {
	u, err := url.Parse(server)
	switch {
	case err != nil || strings.Trim(server, plain) != "":
		return "it cannot be read as a URL of plain letters and digits"
	case !strings.HasPrefix(server, "https://") && !strings.HasPrefix(server, "http://"):
		return "it has to begin with https:// or http://"
	case strings.TrimRight(u.Path, "/") != "":
		return "it has a path"
	case strings.HasSuffix(u.Host, ":"):
		return "the port behind its colon is missing"
	case !isHost(u.Host, u.Hostname()):
		return "its host is neither a name nor an address"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "its port is not between 1 and 65535"
		}
	}
	return ""
}

// label is a part of a host's name. DNS knows no underscore, and container
// engines give names with one.
var label = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// isHost tells whether the host of a URL is a name or an address. Digits and dots
// alone are meant as an address.
func isHost(host, name string) bool {
	if strings.HasPrefix(host, "[") || strings.Trim(name, "0123456789.") == "" {
		_, err := netip.ParseAddr(name)
		return err == nil
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if !label.MatchString(part) {
			return false
		}
	}
	return len(name) <= 253
}

var (
	// mark is what templates put in place of a value, and no URL has.
	mark = regexp.MustCompile(`(?i)[${}<>%@]|\[\[|\]\]|__|placeholder`)
	// variableName is a server, or its host, that looks like the name of a variable.
	variableName = regexp.MustCompile(`^[A-Z_]+[A-Z0-9_]*$|://[A-Z][A-Z0-9]*_[A-Z0-9_]*(:|/|$)`)
	webURL       = regexp.MustCompile(`^(?i:https?)://[^/:]`)
)

// checkServers refuses a list that is in a file, at a line, and whose items are
// not URLs: nobody can tell what would be taken away with them. It says nothing
// of what may be a password.
func (s *source) checkServers(line int, servers []string) error {
	for _, server := range servers {
		_, host, isURL := strings.Cut(server, "://")
		switch {
		case isURL && strings.Contains(host, "@") && !strings.HasPrefix(host, "@"):
			return s.refuse(line, "has a name or a password in a URL of the list, which kube-apiserver makes no use of",
				"take it out by hand: kube-apiserver proves itself to etcd by a certificate")
		case strings.Contains(server, "@"):
			return s.refuse(line, "is a template: a server of the list has no value yet", "change what it is rendered from")
		case mark.MatchString(server) || variableName.MatchString(server):
			return s.refuse(line, fmt.Sprintf("is a template: %s has no value yet", server), "change what it is rendered from")
		case strings.Trim(server, plain) != "" || !webURL.MatchString(server):
			return s.refuse(line, fmt.Sprintf("%q in the list is no URL of http or https", server), "edit the file by hand")
		}
	}
	return nil
}
