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
	}
	return found
}

func health(o *Observation, m *Member) (f Finding, ok bool) {
	_, cutOff := errors.AsType[*CutOffError](m.Err)
	other, isOther := errors.AsType[*OtherMemberError](m.Err)
	switch {
	case !m.Started():
		return neverStarted(m), true
	case isOther:
		return Finding{Severity: Warning, Code: "wrong-member",
			Text:   fmt.Sprintf("%s cannot be asked: at its client URL %s, %s answers", m.Label(), other.Endpoint, o.labelOf(other)),
			Remedy: "ask from a host where its client URLs lead to it, or give its own address in --endpoints"}, true
	case m.Status == nil && o.isNamedLeader(m):
		return Finding{Severity: Warning, Code: "leader-unreachable",
			Text:   fmt.Sprintf("%s leads the others and does not answer here: %v", m.Label(), m.Err),
			Remedy: "ask from a host that reaches its client URL"}, true
	case m.Status == nil:
		return Finding{Severity: Warning, Code: "member-down",
			Text: fmt.Sprintf("%s does not answer: %v", m.Label(), m.Err),
			Remedy: fmt.Sprintf("start its etcd; if it is gone for good, etcdha member replace %s NEW --peer-urls=URL, or etcdha member remove %s",
				m.Label(), m.Label())}, true
	case !o.HasQuorum || o.Leader == 0:
		return Finding{}, false // nobody can be healthy then, which is said once
	case cutOff || !o.follows(m):
		return Finding{Severity: Warning, Code: "member-cut-off",
			Text:   fmt.Sprintf("%s answers and does not reach the leader: it counts for nothing", m.Label()),
			Remedy: "look at the network between the peer URLs of the two, and at the certificates of peers"}, true
	case !m.CaughtUp:
		return Finding{Severity: Warning, Code: "member-behind",
			Text:   fmt.Sprintf("%s is behind by %d entries of the raft log", m.Label(), o.Lag(m)),
			Remedy: "look at its disk and its load; until it has caught up, do not count on it"}, true
	case m.Learner:
		return Finding{Severity: Notice, Code: "learner-ready",
			Text:   fmt.Sprintf("%s has caught up and does not vote yet", m.Label()),
			Remedy: "etcdha member promote " + m.Label()}, true
	}
	return Finding{}, false
}

// isNamedLeader tells whether the members follow it, whether it answers or not.
func (o *Observation) isNamedLeader(m *Member) bool {
	return o.HasQuorum && o.has(func(other *Member) bool { return other.Status != nil && other.Status.Leader == m.ID })
}

func neverStarted(m *Member) Finding {
	f := Finding{Severity: Notice, Code: "never-started",
		Text:   fmt.Sprintf("the %s %s was added at %s and its etcd has never run", m.role(), m.ID, strings.Join(m.PeerURLs, ",")),
		Remedy: fmt.Sprintf("start its etcd, or etcdha member remove %s", m.ID)}
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

// findAlarms says what each alarm keeps from working.
func findAlarms(o *Observation) []Finding {
	var found []Finding
	for _, a := range o.Alarms {
		label := a.MemberID.String()
		if m := o.Member(a.MemberID); m != nil {
			label = m.Label()
		}
		f := Finding{Severity: Critical, Code: "alarm-" + strings.ToLower(string(a.Type)), Member: label}
		switch {
		case a.Type == NoSpace:
			f.Text = fmt.Sprintf("the db of %s has reached its quota: the cluster takes no writes", label)
			f.Remedy = "compact, then etcdha member defrag, then etcdha alarm disarm; or raise --quota-backend-bytes first"
		case a.Type == Corrupt && a.MemberID == 0:
			f.Member = ""
			f.Text = "members differ in what they hold, and etcd cannot tell which of them is wrong: the cluster serves no reads and no writes"
			f.Remedy = "etcdha member status --hash; compare each member with a backup before one is replaced"
		case a.Type == Corrupt:
			f.Text = fmt.Sprintf("%s holds other data than the rest: the cluster serves no reads and no writes", label)
			f.Remedy = fmt.Sprintf("etcdha member replace %s NEW --peer-urls=URL, then etcdha alarm disarm", label)
		default:
			f.Text = fmt.Sprintf("%s has the alarm %s", label, a.Type)
		}
		found = append(found, f)
	}
	return found
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
