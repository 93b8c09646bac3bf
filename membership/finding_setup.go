package membership

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-semver/semver"
	"github.com/dustin/go-humanize"
)

// findVersions looks for bugs that a change of the membership would meet, and
// for versions that are not made for each other.
func findVersions(o *Observation) []Finding {
	var found []Finding
	for _, bug := range bugs {
		if bug.code == "bug-update" && !o.has(func(m *Member) bool { return m.Learner }) {
			continue
		}
		var who []string
		for _, m := range o.listed() {
			if bug.in(o, m) {
				who = append(who, fmt.Sprintf("%s (%s)", m.Label(), m.Status.Version))
			}
		}
		if len(who) > 0 {
			found = append(found, Finding{Severity: Warning, Code: bug.code,
				Text: fmt.Sprintf("%s: a version %s", strings.Join(who, ", "), bug.text), Remedy: bug.remedy})
		}
	}
	var oldest, newest *semver.Version
	for _, m := range o.listed() {
		v := m.version()
		if v == nil {
			continue
		}
		if oldest == nil || v.LessThan(*oldest) {
			oldest = v
		}
		if newest == nil || newest.LessThan(*v) {
			newest = v
		}
	}
	if oldest != nil && (newest.Major != oldest.Major || newest.Minor-oldest.Minor > 1) {
		found = append(found, Finding{Severity: Warning, Code: "version-skew",
			Text:   fmt.Sprintf("members run versions from %s to %s, more than one minor version apart", oldest, newest),
			Remedy: "upgrade one minor version at a time, every member"})
	}
	return found
}

// findURLs looks for client URLs that other hosts cannot use. Where the peers
// are all on this host, so may the clients be.
func findURLs(o *Observation) []Finding {
	members := o.listed()
	remote := slices.ContainsFunc(members, func(m *Member) bool {
		return slices.ContainsFunc(hosts(m.PeerURLs), func(host string) bool { return !isLoopback(host) })
	})
	var found []Finding
	for _, m := range members {
		add := func(code, format string, args ...any) {
			found = append(found, Finding{Severity: Warning, Code: code, Member: m.Label(), Text: fmt.Sprintf(format, args...),
				Remedy: "set --advertise-client-urls of " + m.Label() + " to what other hosts can reach, and restart it"})
		}
		for _, u := range m.ClientURLs {
			for _, host := range hosts([]string{u}) {
				switch ip := net.ParseIP(host); {
				case ip != nil && ip.IsUnspecified():
					add("client-url-unspecified", "%s tells clients to use %s, which is no address", m.Label(), u)
				case isLoopback(host) && remote && len(members) > 1:
					add("client-url-loopback", "%s tells clients to use %s, which leads every host to itself", m.Label(), u)
				case slices.Contains(m.Unresolved, host):
					add("client-url-unresolved", "%s tells clients to use %s, whose host has no address here", m.Label(), u)
				}
			}
		}
	}
	return found
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// clockSkew is how far clocks may be apart; clockDoubt is what is not known of
// the difference of two, each seen to half a second.
const (
	clockSkew  = time.Second
	clockDoubt = time.Second
)

// findClocks compares the clocks of the members. Leases, certificates and logs
// go by them.
func findClocks(o *Observation) []Finding {
	var seen []*Member
	for _, m := range o.listed() {
		if m.Status != nil && m.Status.ClockAhead != nil {
			seen = append(seen, m)
		}
	}
	if len(seen) < 2 {
		return nil
	}
	slices.SortStableFunc(seen, func(a, b *Member) int { return cmp.Compare(*a.Status.ClockAhead, *b.Status.ClockAhead) })
	slow, fast := seen[0], seen[len(seen)-1]
	apart := *fast.Status.ClockAhead - *slow.Status.ClockAhead
	if apart <= clockSkew+clockDoubt {
		return nil
	}
	return []Finding{{Severity: Warning, Code: "clock-skew", Member: fast.Label(),
		Text:   fmt.Sprintf("the clock of %s is ahead of that of %s by about %s", fast.Label(), slow.Label(), apart.Round(time.Second)),
		Remedy: "look at the time synchronisation (NTP) of both hosts"}}
}

// A db that is mostly free space is worth a defragmentation if it is large; at
// four fifths of the quota there is still time to do something.
const (
	quotaNear      = 0.8
	mostlyFree     = 0.5
	worthSpaceFrom = 100 << 20 // bytes
)

// findSizes looks at the db of each member. Before etcd 3.6 it does not tell its quota.
func findSizes(o *Observation) []Finding {
	var found []Finding
	for _, m := range o.listed() {
		s := m.Status
		if s == nil || s.DBSize == 0 {
			continue
		}
		free := float64(s.DBSizeInUse) < mostlyFree*float64(s.DBSize)
		near := s.DBSizeQuota > 0 && float64(s.DBSize) > quotaNear*float64(s.DBSizeQuota)
		size, inUse := humanize.IBytes(uint64(s.DBSize)), humanize.IBytes(uint64(s.DBSizeInUse))
		switch {
		case near:
			f := Finding{Severity: Warning, Code: "db-near-quota", Member: m.Label(),
				Text: fmt.Sprintf("the db of %s has %s of a quota of %s, of which %s are in use", m.Label(), size,
					humanize.IBytes(uint64(s.DBSizeQuota)), inUse),
				Remedy: "compact old revisions" + o.compaction() + ", then etcdha member defrag; or raise --quota-backend-bytes"}
			if free {
				f.Remedy = "etcdha member defrag"
			}
			found = append(found, f)
		case free && s.DBSize >= worthSpaceFrom:
			found = append(found, Finding{Severity: Notice, Code: "db-fragmented", Member: m.Label(),
				Text:   fmt.Sprintf("the db of %s has %s, of which %s are in use", m.Label(), size, inUse),
				Remedy: "etcdha member defrag"})
		}
	}
	return found
}
