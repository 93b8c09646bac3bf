package command

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// printSteps shows a plan: what each step is, and what the cluster survives
// before, during and after it. Why the first step is refused is said as the error.
func printSteps(c *cli.Context, w io.Writer, o *membership.Observation, plan []membership.Planned) {
	fmt.Fprintf(w, "%s\n\n", paintSummary(w, o))
	lines := planLines(o, plan)
	fmt.Fprintln(w, paint(w, faint, lines[0]))
	for i, p := range plan {
		fmt.Fprintln(w, lines[i+1])
		if err := p.Refused(); err != nil && i > 0 && !c.IsSet("force-unsafe") {
			fmt.Fprintf(w, "     %s  %v\n", paint(w, red, "REFUSED"), err)
		}
		printWarnings(c, w, p.Warnings)
	}
}

func printWarnings(c *cli.Context, w io.Writer, warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(w, "     %s  %s\n", paint(w, yellow, "warn"), toType(c, warning))
	}
}

// planLines are a header and a line a step, in columns.
func planLines(o *membership.Observation, plan []membership.Planned) []string {
	var table bytes.Buffer
	tab := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\tSTEP\tHEALTHY BEFORE\tDURING\tHEALTHY AFTER")
	for i, p := range plan {
		fmt.Fprintf(tab, "  %d\t%s\t%s\t%s\t%s\n", i+1, stepText(o, p.Step),
			healthy(p.Before), canLose(p.During), healthy(p.After))
	}
	_ = tab.Flush() // into memory
	return strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")
}

// healthy is how many voters can be counted on, and how many more may fail.
func healthy(n quorum.Count) string {
	return fmt.Sprintf("%d of %d, %s", n.Able, n.Voters, canLose(n))
}

func canLose(n quorum.Count) string {
	if t := n.Tolerates(); t >= 0 {
		return fmt.Sprintf("can lose %d", t)
	}
	return "QUORUM LOST"
}

// stepText is a step in words.
func stepText(o *membership.Observation, s membership.Step) string {
	name := stepName(o, s)
	switch s.Kind {
	case quorum.AddLearner:
		return fmt.Sprintf("add %s as a learner, at %s", name, strings.Join(s.PeerURLs, ","))
	case quorum.Promote:
		return fmt.Sprintf("promote %s to a voter", name)
	case quorum.Update:
		return fmt.Sprintf("update %s to %s", name, strings.Join(s.PeerURLs, ","))
	case quorum.MoveLeader:
		return "move the leader to " + name
	case quorum.Heal:
		return fmt.Sprintf("wait until %s runs and has caught up", name)
	}
	return fmt.Sprintf("%s %s", s.Kind, name)
}

// stepName is whom a step is about, with the id where the name alone does not tell.
func stepName(o *membership.Observation, s membership.Step) string {
	name := s.Name
	if name == "" {
		name = o.Label(s.ID)
	}
	same := 0
	for _, m := range o.Members {
		if m.Name == name {
			same++
		}
	}
	if s.ID != 0 && name != s.ID.String() && same > 1 {
		name += " (" + s.ID.String() + ")"
	}
	return name
}

// stepsJSON is a plan for programs.
type stepsJSON struct {
	Quorum countJSON  `json:"quorum"`
	Steps  []stepJSON `json:"steps"`
}

type stepJSON struct {
	Kind     quorum.Kind `json:"kind"`
	Name     string      `json:"name"`
	ID       string      `json:"id,omitempty"` // none before it is added
	PeerURLs []string    `json:"peerURLs,omitempty"`
	Before   countJSON   `json:"before"`
	During   countJSON   `json:"during"`
	After    countJSON   `json:"after"`
	Refused  string      `json:"refused,omitempty"`
	Warnings []string    `json:"warnings,omitempty"`
}

func stepsOutput(o *membership.Observation, plan []membership.Planned) stepsJSON {
	out := stepsJSON{Quorum: countOf(o.State().Count()), Steps: []stepJSON{}}
	for _, p := range plan {
		j := stepJSON{
			Kind: p.Step.Kind, Name: p.Step.Name, PeerURLs: p.Step.PeerURLs, Warnings: p.Warnings,
			Before: countOf(p.Before), During: countOf(p.During), After: countOf(p.After),
		}
		if p.Step.ID != 0 {
			j.ID = p.Step.ID.String()
		}
		if err := p.Refused(); err != nil {
			j.Refused = err.Error()
		}
		out.Steps = append(out.Steps, j)
	}
	return out
}
