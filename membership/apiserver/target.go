package apiserver

import (
	"cmp"
	"slices"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
)

// Wish is what a list of servers is decided by.
type Wish struct {
	Current   []string // the list that is there
	Topology  Topology // the wanted one; "" keeps what Current is
	Members   []Member
	Addresses []string // of this host, without loopback
	// Answers are the ids of the members that answer at servers of the present list, as
	// they say themselves. It is how a server is known whose URL no member has. A name
	// that does not answer is that of the member that does not, if there is one of each.
	// Without Answers, such servers are no member's.
	Answers map[string]uint64
	// Secure: the apiserver has a client certificate or a CA for etcd, so that it
	// cannot use http:// URLs, nor https:// ones without.
	Secure bool
}

// Choice is a decided list.
type Choice struct {
	Topology Topology
	Servers  []string
	// LeftOut are, in order, the members that an external list does not have, and
	// then the servers of the present list that belong to no member.
	LeftOut []LeftOut
}

// LeftOut is a member that is not in the list, or a server that was dropped.
type LeftOut struct {
	What   string `json:"what"`   // label of the member, or the URL
	Reason string `json:"reason"` // "is a learner"
}

// Choose decides which servers belong in the list. External: all started voters
// that are not withdrawn, in the order of the present list, additions last by
// name; one that is in the list stays while it is a member, one that is not has to
// be healthy. Stacked: the member on this host, by the URL that the list has or by
// 127.0.0.1. It is a [fail.ErrUnsafe] if no server would be left, and if the
// member of a stacked list goes. It is pure.
func Choose(w Wish) (Choice, error) {
	t := target{Wish: w, present: TopologyOf(w.Current, w.Addresses)}
	if t.Topology == "" {
		t.Topology = t.present
	}
	switch t.Topology {
	case External:
		return t.external()
	case Stacked:
		return t.stacked()
	}
	return Choice{}, fail.Usagef("no topology %q", t.Topology)
}

// TopologyOf tells what a list is, on a host with these addresses. It is pure.
func TopologyOf(servers, addresses []string) Topology {
	if len(servers) == 1 && parseServer(servers[0]).on(addresses) {
		return Stacked
	}
	return External
}

// SameServers tells whether two lists have the same URLs; their order does not
// matter, nor how a URL is written. It is pure.
func SameServers(a, b []string) bool {
	return slices.Equal(normalised(a), normalised(b))
}

func normalised(servers []string) []string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = parseServer(s).String()
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// target is one decision.
type target struct {
	Wish
	present Topology
}

// external keeps what is there and may stay, and adds what is missing.
func (t target) external() (Choice, error) {
	c := Choice{Topology: External}
	listed := make(map[uint64]bool) // members in the new list
	var strange []LeftOut
	for _, s := range t.Current {
		m := t.memberOf(s)
		switch {
		case m == nil:
			strange = append(strange, LeftOut{s, notAMembers})
		case barred(m) == "":
			if s = t.kept(s, m); !containsServer(c.Servers, s) {
				c.Servers = append(c.Servers, s)
			}
			listed[m.ID] = true
		}
	}
	added, left := t.additions(listed)
	c.Servers = append(c.Servers, added...)
	c.LeftOut = append(left, strange...)
	if len(c.Servers) == 0 {
		return Choice{}, fail.Unsafef("no server would be left in the list%s", because(c.LeftOut))
	}
	return c, nil
}

// additions are the servers of the members that are not listed yet, by their names,
// and those of them that are left out.
func (t target) additions(listed map[uint64]bool) (servers []string, left []LeftOut) {
	type addition struct{ label, server string }
	var added []addition
	for i := range t.Members {
		m := &t.Members[i]
		if listed[m.ID] {
			continue
		}
		server, reason := t.usable(m)
		if why := barred(m); why != "" {
			reason = why
		} else if reason == "" && !m.Healthy {
			reason = unhealthy(m)
		}
		if reason != "" {
			left = append(left, LeftOut{m.Label(), reason})
			continue
		}
		added = append(added, addition{m.Label(), server})
	}
	slices.SortStableFunc(added, func(a, b addition) int { return strings.Compare(a.label, b.label) })
	for _, a := range added {
		servers = append(servers, a.server)
	}
	return servers, left
}

func because(out []LeftOut) string {
	var reasons []string
	for _, l := range out {
		reasons = append(reasons, l.What+" "+l.Reason)
	}
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, ", ")
}

const notAMembers = "is no member's"

func unhealthy(m *Member) string {
	return "is not healthy: " + cmp.Or(m.Trouble, "it does not answer")
}

// barred is why a member may be in no list; "" if it may.
func barred(m *Member) string {
	switch {
	case m.Name == "" || len(m.ClientURLs) == 0:
		return "has not been started"
	case m.Learner:
		return "is a learner"
	case m.Withdrawn:
		return "is withdrawn, to be removed"
	}
	return ""
}
