package apiserver

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// server is a client URL. Its host is in lower case, an IP address in its
// canonical form; what is no URL has only a scheme.
type server struct{ scheme, host, port string }

func parseServer(text string) server {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return server{scheme: text}
	}
	return server{scheme: strings.ToLower(u.Scheme), host: canonicalHost(u.Hostname()), port: u.Port()}
}

func canonicalHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(host)
}

// String writes the server the same way, however it was written.
func (s server) String() string {
	switch {
	case s.host == "":
		return s.scheme
	case s.port != "":
		return s.scheme + "://" + net.JoinHostPort(s.host, s.port)
	case strings.Contains(s.host, ":"):
		return s.scheme + "://[" + s.host + "]"
	}
	return s.scheme + "://" + s.host
}

// loopback tells whether the server can be reached from its own host only.
func (s server) loopback() bool {
	addr, err := netip.ParseAddr(s.host)
	return s.host == "localhost" || err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}

// named tells whether the host is a name, and no address.
func (s server) named() bool {
	_, err := netip.ParseAddr(s.host)
	return s.host != "" && err != nil
}

// among tells whether the host is one of the addresses.
func (s server) among(addresses []string) bool {
	return s.host != "" && slices.ContainsFunc(addresses, func(a string) bool { return canonicalHost(a) == s.host })
}

// on tells whether the server is on a host with these addresses.
func (s server) on(addresses []string) bool { return s.loopback() || s.among(addresses) }

func containsServer(servers []string, server string) bool {
	want := parseServer(server)
	return slices.ContainsFunc(servers, func(s string) bool { return parseServer(s) == want })
}
