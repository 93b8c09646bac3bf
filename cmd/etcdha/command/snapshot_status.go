package command

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "print what a snapshot holds: etcdutl's fields, and more",
		ArgsUsage: "FILE|ID",
		Flags:     slices.Concat([]cli.Flag{writeOutFlag(), spoolFlag()}, storeFlags(), connectionFlags()),
		Action:    status,
	}
}

// statusOutput begins with etcdutl's fields, under etcdutl's names.
type statusOutput struct {
	Hash      uint32 `json:"hash"`
	Revision  int64  `json:"revision"`
	TotalKey  int64  `json:"totalKey"`
	TotalSize int64  `json:"totalSize"`
	Version   string `json:"version"`

	CompactRevision int64           `json:"compactRevision"`
	HashKV          uint32          `json:"hashKV"` // at revision and compactRevision
	SizeInUse       int64           `json:"sizeInUse"`
	RaftTerm        uint64          `json:"raftTerm"`
	RaftIndex       uint64          `json:"raftIndex"`
	ClusterVersion  string          `json:"clusterVersion"`
	Members         []dbfile.Member `json:"members"`
	MembersRemoved  int             `json:"membersRemoved"` // in the life of the cluster
	Leases          int             `json:"leases"`
	Alarms          []string        `json:"alarms"`
	Auth            bool            `json:"auth"`
	Values          dbfile.Values   `json:"values"`
}

func newStatusOutput(r *dbfile.Report) statusOutput {
	o := statusOutput{
		Hash: r.Hash, Revision: r.Revision, TotalKey: r.TotalKeys, TotalSize: r.TotalSize, Version: r.StorageVersion,
		CompactRevision: r.CompactRevision, HashKV: r.HashKV, SizeInUse: r.SizeInUse,
		RaftTerm: r.RaftTerm, RaftIndex: r.RaftIndex, ClusterVersion: r.ClusterVersion,
		Members: r.Members, MembersRemoved: r.Removed, Leases: r.Leases, Alarms: []string{}, Auth: r.AuthEnabled, Values: r.Values,
	}
	for _, a := range r.Alarms {
		o.Alarms = append(o.Alarms, fmt.Sprintf("%s of member %x", a.Type, a.MemberID))
	}
	return o
}

func status(c *cli.Context) error {
	src, err := sourceArg(c, newLog(c))
	if err != nil {
		return err
	}
	in, err := src.verify(c.Context, c.String("spool-dir"))
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.Readable(); err != nil {
		return err
	}
	out := newStatusOutput(in.Report)
	if done, err := asJSON(c, out); !done {
		printStatus(c.App.Writer, out, c.String("write-out") == "table")
	} else if err != nil {
		return err
	}
	// What is readable is printed; that its bytes are not proven still fails.
	return in.Checks.Err()
}

func printStatus(w io.Writer, o statusOutput, table bool) {
	// etcdutl's line or table first, so that scripts find it where it was.
	row := []string{fmt.Sprintf("%x", o.Hash), fmt.Sprint(o.Revision), fmt.Sprint(o.TotalKey), humanize.Bytes(uint64(o.TotalSize)), o.Version}
	if table {
		config := tablewriter.NewConfigBuilder().WithRowAlignment(tw.AlignRight)
		t := tablewriter.NewTable(w, tablewriter.WithConfig(config.Build()))
		t.Header([]string{"hash", "revision", "total keys", "total size", "version"})
		_ = t.Append(row) // a row of strings cannot fail
		_ = t.Render()
	} else {
		fmt.Fprintln(w, strings.Join(row, ", "))
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(tab, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("compact revision", "%d", o.CompactRevision)
	line("HashKV", "%08x", o.HashKV)
	line("in use", "%s of %s", size(o.SizeInUse), size(o.TotalSize))
	line("raft", "term %d, index %d", o.RaftTerm, o.RaftIndex)
	line("cluster version", "%s", o.ClusterVersion)
	for _, m := range o.Members {
		line("member", "%s %x %s%s", m.Name, m.ID, strings.Join(m.PeerURLs, ","), map[bool]string{true: " (learner)"}[m.IsLearner])
	}
	line("members removed", "%d", o.MembersRemoved)
	line("leases", "%d", o.Leases)
	line("alarms", "%s", orNone(o.Alarms))
	line("authentication", "%s", map[bool]string{true: "on", false: "off"}[o.Auth])
	line("values", "%s", describe(o.Values))
	_ = tab.Flush() // the writer is stdout; there is nobody left to tell
}

func orNone(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

func describe(v dbfile.Values) string {
	parts := []string{
		fmt.Sprintf("%d Kubernetes protobuf", v.Protobuf),
		fmt.Sprintf("%d JSON", v.JSON),
	}
	for _, name := range slices.Sorted(maps.Keys(v.Encrypted)) {
		parts = append(parts, fmt.Sprintf("%d encrypted (%s)", v.Encrypted[name], name))
	}
	return strings.Join(append(parts, fmt.Sprintf("%d other", v.Other)), ", ")
}
