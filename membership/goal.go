package membership

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Best is the target of [MoveLeader] that leaves the choice to the observation.
const Best = "best"

// named finds the member that people mean by a name or by an id in hex. A name
// comes first: one such as abc is an id as well.
func (o *Observation) named(who string) (*Member, error) {
	var found []*Member
	for i := range o.Members {
		if m := &o.Members[i]; !m.Ghost && m.Name == who && who != "" {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fail.WithHint(fail.Usagef("%d members are named %s", len(found), who), "give the id: %s or %s", found[0].ID, found[1].ID)
	}
	if id, err := strconv.ParseUint(who, 16, 64); err == nil {
		if m := o.member(quorum.ID(id)); m != nil {
			return m, nil
		}
	}
	return nil, fail.WithHint(fail.Usagef("no member %q", who), "there are %s", o.labels())
}

// absent is a note that nobody has that name or id.
func (o *Observation) absent(who string) []string {
	if _, err := o.named(who); err == nil || !o.HasQuorum || o.count(func(m *Member) bool { return m.Name == who }) > 0 {
		return nil
	}
	what := "name"
	if isID(who) {
		what = "id"
	}
	return []string{fmt.Sprintf("no member has the %s %s (already removed?); there are %s", what, who, o.labels())}
}

// dead tells whether the member serves nobody, nor will by itself: it does not
// answer at all, or what it holds is corrupt. One that is behind is neither.
func (o *Observation) dead(m *Member) bool {
	return m.Status == nil || slices.Contains(m.Alarms, Corrupt)
}

// labels are the members in words: what can be typed to name them.
func (o *Observation) labels() string {
	var labels []string
	for i := range o.Members {
		if !o.Members[i].Ghost {
			labels = append(labels, o.Members[i].Label())
		}
	}
	return strings.Join(labels, ", ")
}

// minIDDigits tells an id from a word that happens to be hex: an id is a hash of 64
// bits, and one in four billion is shorter.
const minIDDigits = 8

// isID tells whether the text can only be a member's id.
func isID(s string) bool {
	_, err := strconv.ParseUint(s, 16, 64)
	return err == nil && len(s) >= minIDDigits
}

func (o *Observation) step(kind quorum.Kind, m *Member) Step {
	return Step{Step: quorum.Step{Kind: kind, ID: m.ID}, Name: m.Label(), PeerURLs: m.PeerURLs}
}

// bring is how a learner becomes a voter: it runs and has caught up, then it is
// promoted.
func (o *Observation) bring(m *Member, name string) Step {
	kind := quorum.Promote
	if !o.able(m.ID) {
		kind = quorum.Heal
	}
	s := o.step(kind, m)
	if m.Name == "" {
		s.Name = name
	}
	return s
}

func newMember(name string, peerURLs []string) Step {
	return Step{Step: quorum.Step{Kind: quorum.AddLearner}, Name: name, PeerURLs: peerURLs}
}

// removal takes a member out. The leader leads no more before that: a leader
// that goes by its removal is missed for an election.
func (o *Observation) removal(m *Member, stays func(*Member) bool) Step {
	if m.ID == o.Leader {
		if next := o.healthiest(stays); next != nil {
			return o.step(quorum.MoveLeader, next)
		}
	}
	return o.step(quorum.Remove, m)
}

// Smaller differences between two looks at a healthy member are chance, and a
// plan must not change for them: a write is on its way, a packet is late.
const (
	lagGrain     = 1000 // entries
	latencyGrain = 5 * time.Millisecond
)

// healthiest is the voter that leads best, of those that are able and do not
// lead: one that stays before one that goes, then the one that is least behind,
// that answers fastest, and whose zone is known, in the order of the list; nil if
// there is none.
func (o *Observation) healthiest(stays func(*Member) bool) *Member {
	var voters []*Member
	for i := range o.Members {
		if m := &o.Members[i]; !m.Learner && m.ID != o.Leader && o.able(m.ID) {
			voters = append(voters, m)
		}
	}
	if len(voters) == 0 {
		return nil
	}
	return slices.MinFunc(voters, func(a, b *Member) int {
		return cmp.Or(
			first(stays(a), stays(b)),
			cmp.Compare(o.Lag(a)/lagGrain, o.Lag(b)/lagGrain),
			cmp.Compare(a.Latency/latencyGrain, b.Latency/latencyGrain),
			first(a.Zone != "", b.Zone != ""),
		)
	})
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func anyone(*Member) bool { return true }

// checkFree refuses peer URLs that members other than m have: etcd would.
func (o *Observation) checkFree(peerURLs []string, m *Member) error {
	other := o.find(func(other *Member) bool {
		return (m == nil || other.ID != m.ID) && shareURL(other.PeerURLs, peerURLs)
	})
	if other == nil {
		return nil
	}
	return fail.WithHint(fail.Usagef("peer URL %s belongs to member %s", strings.Join(other.PeerURLs, ","), other.Label()),
		"replace that member, or give the new one another host or port")
}
