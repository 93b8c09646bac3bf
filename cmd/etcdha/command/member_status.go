package command

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

func memberStatusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show at a glance what the cluster survives, and what is wrong with whom",
		Description: `Every member is asked, also those that are not among the endpoints. It works
without quorum, too, and then says what is left to recover from. It exits with 1 if
quorum is lost, and with 0 otherwise, whatever it has found.`,
		Flags: slices.Concat([]cli.Flag{
			writeOutFlag(), zoneFlag(),
			&cli.BoolFlag{Name: "hash", Usage: "compare the contents, one member at a time; each stops applying for about half a second a GB meanwhile"},
		}, connectionFlags()),
		Action: memberStatus,
	}
}

func memberStatus(c *cli.Context) error {
	if err := errors.Join(checkWriteOut(c), noArgs(c)); err != nil {
		return err
	}
	s, err := openMembers(c)
	if err != nil {
		return err
	}
	defer s.client.Close()
	o, err := s.observe(c.Context)
	if err != nil {
		return err
	}
	if err := checkZones(o, s.zones, nil); err != nil {
		return err
	}
	findings := append(membership.Findings(o), findWithdrawn(c.Context, s, o)...)
	var hashErr error
	if c.Bool("hash") {
		var differing []membership.Finding
		differing, hashErr = membership.AgreeHash(c.Context, s.client, o)
		findings = append(findings, differing...)
		membership.SortFindings(findings)
	}
	findings = toTypeAll(c, findings)
	if done, err := asJSON(c, statusOf(o, findings)); !done {
		printMemberStatus(c, o, findings)
	} else if err != nil {
		return err
	}
	if !o.HasQuorum {
		return errors.Join(errors.New("quorum is lost"), hashErr)
	}
	return hashErr
}

func printMemberStatus(c *cli.Context, o *membership.Observation, findings []membership.Finding) {
	w, state := c.App.Writer, o.State()
	fmt.Fprintln(w, paintSummary(w, o))
	fmt.Fprintln(w)
	printMemberTable(w, o)
	if zones := state.Zones(); len(zones) > 0 {
		fmt.Fprintln(w)
		printZones(w, zones)
	}
	if len(findings) > 0 {
		fmt.Fprintln(w)
	}
	for _, f := range findings {
		printFinding(w, f)
	}
	if next := nextAfter(findings); next != "" {
		printNext(w, "%s", next)
	}
}

// paintSummary is the line that says what the cluster survives.
func paintSummary(w io.Writer, o *membership.Observation) string {
	colour := green
	switch count := o.State().Count(); {
	case count.Tolerates() < 0:
		colour = red
	case count.Tolerates() == 0 && count.Voters > 1:
		colour = yellow
	}
	return paint(w, colour, o.Summary())
}

// printMemberTable has a row a member. A whole row is painted, since colour
// inside a cell counts as width.
func printMemberTable(w io.Writer, o *membership.Observation) {
	withZones := slices.ContainsFunc(o.Members, func(m membership.Member) bool { return m.Zone != "" })
	var table strings.Builder
	tab := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		if !withZones {
			cells = cells[:len(cells)-1]
		}
		fmt.Fprintf(tab, "  %s\n", strings.Join(cells, "\t"))
	}
	row("NAME", "ID", "ROLE", "HEALTH", "VERSION", "DB (IN USE)", "TERM", "APPLIED", "LAG", "ALARMS", "ZONE")
	for _, m := range o.Members {
		cells := []string{orDash(m.Name), m.ID.String(), memberRole(o, m), memberHealth(o, &m), "-", "-", "-", "-", "-", "-", orDash(m.Zone)}
		if st := m.Status; st != nil {
			cells[4] = orDash(st.Version)
			cells[5] = fmt.Sprintf("%s (%s)", size(st.DBSize), size(st.DBSizeInUse))
			cells[6] = fmt.Sprint(st.RaftTerm)
			cells[7] = fmt.Sprint(st.RaftApplied)
			cells[8] = fmt.Sprint(o.Lag(&m))
		}
		if len(m.Alarms) > 0 {
			cells[9] = joinAlarms(m.Alarms)
		}
		row(cells...)
	}
	_ = tab.Flush() // into memory
	for i, line := range strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		if colour := rowColour(o, i-1); colour != "" {
			line = paint(w, colour, line)
		}
		fmt.Fprintln(w, line)
	}
}

// rowColour is the colour of the member in that row, "" for none; row -1 is the header.
func rowColour(o *membership.Observation, row int) string {
	if row < 0 {
		return faint
	}
	switch m := o.Members[row]; {
	case m.Status == nil || m.Ghost || slices.Contains(m.Alarms, membership.Corrupt):
		return red
	case !m.CaughtUp || len(m.Alarms) > 0:
		return yellow
	}
	return ""
}

func memberRole(o *membership.Observation, m membership.Member) string {
	switch {
	case m.Ghost:
		return "none"
	case m.ID == o.Leader:
		return "leader"
	case m.Learner:
		return "learner"
	}
	return "voter"
}

// memberHealth is how fast a member answers, or what is wrong with it.
func memberHealth(o *membership.Observation, m *membership.Member) string {
	switch health := o.Health(m); {
	case health == membership.Healthy:
		return "ok " + m.Latency.Round(latencyUnit(m.Latency)).String()
	case health == membership.Down && m.Err != nil:
		return "down: " + reasonAlone(m.Err)
	default:
		return string(health)
	}
}

// latencyUnit leaves two digits or so of a latency.
func latencyUnit(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return 100 * time.Microsecond
	}
	return time.Millisecond
}

// reasonAlone leaves the endpoint out: the row says whom it is about.
func reasonAlone(err error) string {
	text := err.Error()
	if _, reason, ok := strings.Cut(text, ": "); ok && strings.Contains(text[:len(text)-len(reason)], "://") {
		return reason
	}
	return text
}

func joinAlarms(alarms []membership.AlarmType) string {
	var names []string
	for _, a := range alarms {
		names = append(names, string(a))
	}
	return strings.Join(names, ",")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printZones(w io.Writer, zones []quorum.ZoneLoss) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, z := range zones {
		verdict := "keeps quorum"
		if z.Left.Tolerates() < 0 {
			verdict = "QUORUM IS LOST"
		}
		fmt.Fprintf(tab, "  without zone %s\t%d of %d healthy\t%s\n", z.Zone, z.Left.Able, z.Left.Voters, verdict)
	}
	_ = tab.Flush() // as with all text for people
}

// severities are what a person sees of a finding, in one width.
var severities = map[membership.Severity]struct{ text, colour string }{
	membership.Critical: {"FAIL", red},
	membership.Warning:  {"warn", yellow},
	membership.Notice:   {"note", faint},
}

func printFinding(w io.Writer, f membership.Finding) {
	mark := severities[f.Severity]
	fmt.Fprintf(w, "  %s  %s\n", paint(w, mark.colour, mark.text), f.Text)
	if f.Remedy == "" {
		return
	}
	for line := range strings.SplitSeq(f.Remedy, "\n") {
		fmt.Fprintf(w, "        %s\n", line)
	}
}
