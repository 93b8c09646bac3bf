package membership

import (
	"errors"
	"fmt"
	"strings"
)

// findMembers looks at the health of each member.
func findMembers(o *Observation) []Finding {
	var found []Finding
	for _, m := range o.listed() {
		if f, ok := health(o, m); ok {
			f.Member = m.Label()
			found = append(found, f)
		}
		found = append(found, complaints(m)...)
	}
	return found
}

// complaints are what a member says of itself. That it has no leader is seen
// without its saying so.
func complaints(m *Member) []Finding {
	if m.Status == nil {
		return nil
	}
	var found []Finding
	for _, text := range m.Status.Errors {
		if m.Status.Leader == 0 && strings.Contains(text, "no leader") {
			continue
		}
		found = append(found, Finding{Severity: Warning, Code: "member-error", Member: m.Label(),
			Text: fmt.Sprintf("%s says: %s", m.Label(), text), Remedy: "look at the log of its etcd"})
	}
	return found
}

func health(o *Observation, m *Member) (f Finding, ok bool) {
	switch o.Health(m) {
	case NeverStarted:
		return neverStarted(o, m), true
	case WrongMember:
		other, _ := errors.AsType[*OtherMemberError](m.Err)
		return Finding{Severity: Warning, Code: "wrong-member",
			Text:   fmt.Sprintf("%s cannot be asked: at its client URL %s, %s answers", m.Label(), other.Endpoint, o.labelOf(other)),
			Remedy: "ask from a host where its client URLs lead to it, or give its own address in --endpoints"}, true
	case LeaderUnreachable:
		return Finding{Severity: Warning, Code: "leader-unreachable",
			Text:   fmt.Sprintf("%s leads the others and does not answer here: %v", m.Label(), m.Err),
			Remedy: "ask from a host that reaches its client URL"}, true
	case Down:
		return down(o, m), true
	case CutOff:
		return Finding{Severity: Warning, Code: "member-cut-off",
			Text:   fmt.Sprintf("%s answers and does not reach the leader: it counts for nothing", m.Label()),
			Remedy: "look at the network between the peer URLs of the two, and at the certificates of peers"}, true
	case Behind:
		return Finding{Severity: Warning, Code: "member-behind",
			Text:   fmt.Sprintf("%s is behind by %d entries of the raft log", m.Label(), o.Lag(m)),
			Remedy: "look at its disk and its load; until it has caught up, do not count on it"}, true
	case Healthy:
		if m.Learner {
			return Finding{Severity: Notice, Code: "learner-ready",
				Text:   fmt.Sprintf("%s has caught up and does not vote yet", m.Label()),
				Remedy: "etcdha member promote " + shellQuote(m.Label())}, true
		}
	}
	return Finding{}, false // what ails the cluster, or an alarm, is said once
}

// down names only what can be done: without quorum no change is possible, and
// what is left to do then is said with its loss.
func down(o *Observation, m *Member) Finding {
	f := Finding{Severity: Warning, Code: "member-down",
		Text: fmt.Sprintf("%s does not answer: %v", m.Label(), m.Err), Remedy: "start its etcd"}
	if o.HasQuorum {
		name := shellQuote(m.Label())
		f.Remedy += fmt.Sprintf("; if it is gone for good, etcdha member replace %s NEW --peer-urls=URL, or etcdha member remove %s", name, name)
	}
	return f
}

func neverStarted(o *Observation, m *Member) Finding {
	f := Finding{Severity: Notice, Code: "never-started",
		Text:   fmt.Sprintf("the %s %s was added at %s and its etcd has never run", m.role(), m.ID, strings.Join(m.PeerURLs, ",")),
		Remedy: "start its etcd"}
	if o.HasQuorum {
		f.Remedy += ", or etcdha member remove " + m.ID.String()
	}
	if !m.Learner {
		f.Severity = Warning
		f.Text += ", which counts as a failure"
	}
	return f
}

func (o *Observation) labelOf(e *OtherMemberError) string {
	if m := o.Member(e.ID); m != nil {
		return m.Label()
	}
	return "member " + e.ID.String()
}

// findZones says which zones must not fail.
func findZones(o *Observation) []Finding {
	state := o.State()
	if state.Count().Tolerates() < 0 {
		return nil
	}
	zones := state.Zones()
	var found []Finding
	for _, z := range zones {
		if z.Left.Tolerates() >= 0 {
			continue
		}
		f := Finding{Severity: Warning, Code: "zone-quorum",
			Text:   fmt.Sprintf("if zone %s fails, so does quorum: %s", z.Zone, z.Left),
			Remedy: "spread the voters over three zones or more, so that no zone holds as many as quorum can lose"}
		if len(zones) == 1 {
			f.Text = fmt.Sprintf("all voters whose zone is known are in zone %s", z.Zone)
		}
		found = append(found, f)
	}
	return found
}
