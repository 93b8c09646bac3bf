package membership

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/etcdha/etcdha/membership/quorum"
)

// Severity is how much a finding matters.
type Severity string

const (
	Critical Severity = "critical" // quorum is lost, or data is at stake
	Warning  Severity = "warning"  // the next failure may cost quorum, or something will fail
	Notice   Severity = "notice"   // worth knowing
)

// rank is the order in which findings are shown.
func (s Severity) rank() int { return slices.Index([]Severity{Critical, Warning, Notice}, s) }

// Finding is something about a cluster that somebody should know.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`             // stable, for scripts, such as member-down
	Member   string   `json:"member,omitempty"` // whom it is about
	Text     string   `json:"text"`
	Remedy   string   `json:"remedy,omitempty"` // what to do, often a command
}

// Findings judges an observation. The worst come first.
func Findings(o *Observation) []Finding {
	var found []Finding
	for _, judge := range []func(*Observation) []Finding{
		findQuorum, findStrangers, findLists, findAlarms, findMembers, findZones,
		findVersions, findURLs, findClocks, findSizes,
	} {
		found = append(found, judge(o)...)
	}
	SortFindings(found)
	return found
}

// SortFindings puts the worst first.
func SortFindings(found []Finding) {
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
}

// listed are the members without the ghosts.
func (o *Observation) listed() []*Member {
	var members []*Member
	for i := range o.Members {
		if !o.Members[i].Ghost {
			members = append(members, &o.Members[i])
		}
	}
	return members
}

func findQuorum(o *Observation) []Finding {
	count := o.State().Count()
	switch {
	case !o.HasQuorum:
		return quorumLost(o)
	case count.Tolerates() < 0:
		return []Finding{{Severity: Warning, Code: "quorum-not-seen",
			Text:   fmt.Sprintf("there is quorum, but from here %d of %d voters are seen to be healthy, and it takes %d", count.Able, count.Voters, count.Quorum()),
			Remedy: "ask from a host that reaches every member, or wait until they have caught up"}}
	case count.Voters == 1:
		return []Finding{{Severity: Warning, Code: "quorum-at-limit", Text: "there is one voter: nothing is left if it fails",
			Remedy: o.oneMore(count)}}
	case count.Tolerates() == 0:
		return []Finding{{Severity: Warning, Code: "quorum-at-limit", Text: "the next failure costs quorum: " + count.String(),
			Remedy: o.oneMore(count)}}
	case count.EvenCost() != "":
		return []Finding{{Severity: Notice, Code: "even-voters", Text: count.EvenCost()}}
	}
	return nil
}

// oneMore is how the cluster comes to survive one failure more.
func (o *Observation) oneMore(count quorum.Count) string {
	switch {
	case count.Able < count.Voters:
		return "bring the members back that are not healthy, or replace them"
	case o.has(func(m *Member) bool { return m.Learner }): // a second one would be refused
		return "make a voter of the learner, or remove it and add another"
	}
	return "etcdha member add NAME --peer-urls=URL --wait 10m"
}

// quorumLost says what is left to recover from, the newest raft log first.
func quorumLost(o *Observation) []Finding {
	var left []*Member
	voters := 0
	for _, m := range o.listed() {
		if !m.Learner {
			voters++
		}
		if m.Status != nil {
			left = append(left, m)
		}
	}
	slices.SortStableFunc(left, func(a, b *Member) int {
		return cmp.Or(cmp.Compare(b.Status.RaftTerm, a.Status.RaftTerm), cmp.Compare(b.Status.RaftIndex, a.Status.RaftIndex))
	})
	f := Finding{Severity: Critical, Code: "quorum-lost"}
	if len(left) == 0 {
		f.Text = "quorum is lost and no member answers"
		f.Remedy = "start the members again; their data directories are what is left"
		return []Finding{f}
	}
	var words []string
	for _, m := range left {
		words = append(words, fmt.Sprintf("%s (term %d, index %d)", m.Label(), m.Status.RaftTerm, m.Status.RaftIndex))
	}
	f.Member = left[0].Label()
	f.Text = fmt.Sprintf("quorum is lost: of %d voters too few reach each other. Left to recover from, the newest first: %s. "+
		"What the others had acknowledged and these have not received cannot be seen", voters, strings.Join(words, ", "))
	f.Remedy = "1. save what the survivors have, the newest first: etcdha snapshot save FILE --emergency --endpoints=" + left[0].Endpoint + "\n" +
		"2. start the members that are down\n" +
		"3. if a majority is gone for good, etcdha restore from the newest backup (docs/command-line.md)"
	return []Finding{f}
}

