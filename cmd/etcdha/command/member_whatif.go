package command

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

func whatIfCommand() *cli.Command {
	names := func(name, usage string) cli.Flag { return &cli.StringSliceFlag{Name: name, Usage: usage} }
	return &cli.Command{
		Name:  "what-if",
		Usage: "say what would be left if members failed, came or went; changes nothing",
		Description: `Members that are removed or added are so first, and then those fail that are lost.
What is added counts as a healthy voter once it has been promoted.`,
		Flags: slices.Concat([]cli.Flag{
			names("lose", "`MEMBERS` that fail, names or ids, comma separated"),
			names("add", "`NAMES` of new members, comma separated"),
			names("remove", "`MEMBERS` that are removed, names or ids, comma separated"),
			zoneFlag(), writeOutFlag(),
		}, connectionFlags()),
		Action: whatIf,
	}
}

func whatIf(c *cli.Context) error {
	if err := errors.Join(checkWriteOut(c), noArgs(c)); err != nil {
		return err
	}
	if len(words(c, "lose"))+len(words(c, "add"))+len(words(c, "remove")) == 0 {
		return fail.WithHint(fail.Usagef("nothing is asked: give --lose, --add or --remove"), "for example etcdha member what-if --lose m2,m3")
	}
	o, err := observed(c, words(c, "add")...)
	if err != nil {
		return err
	}
	moments, err := imagine(c, o)
	if err != nil {
		return err
	}
	if done, err := asJSON(c, momentsOutput(moments)); done {
		return err
	}
	printMoments(c.App.Writer, o, moments)
	return nil
}

// moment is a state that the cluster would be in.
type moment struct {
	what  string
	state quorum.State
	err   error // why the step to it is refused as things are
}

// imagine plays out what the flags ask for.
func imagine(c *cli.Context, o *membership.Observation) ([]moment, error) {
	moments := []moment{{"now", o.State(), nil}}
	for _, arg := range words(c, "remove") {
		m, err := o.Named(arg)
		if err != nil {
			return nil, err
		}
		var refused error
		if o, refused, err = withoutMember(o, m); err != nil {
			return nil, err
		}
		moments = append(moments, moment{"after remove " + m.Label(), o.State(), refused})
	}
	state := o.State()
	for i, name := range words(c, "add") {
		refused := quorum.Check(state, quorum.Step{Kind: quorum.AddLearner})
		// No member of a cluster has so small an id.
		m := quorum.Member{ID: quorum.ID(i + 1), Name: name, Started: true, Answers: true, CaughtUp: true, Zone: zoneOf(c, name)}
		state.Members = append(slices.Clone(state.Members), m)
		moments = append(moments, moment{"after add " + name, state, refused})
	}
	lost := words(c, "lose")
	if len(lost) == 0 {
		return moments, nil
	}
	ids, err := whoIsLost(o, state, lost)
	return append(moments, moment{"without " + strings.Join(lost, ", "), state.Lose(ids...), nil}), err
}

// withoutMember is what member remove would make of the cluster, and why it would be
// refused: the leader hands over first there.
func withoutMember(o *membership.Observation, m *membership.Member) (after *membership.Observation, refused, err error) {
	steps, err := membership.Remove(m.ID.String()).Steps(o)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range membership.MakePlan(o, steps) {
		if refused == nil {
			refused = p.Refused()
		}
		o = o.After(p.Step)
	}
	return o, refused, nil
}

// whoIsLost finds members that are there after what was removed and added.
func whoIsLost(o *membership.Observation, state quorum.State, names []string) ([]quorum.ID, error) {
	var ids []quorum.ID
	for _, name := range names {
		i := slices.IndexFunc(state.Members, func(m quorum.Member) bool { return m.Name == name || m.ID.String() == name })
		if i < 0 {
			_, err := o.Named(name)
			return nil, err
		}
		ids = append(ids, state.Members[i].ID)
	}
	return ids, nil
}

func zoneOf(c *cli.Context, name string) string {
	zones, _ := zonesOf(c) // was read without error before
	return zones[name]
}

func printMoments(w io.Writer, o *membership.Observation, moments []moment) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "%s\t%s\n", moments[0].what, o.Summary()) // which knows more than a state
	for _, m := range moments[1:] {
		fmt.Fprintf(tab, "%s\t%s\n", m.what, m.state.Count())
	}
	_ = tab.Flush() // as with all text for people
	for _, m := range moments {
		if m.err != nil {
			fmt.Fprintf(w, "\n  %s  now it would be refused: %v\n", paint(w, yellow, "warn"), m.err)
		}
	}
	last := moments[len(moments)-1].state
	if warning := last.Count().EvenCost(); warning != "" {
		fmt.Fprintf(w, "\n  %s  %s\n", paint(w, yellow, "warn"), warning)
	}
	if zones := last.Zones(); len(zones) > 0 {
		fmt.Fprintln(w)
		printZones(w, zones)
	}
}

type momentJSON struct {
	What    string         `json:"what"`
	Quorum  countJSON      `json:"quorum"`
	Refused string         `json:"refused,omitempty"` // why the step to it is refused now
	Zones   []zoneLossJSON `json:"zones,omitempty"`
}

func momentsOutput(moments []moment) []momentJSON {
	var out []momentJSON
	for _, m := range moments {
		j := momentJSON{What: m.what, Quorum: countOf(m.state.Count()), Zones: zonesOutput(m.state)}
		if m.err != nil {
			j.Refused = m.err.Error()
		}
		out = append(out, j)
	}
	return out
}
