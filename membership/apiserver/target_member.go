package apiserver

import (
	"fmt"
	"net"
	"slices"

	"github.com/etcdha/etcdha/internal/fail"
)

// memberOf is the member that a server of the present list reaches, seen from
// this host; nil if there is none.
func (t target) memberOf(server string) *Member {
	if m := t.known(server); m != nil || t.Answers == nil {
		return m
	}
	return t.silent(server)
}

// silent is the member that a name may be of which does not answer. It is not
// dropped for that: the member comes back, and each time the apiserver would restart.
func (t target) silent(server string) *Member {
	others := make(map[uint64]bool)
	for _, s := range t.Current {
		switch m := t.known(s); {
		case m != nil:
			others[m.ID] = true
		case s != server:
			return nil // which of the two it is cannot be told
		}
	}
	mute := slices.DeleteFunc(slices.Clone(t.Members), func(m Member) bool { return m.Healthy || m.Name == "" || others[m.ID] })
	if _, answered := t.Answers[server]; answered || len(mute) != 1 || !parseServer(server).named() {
		return nil
	}
	return t.byID(mute[0].ID)
}

// known is the member that a server is known to reach.
func (t target) known(server string) *Member {
	if id, asked := t.Answers[server]; asked {
		return t.byID(id)
	}
	s := parseServer(server)
	if s.loopback() {
		if m := t.behind(s); m != nil {
			return m
		}
	}
	var found []*Member
	for i := range t.Members {
		if m := &t.Members[i]; containsServer(m.ClientURLs, server) {
			found = append(found, m)
		}
	}
	// The same loopback URL at several members says where none of them is.
	if len(found) == 0 || len(found) > 1 && s.loopback() {
		return nil
	}
	return found[0]
}

func (t target) byID(id uint64) *Member {
	for i := range t.Members {
		if m := &t.Members[i]; m.ID == id {
			return m
		}
	}
	return nil
}

// behind is the member of this host that listens on loopback: the one with that
// port, or the only one.
func (t target) behind(s server) *Member {
	here := t.membersHere()
	for _, m := range here {
		if slices.ContainsFunc(m.ClientURLs, func(url string) bool { return parseServer(url).port == s.port }) {
			return m
		}
	}
	if len(here) == 1 {
		return here[0]
	}
	return nil
}

func (t target) membersHere() []*Member {
	var here []*Member
	for i := range t.Members {
		if m := &t.Members[i]; t.here(m) {
			here = append(here, m)
		}
	}
	return here
}

// here tells whether a member runs on this host: it has an address of it, or the
// whole cluster is on one host.
func (t target) here(m *Member) bool {
	return slices.ContainsFunc(m.ClientURLs, func(url string) bool { return parseServer(url).among(t.Addresses) }) ||
		len(m.ClientURLs) > 0 && t.oneHost()
}

// oneHost tells whether all members are on loopback, each with URLs of its own.
// Members of several hosts that are set up so would have the same.
func (t target) oneHost() bool {
	var all []string
	for _, m := range t.Members {
		for _, url := range m.ClientURLs {
			if !parseServer(url).loopback() || containsServer(all, url) {
				return false
			}
			all = append(all, url)
		}
	}
	return len(all) > 0
}

// usable is the client URL by which this host reaches a member, or why there is
// none. One on loopback will do if there is nothing else.
func (t target) usable(m *Member) (url, reason string) {
	var fallback string
	for _, url := range m.ClientURLs {
		switch why := t.unusable(parseServer(url), m); {
		case why != "" && reason == "":
			reason = fmt.Sprintf("has the client URL %s, %s", url, why)
		case why != "":
		case !parseServer(url).loopback():
			return url, ""
		case fallback == "":
			fallback = url
		}
	}
	if fallback != "" {
		return fallback, ""
	}
	return "", reason
}

func (t target) unusable(s server, m *Member) string {
	switch {
	case s.scheme != "https" && s.scheme != "http",
		s.loopback() && !t.here(m):
		return "which is for its own host only"
	case s.scheme == "http" && t.Secure:
		return "and the apiserver speaks TLS to etcd"
	case s.scheme == "https" && !t.Secure:
		return "and the apiserver has no CA or certificate for etcd"
	}
	return ""
}

// kept is how a server that may stay is written. A list that was stacked says
// 127.0.0.1 for a member that has an address of its own.
func (t target) kept(server string, m *Member) string {
	if t.present == Stacked && parseServer(server).loopback() {
		if own, reason := t.usable(m); reason == "" {
			return own
		}
	}
	return server
}

// stacked is the member on this host.
func (t target) stacked() (Choice, error) {
	m, server, err := t.local()
	if err != nil {
		return Choice{}, err
	}
	if why := barred(m); why != "" {
		return Choice{}, goExternal(fail.Unsafef("%s, the member on this host, %s", m.Label(), why))
	}
	c := Choice{Topology: Stacked, Servers: []string{server}}
	if !containsServer(t.Current, server) && !m.Healthy {
		return Choice{}, fail.Unsafef("%s, the member on this host, %s", m.Label(), unhealthy(m))
	}
	for _, s := range t.Current {
		if t.memberOf(s) == nil {
			c.LeftOut = append(c.LeftOut, LeftOut{s, notAMembers})
		}
	}
	return c, nil
}

// local is the member on this host, and how the list names it.
func (t target) local() (m *Member, server string, err error) {
	for _, s := range t.Current {
		if m := t.memberOf(s); m != nil && (t.present == Stacked || parseServer(s).loopback()) {
			return m, s, nil
		}
	}
	here := t.membersHere()
	if able := slices.DeleteFunc(slices.Clone(here), func(m *Member) bool { return barred(m) != "" }); len(able) > 0 {
		here = able // the others are on their way in or out
	}
	switch {
	case len(here) == 0:
		return nil, "", goExternal(fail.Unsafef("no member of etcd runs on this host"))
	case len(here) > 1:
		return nil, "", fail.WithHint(fail.Unsafef("several members of etcd run on this host, %s and %s", here[0].Label(), here[1].Label()),
			"say which one by --etcd-servers")
	case barred(here[0]) != "":
		return here[0], "", nil
	}
	url, reason := t.usable(here[0])
	if reason != "" {
		return nil, "", goExternal(fail.Unsafef("%s, the member on this host, %s", here[0].Label(), reason))
	}
	return here[0], onLoopback(parseServer(url)), nil
}

// onLoopback is how kubeadm writes the member on the apiserver's own host.
func onLoopback(s server) string {
	host := "127.0.0.1"
	if addr := net.ParseIP(s.host); addr != nil && addr.To4() == nil {
		host = "::1"
	}
	s.host = host
	return s.String()
}

func goExternal(err error) error {
	return fail.WithHint(err, "--topology external makes the apiserver use the other members")
}
