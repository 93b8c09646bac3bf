package command

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// stepReporter tells a person on stderr what goes on, and on stdout what
// etcdctl would have said of it.
type stepReporter struct {
	*change
	plan   []membership.Planned // that was shown last, and what remains of it
	seen   *membership.Observation
	leader quorum.ID          // before the step that is under way
	gone   membership.Step    // the last removal
	added  quorum.ID          // the member that was added
	acted  bool               // a step was taken
	told   map[quorum.ID]bool // who has been told how to start
	why    string             // what was waited for last
	at     time.Time          // when that was said
	toDo   map[string]bool    // lines of what to do that were said
}

func newStepReporter(ch *change) *stepReporter {
	return &stepReporter{change: ch, told: make(map[quorum.ID]bool), toDo: make(map[string]bool)}
}

// Observed shows the plan, and again when it has become another one. With
// --dry-run the plan is the result.
func (r *stepReporter) Observed(o *membership.Observation, plan []membership.Planned) {
	r.seen, r.leader = o, o.Leader
	if len(plan) == 0 {
		return
	}
	known := r.remains(plan)
	changed := r.plan != nil && !known
	r.plan = plan
	if known {
		return
	}
	w := r.c.App.ErrWriter
	if r.c.Bool("dry-run") {
		if !people(r.c) {
			return // it is printed in the end
		}
		w = r.c.App.Writer
	}
	if changed {
		fmt.Fprintln(w, "\nThe cluster has changed, and so has the plan.")
	}
	printSteps(r.c, w, o, plan)
	if !r.c.Bool("dry-run") {
		fmt.Fprintln(w)
	}
}

// remains tells whether a plan is the rest of the one that was shown: what it
// waited for may have come.
func (r *stepReporter) remains(plan []membership.Planned) bool {
	return len(plan) <= len(r.plan) && slices.EqualFunc(r.plan[len(r.plan)-len(plan):], plan, samePlanned)
}

// samePlanned compares what a plan is about. Ids are only known once a member
// has been added.
func samePlanned(a, b membership.Planned) bool {
	return a.Step.Kind == b.Step.Kind && a.Step.Name == b.Step.Name && slices.Equal(a.Step.PeerURLs, b.Step.PeerURLs)
}

// Doing says what is done.
func (r *stepReporter) Doing(p membership.Planned) {
	w := r.c.App.ErrWriter
	fmt.Fprintf(w, "-> %s\n", stepText(r.seen, p.Step))
	if p.Refused() != nil {
		printWarnings(r.c, w, p.Warnings) // once more: it is forced
	} else {
		printWarnings(r.c, w, r.unsaid(p))
	}
	if p.Step.Kind == quorum.Heal {
		r.tell(r.seen, p.Step)
	}
}

// unsaid are the warnings of a step that its plan did not have.
func (r *stepReporter) unsaid(p membership.Planned) []string {
	return slices.DeleteFunc(slices.Clone(p.Warnings), func(warning string) bool {
		return slices.ContainsFunc(r.plan, func(told membership.Planned) bool { return slices.Contains(told.Warnings, warning) })
	})
}

// sayAgain is how often a wait that goes on is mentioned.
const sayAgain = 30 * time.Second

// Waiting says what is waited for, when that changes and now and then; what
// somebody has to do for it is said once.
func (r *stepReporter) Waiting(_ membership.Step, why string) {
	t := now()
	if why == r.why && t.Sub(r.at) < sayAgain {
		return
	}
	what, toDo, _ := strings.Cut(why, "\n")
	fmt.Fprintf(r.c.App.ErrWriter, "   waiting: %s\n", what)
	for line := range strings.Lines(toDo) {
		if !r.toDo[line] {
			fmt.Fprintf(r.c.App.ErrWriter, "     %s\n", toType(r.c, strings.TrimSuffix(line, "\n")))
		}
		r.toDo[line] = true
	}
	r.why, r.at = why, t
}

// Done prints what etcdctl would.
func (r *stepReporter) Done(p membership.Planned, o *membership.Observation) {
	leader := r.leader
	r.seen, r.leader, r.why, r.acted = o, o.Leader, "", true
	clear(r.toDo)
	s := p.Step
	switch s.Kind {
	case quorum.AddLearner:
		s.ID = idAt(o, s.PeerURLs)
		r.added = s.ID
	case quorum.Remove:
		r.gone = s
	}
	line := stepLine(o, s, leader, r.c.Bool("learner"))
	switch {
	case line == "" || !people(r.c):
	case slices.Contains(r.shows, s.Kind):
		fmt.Fprintln(r.c.App.Writer, line)
	default:
		fmt.Fprintln(r.c.App.ErrWriter, line)
	}
	if s.Kind == quorum.AddLearner {
		if slices.Equal(r.gone.PeerURLs, s.PeerURLs) {
			r.replaced = r.gone.ID
		}
		r.tell(o, s)
	}
}

// idAt is the id of the member with those peer URLs.
func idAt(o *membership.Observation, urls []string) quorum.ID {
	for _, m := range o.Members {
		if !m.Ghost && slices.Equal(slices.Sorted(slices.Values(m.PeerURLs)), slices.Sorted(slices.Values(urls))) {
			return m.ID
		}
	}
	return 0
}

// finish ends with what the cluster survives now, and what to type next.
func (r *stepReporter) finish(o *membership.Observation) error {
	if !people(r.c) {
		return r.printResult(o)
	}
	w := r.c.App.ErrWriter
	if r.plan == nil {
		fmt.Fprintln(w, "Nothing to do: the cluster is as it should be.")
		for _, note := range membership.Notes(r.goal, o) {
			fmt.Fprintln(w, paint(w, yellow, "  note  "+note))
		}
		if r.comes != nil {
			r.tell(o, membership.Step{Step: quorum.Step{ID: idAt(o, r.comes.PeerURLs)}, Name: r.comes.Name})
		}
	}
	r.printCount(o)
	printNext(w, "%s", toType(r.c, r.next(o)))
	return nil
}

// next is what to type, or do, when the command has come to its end.
func (r *stepReporter) next(o *membership.Observation) string {
	switch found := nextAfter(membership.Findings(o)); {
	case r.comes != nil:
		return "start " + r.comes.Name + ", then: etcdha member promote " + quote(r.comes.Name)
	case r.after != "" && r.acted:
		return r.after
	case found != "":
		return found
	}
	return "etcdha member status"
}

func (r *stepReporter) printCount(o *membership.Observation) {
	fmt.Fprintf(r.c.App.ErrWriter, "\n%s\n", paintSummary(r.c.App.ErrWriter, o))
}

// printResult is etcdctl's JSON.
func (r *stepReporter) printResult(o *membership.Observation) error {
	var members []membership.Listed
	var term uint64
	for _, m := range o.Members {
		if !m.Ghost {
			members = append(members, m.Listed)
		}
		if m.Status != nil {
			term = max(term, m.Status.RaftTerm)
		}
	}
	out := membersOutput(r.c, o.ClusterID, o.Leader, term, members)
	for i, m := range members {
		if m.ID == r.added {
			out.Member = &out.Members[i]
		}
	}
	_, err := asJSON(r.c, out)
	return err
}
