package membership

import (
	"fmt"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// withRemedy adds to a refusal what makes the step safe, as commands.
func withRemedy(err error, p Planned) error {
	if remedy := p.Remedy(); remedy != "" {
		return fail.WithHint(err, "%s", remedy)
	}
	return err
}

const cureAlarm = "cure the alarm first: etcdha alarm list says what is on"

// Remedy is what makes a refused step safe, in words and commands; "" if nothing is
// known to.
func (p Planned) Remedy() string {
	switch {
	case p.Refusal != nil && p.Refusal.Reason == quorum.NoQuorum:
		return "etcdha member status says what is left to recover from"
	case p.Refusal != nil && len(p.Refusal.Remedy) > 0:
		var words []string
		for _, s := range p.Refusal.Remedy {
			words = append(words, p.inWords(s))
		}
		return "first: " + strings.Join(words, "; then ")
	case p.Refusal != nil:
		return ""
	case p.Hazard != nil:
		return p.Hazard.Remedy
	case p.NoLock != nil:
		return cureAlarm
	}
	return ""
}

func (p Planned) inWords(s quorum.Step) string {
	m, there := p.Refusal.State.Member(s.ID)
	name := s.ID.String()
	if m.Name != "" {
		name = shellQuote(m.Name)
	}
	switch {
	case s.Kind == quorum.AddLearner:
		return "add another member"
	case s.Kind == quorum.Heal && there:
		return "let " + name + " run and catch up"
	case s.Kind == quorum.Heal:
		return "let it run and catch up"
	case !there:
		return string(s.Kind) + " it"
	case s.Kind == quorum.Remove && !m.Learner && !m.Corrupt && !m.Able():
		return p.backOrOut(m, name)
	}
	return "etcdha member " + string(s.Kind) + " " + name
}

// backOrOut is for a voter in whose way a step is. It may only be rebooting: to
// remove it would throw away what it holds.
func (p Planned) backOrOut(m quorum.Member, name string) string {
	back := "start " + name
	if m.Answers {
		back = "let " + name + " catch up"
	}
	if p.keeps != nil && p.keeps(m) {
		return back + ", or take it out of the target"
	}
	return back + "; if it is gone for good: etcdha member remove " + name
}

// warnings are what a step costs although it is safe. How many voters there
// are is only a matter for the end of a plan: on the way every second step
// leaves an even number.
func warnings(p Planned, last bool) []string {
	var out []string
	if cost := p.After.EvenCost(); last && cost != "" && p.After.Voters != p.Before.Voters {
		out = append(out, cost)
	}
	if p.Step.Kind == quorum.Update {
		out = append(out, fmt.Sprintf("whether the others reach it there is not tried: restart the etcd of %s with --listen-peer-urls and --initial-advertise-peer-urls for %s, and then look: etcdha member status",
			p.Step.Name, strings.Join(p.Step.PeerURLs, ",")))
	}
	return out
}