// findStrangers looks at what answered and does not belong.
func findStrangers(o *Observation) []Finding {
	var found []Finding
	if o.Conflict != "" {
		found = append(found, Finding{Severity: Critical, Code: "two-clusters", Text: o.Conflict,
			Remedy: "stop the etcd that was started with its old flags on an empty disk, and replace that member"})
	}
	for _, f := range o.Foreign {
		found = append(found, Finding{Severity: Critical, Code: "other-cluster",
			Text:   fmt.Sprintf("%s is of another cluster, %x; this one is %x", f.Endpoint, f.ClusterID, o.ClusterID),
			Remedy: "give the endpoints of one cluster; a member that began a cluster of its own has to be replaced"})
	}
	for i := range o.Members {
		if m := &o.Members[i]; m.Ghost && o.HasQuorum {
			found = append(found, Finding{Severity: Warning, Code: "ghost", Member: m.Label(),
				Text:   fmt.Sprintf("%s runs at %s and is no member any more", m.Label(), m.Endpoint),
				Remedy: "stop its etcd, and take its URL out of what clients are told"})
		}
	}
	return found
}

// findLists compares the lists that the members have.
func findLists(o *Observation) []Finding {
	own := &List{Members: make([]Listed, 0, len(o.Members))}
	for _, m := range o.listed() {
		own.Members = append(own.Members, m.Listed)
	}
	severity, remedy := Warning, "a member that is behind learns the list when it catches up; look again"
	if !o.HasQuorum {
		severity, remedy = Critical, "do not add or remove anything: save what each survivor has first, etcdha snapshot save FILE --emergency --endpoints=URL"
	}
	var found []Finding
	for i := range o.Lists {
		l := &o.Lists[i]
		m := o.Member(l.MemberID)
		if m == nil || m.Ghost && o.HasQuorum {
			continue
		}
		if differs := difference(l, own); differs != "" {
			found = append(found, Finding{Severity: severity, Code: "lists-differ", Member: m.Label(),
				Text: fmt.Sprintf("%s has another member list: %s", m.Label(), differs), Remedy: remedy})
		}
	}
	return found
}

// Same tells whether two lists have what matters to quorum in common: who is a
// member, where, and whether with a vote.
func (l *List) Same(other *List) bool {
	return l.ClusterID == other.ClusterID && difference(l, other) == ""
}

// difference says what a list has otherwise than the other, "" if nothing that
// matters to quorum.
func difference(l, other *List) string {
	var words []string
	for _, m := range l.Members {
		i := slices.IndexFunc(other.Members, func(o Listed) bool { return o.ID == m.ID })
		switch {
		case i < 0:
			words = append(words, m.Label()+" is in it")
		case other.Members[i].Learner != m.Learner:
			words = append(words, fmt.Sprintf("%s is a %s in it", m.Label(), m.role()))
		case !slices.Equal(other.Members[i].PeerURLs, m.PeerURLs):
			words = append(words, fmt.Sprintf("%s has the peer URLs %s in it", m.Label(), strings.Join(m.PeerURLs, ",")))
		}
	}
	for _, m := range other.Members {
		if !slices.ContainsFunc(l.Members, func(o Listed) bool { return o.ID == m.ID }) {
			words = append(words, m.Label()+" is not in it")
		}
	}
	return strings.Join(words, "; ")
}
