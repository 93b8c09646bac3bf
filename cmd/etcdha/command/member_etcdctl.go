package command

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// What etcdctl prints about members, in its own shape: scripts parse it.

// memberRows are the columns of etcdctl's list.
func memberRows(members []membership.Listed) [][]string {
	var rows [][]string
	for _, m := range members {
		started := "started"
		if m.Name == "" {
			started = "unstarted"
		}
		rows = append(rows, []string{
			m.ID.String(), started, m.Name,
			strings.Join(m.PeerURLs, ","), strings.Join(m.ClientURLs, ","), strconv.FormatBool(m.Learner),
		})
	}
	return rows
}

func printTable(w io.Writer, header []string, rows [][]string) {
	config := tablewriter.NewConfigBuilder().WithRowAlignment(tw.AlignRight)
	t := tablewriter.NewTable(w, tablewriter.WithConfig(config.Build()))
	t.Header(header)
	for _, row := range rows {
		_ = t.Append(row) // a row of strings cannot fail
	}
	_ = t.Render() // text for people, as all tables
}

// etcdctlMembers is the JSON of etcdctl's member commands.
type etcdctlMembers struct {
	Header  etcdctlHeader   `json:"header"`
	Member  *etcdctlMember  `json:"member,omitempty"` // that was added
	Members []etcdctlMember `json:"members"`
}

type etcdctlHeader struct {
	ClusterID etcdctlID `json:"cluster_id"`
	MemberID  etcdctlID `json:"member_id"`
	Revision  int64     `json:"revision,omitempty"` // not in answers about members
	RaftTerm  uint64    `json:"raft_term,omitempty"`
}

type etcdctlMember struct {
	ID         etcdctlID `json:"ID"`
	Name       string    `json:"name,omitempty"`
	PeerURLs   []string  `json:"peerURLs,omitempty"`
	ClientURLs []string  `json:"clientURLs,omitempty"`
	IsLearner  bool      `json:"isLearner,omitempty"`
}

// etcdctlID is a number, or with --hex a string, as in etcdctl.
type etcdctlID struct {
	id  uint64
	hex bool
}

func (i etcdctlID) MarshalJSON() ([]byte, error) {
	if i.hex {
		return fmt.Appendf(nil, "%q", fmt.Sprintf("%x", i.id)), nil
	}
	return strconv.AppendUint(nil, i.id, 10), nil
}

// membersOutput is that JSON. from is the member whose answer it is.
func membersOutput(c *cli.Context, cluster uint64, from quorum.ID, term uint64, members []membership.Listed) etcdctlMembers {
	id := func(n uint64) etcdctlID { return etcdctlID{n, c.Bool("hex")} }
	out := etcdctlMembers{Header: etcdctlHeader{ClusterID: id(cluster), MemberID: id(uint64(from)), RaftTerm: term}, Members: []etcdctlMember{}}
	for _, m := range members {
		out.Members = append(out.Members, etcdctlMember{id(uint64(m.ID)), m.Name, m.PeerURLs, m.ClientURLs, m.Learner})
	}
	return out
}

// stepLine is what etcdctl says of a step that it has done; "" where it has no
// such step. leader led before it; asLearner is that etcdctl's flag asked for a learner.
func stepLine(o *membership.Observation, p membership.Step, leader quorum.ID, asLearner bool) string {
	switch p.Kind {
	case quorum.AddLearner:
		if asLearner {
			return fmt.Sprintf("Member %16x added as learner to cluster %16x", uint64(p.ID), o.ClusterID)
		}
		return fmt.Sprintf("Member %16x added to cluster %16x", uint64(p.ID), o.ClusterID)
	case quorum.Promote:
		return fmt.Sprintf("Member %16x promoted in cluster %16x", uint64(p.ID), o.ClusterID)
	case quorum.Remove:
		return fmt.Sprintf("Member %16x removed from cluster %16x", uint64(p.ID), o.ClusterID)
	case quorum.Update:
		return fmt.Sprintf("Member %16x updated in cluster %16x", uint64(p.ID), o.ClusterID)
	case quorum.MoveLeader:
		return fmt.Sprintf("Leadership transferred from %s to %s", leader, p.ID)
	}
	return ""
}
