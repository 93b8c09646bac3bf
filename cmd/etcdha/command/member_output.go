package command

import (
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// What the member commands say to programs. Ids are hexadecimal strings, as
// people type them: JSON numbers of that size are rounded by many readers.

type countJSON struct {
	Voters    int `json:"voters"`
	Healthy   int `json:"healthy"`
	Quorum    int `json:"quorum"`
	Tolerates int `json:"tolerates"` // negative: so many are missing
}

func countOf(n quorum.Count) countJSON {
	return countJSON{n.Voters, n.Able, n.Quorum(), n.Tolerates()}
}

type zoneLossJSON struct {
	Zone string    `json:"zone"`
	Left countJSON `json:"left"` // when it is lost
}

func zonesOutput(s quorum.State) []zoneLossJSON {
	var out []zoneLossJSON
	for _, z := range s.Zones() {
		out = append(out, zoneLossJSON{z.Zone, countOf(z.Left)})
	}
	return out
}

type memberStatusJSON struct {
	Cluster   string               `json:"cluster"`
	HasQuorum bool                 `json:"hasQuorum"`
	Quorum    countJSON            `json:"quorum"`
	Leader    string               `json:"leader,omitempty"`
	Members   []memberStateJSON    `json:"members"`
	Zones     []zoneLossJSON       `json:"zones,omitempty"`
	Findings  []membership.Finding `json:"findings"`
}

type memberStateJSON struct {
	ID          string                 `json:"id"`
	Name        string                 `json:"name"`
	Role        string                 `json:"role"` // leader, voter, learner; none: it is no member any more
	Zone        string                 `json:"zone,omitempty"`
	PeerURLs    []string               `json:"peerURLs"`
	ClientURLs  []string               `json:"clientURLs"`
	Answers     bool                   `json:"answers"`
	CaughtUp    bool                   `json:"caughtUp"`
	Error       string                 `json:"error,omitempty"` // why it does not answer
	Seconds     float64                `json:"seconds"`         // until it answered
	Alarms      []membership.AlarmType `json:"alarms"`
	Version     string                 `json:"version,omitempty"`
	DBSize      int64                  `json:"dbSize"`      // bytes
	DBSizeInUse int64                  `json:"dbSizeInUse"` // bytes
	Revision    int64                  `json:"revision"`
	RaftTerm    uint64                 `json:"raftTerm"`
	RaftIndex   uint64                 `json:"raftIndex"`
	RaftApplied uint64                 `json:"raftAppliedIndex"`
	Errors      []string               `json:"errors,omitempty"` // what it says of itself, other than alarms
	Health      membership.Health      `json:"health"`
}

func statusOf(o *membership.Observation, findings []membership.Finding) memberStatusJSON {
	state := o.State()
	out := memberStatusJSON{
		Cluster: quorum.ID(o.ClusterID).String(), HasQuorum: o.HasQuorum, Quorum: countOf(state.Count()),
		Members: []memberStateJSON{}, Zones: zonesOutput(state), Findings: append([]membership.Finding{}, findings...),
	}
	if o.Leader != 0 {
		out.Leader = o.Leader.String()
	}
	for _, m := range o.Members {
		out.Members = append(out.Members, memberStateOf(o, m))
	}
	return out
}

func memberStateOf(o *membership.Observation, m membership.Member) memberStateJSON {
	out := memberStateJSON{
		ID: m.ID.String(), Name: m.Name, Role: memberRole(o, m), Zone: m.Zone, PeerURLs: m.PeerURLs, ClientURLs: append([]string{}, m.ClientURLs...),
		CaughtUp: m.CaughtUp, Health: o.Health(&m), Seconds: m.Latency.Round(time.Microsecond).Seconds(), Alarms: append([]membership.AlarmType{}, m.Alarms...),
	}
	if m.Err != nil {
		out.Error = m.Err.Error()
	}
	if st := m.Status; st != nil {
		out.Answers, out.Version, out.DBSize, out.DBSizeInUse = true, st.Version, st.DBSize, st.DBSizeInUse
		out.Revision, out.RaftTerm, out.RaftIndex, out.RaftApplied = st.Revision, st.RaftTerm, st.RaftIndex, st.RaftApplied
		out.Errors = st.Errors
	}
	return out
}
