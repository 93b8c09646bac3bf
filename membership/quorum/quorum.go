// Package quorum is the arithmetic of voters, learners and failures in an etcd
// cluster: what it survives now, what a step of a membership change would make
// of that, and whether the step is safe.
//
// What always holds: a step that [Check] lets pass has a quorum both before it,
// to commit it, and after it, to go on; and while it is under way, failures cost
// the quorum only if there are more of them than [During] says. Members are able
// only if there is proof; doubt counts as failure. The package is pure: a state
// comes in, a judgement comes out.
//
// A corrupt member counts in one way and not in the other. It votes like any
// other, so that it helps to commit a change, its own removal as well. What it
// holds is wrong, so that it helps nobody to serve. Hence a change is committed
// by members that vote, and is safe if those that are able are a quorum
// afterwards. There is one exception: the removal of a member that is not able
// takes nothing away that served, so that it is enough if those that vote are
// still a quorum. Otherwise a cluster in which many are corrupt or down could
// not be mended one by one.
package quorum

import (
	"fmt"
	"slices"
)

// ID is the id of an etcd member.
type ID uint64

// String is the id as etcdctl prints it.
func (id ID) String() string { return fmt.Sprintf("%x", uint64(id)) }

// Member is what is known of a member at one moment.
type Member struct {
	ID      ID
	Name    string // "" until it has started for the first time
	Learner bool
	Started bool // its etcd has run: it has told the cluster its name
	Answers bool // it answered, and it follows the leader of the state
	// CaughtUp: its applied index has reached the commit index that the leader
	// had before the member was asked.
	CaughtUp bool
	Corrupt  bool   // it has a CORRUPT alarm: what it holds must not spread
	Zone     string // what fails together, "" if that is not known
}

// Able tells whether a member can be counted on: as a voter that is one, as a
// learner once it is promoted.
func (m Member) Able() bool { return m.votes() && !m.Corrupt }

// votes tells whether the member, as a voter, helps to commit.
func (m Member) votes() bool { return m.Started && m.Answers && m.CaughtUp }

// label is what people call the member.
func (m Member) label() string {
	if m.Name == "" {
		return m.ID.String()
	}
	return m.Name
}

// State is a cluster at one moment.
type State struct {
	Members []Member
	Leader  ID // the leader, if it is among those that answered; else 0
}

// Member returns the member with that id.
func (s State) Member(id ID) (Member, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return s.Members[i], true
}

// Majority is how many of so many voters are a quorum.
func Majority(voters int) int { return voters/2 + 1 }

// Count is what decides about quorum.
type Count struct {
	Voters  int // members that vote
	Able    int // of these, those that can be counted on
	Corrupt int // of these, those that would be able if their data were good
}

// Quorum is how many able voters it takes.
func (c Count) Quorum() int { return Majority(c.Voters) }

// Tolerates is how many more voters may fail; negative if there is no quorum
// of able ones.
func (c Count) Tolerates() int { return c.Able - c.Quorum() }

// commits tells whether there are enough voters to commit a change.
func (c Count) commits() bool { return c.Able+c.Corrupt >= c.Quorum() }

// String is one line for people.
func (c Count) String() string {
	s := fmt.Sprintf("%s, %d healthy, quorum %d: ", plural(c.Voters, "voter"), c.Able, c.Quorum())
	if c.Corrupt > 0 {
		s = fmt.Sprintf("%s, %d healthy, %d corrupt, quorum %d: ", plural(c.Voters, "voter"), c.Able, c.Corrupt, c.Quorum())
	}
	switch t := c.Tolerates(); {
	case t > 0:
		return s + fmt.Sprintf("can lose %d", t)
	case t == 0:
		return s + "can lose none"
	case c.commits():
		return s + fmt.Sprintf("no quorum of healthy ones, %d more needed", -t)
	default:
		return s + fmt.Sprintf("quorum is lost, %d more needed", -t)
	}
}

// EvenCost says what an even number of voters costs, "" for an odd one. It is
// worth a warning, and never a reason to refuse.
func (c Count) EvenCost() string {
	if c.Voters == 0 || c.Voters%2 != 0 {
		return ""
	}
	spare := "none"
	if n := c.Voters - Majority(c.Voters); n > 0 {
		spare = fmt.Sprint(n)
	}
	return fmt.Sprintf("%d voters can lose %s, no more than %s can", c.Voters, spare, plural(c.Voters-1, "voter"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Count counts the voters.
func (s State) Count() Count {
	var c Count
	for i := range s.Members {
		m := &s.Members[i]
		if m.Learner {
			continue
		}
		c.Voters++
		switch {
		case m.Able():
			c.Able++
		case m.votes():
			c.Corrupt++
		}
	}
	return c
}

// Lose is the state after those members have failed.
func (s State) Lose(ids ...ID) State {
	members := slices.Clone(s.Members)
	for i := range members {
		if slices.Contains(ids, members[i].ID) {
			members[i].Answers = false
		}
	}
	s.Members = members
	if slices.Contains(ids, s.Leader) {
		s.Leader = 0
	}
	return s
}
