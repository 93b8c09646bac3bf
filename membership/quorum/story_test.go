package quorum_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/membership/quorum"
)

// cluster reads a cluster as people would tell it: members m1, m2, ... each with
// what is special about it.
func cluster(text string) quorum.State {
	var s quorum.State
	for i, words := range strings.Split(text, ", ") {
		m := quorum.Member{ID: quorum.ID(i + 1), Started: true, Answers: true, CaughtUp: true}
		name, special, _ := strings.Cut(words, " ")
		m.Name = name
		for _, word := range strings.Fields(special) {
			switch word {
			case "leader":
				s.Leader = m.ID
			case "learner":
				m.Learner = true
			case "unstarted":
				m.Name, m.Started, m.Answers, m.CaughtUp = "", false, false, false
			case "down":
				m.Answers, m.CaughtUp = false, false
			case "behind":
				m.CaughtUp = false
			case "corrupt":
				m.Corrupt = true
			default:
				panic("unknown word " + word)
			}
		}
		s.Members = append(s.Members, m)
	}
	return s
}

// say is steps in words, "nothing" for none.
func say(steps []quorum.Step) string {
	var words []string
	for _, step := range steps {
		words = append(words, fmt.Sprintf("%s m%v", step.Kind, step.ID))
	}
	if words == nil {
		return "nothing"
	}
	return strings.ReplaceAll(strings.ReplaceAll(strings.Join(words, ", "), "add m0", "add"), "m0", "it")
}

var (
	add        = quorum.Step{Kind: quorum.AddLearner}
	promote    = func(id quorum.ID) quorum.Step { return quorum.Step{Kind: quorum.Promote, ID: id} }
	remove     = func(id quorum.ID) quorum.Step { return quorum.Step{Kind: quorum.Remove, ID: id} }
	update     = func(id quorum.ID) quorum.Step { return quorum.Step{Kind: quorum.Update, ID: id} }
	moveLeader = func(id quorum.ID) quorum.Step { return quorum.Step{Kind: quorum.MoveLeader, ID: id} }
)

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		cluster string
		step    quorum.Step
		reason  quorum.Reason
		text    string
		remedy  string
	}{
		// What the operator has mistaken.
		{"m1 leader, m2, m3", quorum.Step{Kind: quorum.Heal, ID: 2}, quorum.NotAChange,
			"heal m2: it is no change of the membership, so that there is nothing to judge", "nothing"},
		{"m1 leader, m2, m3", remove(0xabc), quorum.NoSuchMember,
			"remove abc: there is no such member", "nothing"},
		{"m1 leader, m2, m3", promote(2), quorum.NotALearner,
			"promote m2: it is a voter already", "nothing"},
		{"m1 leader, m2, m3 learner", moveLeader(3), quorum.NotAVoter,
			"move-leader m3: it is a learner, which cannot lead", "promote m3"},
		{"m1 leader, m2, m3", moveLeader(1), quorum.AlreadyLeader,
			"move-leader m1: it is the leader already", "move-leader m2"},

		// What ails the cluster.
		{"m1, m2 down, m3 down", remove(3), quorum.NoQuorum,
			"remove m3: quorum is lost: 1 of 3 voters takes part, quorum is 2", "heal m2"},
		{"m1 down, m2 down, m3 down", remove(3), quorum.NoQuorum,
			"remove m3: no leader answers, so that none of 3 voters is known to take part, quorum is 2", "heal m1, heal m2"},
		{"m1, m2, m3", remove(3), quorum.NoLeader,
			"remove m3: no leader answers", "nothing"},

		// Adding: what is dead goes first, what is pending is brought to an end.
		{"m1 leader, m2, m3 down", add, quorum.VoterDown,
			"add a learner: the voter m3 does not answer", "remove m3"},
		{"m1 leader, m2, m3 down, m4 behind, m5", add, quorum.VoterDown,
			"add a learner: the voter m3 does not answer, the voter m4 has not caught up", "remove m3, remove m4"},
		{"m1 leader, m2, m3 unstarted", add, quorum.VoterDown,
			"add a learner: the voter 3 has never started", "remove m3"},
		{"m1 leader, m2, m3, m4 learner unstarted", add, quorum.PendingMember,
			"add a learner: 4 is still a learner", "remove m4"},
		{"m1 leader, m2, m3, m4 learner", add, quorum.PendingMember,
			"add a learner: m4 is still a learner", "promote m4"},
		{"m1 leader, m2 learner, m3 learner down", add, quorum.PendingMember,
			"add a learner: m2, m3 are still learners", "promote m2, remove m3"},
		{"m1 leader corrupt, m2, m3", add, quorum.CorruptLeader,
			"add a learner: the leader m1 has corrupt data and would fill the new member with it", "move-leader m2, remove m1"},

		// Promoting: only what is proven to be a help.
		{"m1 leader, m2 learner unstarted", promote(2), quorum.NotStarted,
			"promote 2: its etcd has never started", "heal m2"},
		{"m1 leader, m2 learner down", promote(2), quorum.NotAnswering,
			"promote m2: it does not answer", "heal m2"},
		{"m1 leader, m2 learner behind", promote(2), quorum.NotCaughtUp,
			"promote m2: it has not caught up with the leader", "heal m2"},
		{"m1 leader, m2 learner corrupt", promote(2), quorum.CorruptMember,
			"promote m2: its data is corrupt", "nothing"},
		{"m1 leader, m2 corrupt, m3 corrupt, m4 learner", promote(4), quorum.LosesQuorum,
			"promote m4: there would be 4 voters with 2 healthy, quorum is 3", "remove m2"},

		// Removing.
		{"m1 leader", remove(1), quorum.LastVoter,
			"remove m1: it is the only voter", "nothing"},
		{"m1 leader, m2, m3", remove(1), quorum.IsLeader,
			"remove m1: it is the leader", "move-leader m2"},
		{"m1 leader, m2, m3 down", remove(2), quorum.LosesQuorum,
			"remove m2: 2 voters would be left with 1 healthy, quorum is 2", "remove m3"},
		{"m1 leader, m2, m3 corrupt", remove(2), quorum.LosesQuorum,
			"remove m2: 2 voters would be left with 1 healthy, quorum is 2", "remove m3"},
		{"m1 leader, m2 corrupt, m3 down", remove(2), quorum.LosesQuorum,
			"remove m2: 2 voters would be left, of which 1 takes part, quorum is 2", "remove m3"},

		// Other peer URLs: until it is seen there, the member counts as lost.
		{"m1 leader, m2, m3 down", update(2), quorum.LosesQuorum,
			"update m2: should its new URLs be wrong, there would be 3 voters with 1 healthy, quorum is 2", "heal m3"},
		{"m1 leader, m2", update(2), quorum.LosesQuorum,
			"update m2: should its new URLs be wrong, there would be 2 voters with 1 healthy, quorum is 2", "add, heal it, promote it"},

		// Moving the leadership: to one that is fit for it.
		{"m1 leader, m2, m3 unstarted", moveLeader(3), quorum.NotStarted,
			"move-leader 3: its etcd has never started", "heal m3"},
		{"m1 leader, m2, m3 down", moveLeader(3), quorum.NotAnswering,
			"move-leader m3: it does not answer", "heal m3"},
		{"m1 leader, m2, m3 behind", moveLeader(3), quorum.NotCaughtUp,
			"move-leader m3: it has not caught up with the leader", "heal m3"},
		{"m1 leader, m2, m3 corrupt", moveLeader(3), quorum.CorruptMember,
			"move-leader m3: its data is corrupt", "nothing"},
	} {
		t.Run(c.cluster+": "+say([]quorum.Step{c.step}), func(t *testing.T) {
			var r *quorum.Refusal
			if err := quorum.Check(cluster(c.cluster), c.step); !errors.As(err, &r) {
				t.Fatalf("not refused: %v", err)
			}
			if r.Reason != c.reason || r.Error() != c.text {
				t.Errorf("%s: %q; want %s: %q", r.Reason, r, c.reason, c.text)
			}
			if is := say(r.Remedy); is != c.remedy {
				t.Errorf("remedy %s; want %s", is, c.remedy)
			}
		})
	}
}

// What others would refuse, or what looks worse than it is.
func TestStepsThatAreSafe(t *testing.T) {
	for _, c := range []struct {
		why, cluster string
		step         quorum.Step
		during       string
	}{
		{"a learner costs one voter nothing", "m1 leader", add, "1 voter, 1 healthy, quorum 1: can lose none"},
		{"an even number is no reason", "m1 leader, m2, m3, m4 learner", promote(4), "3 voters, 3 healthy, quorum 2: can lose 1"},
		{"one is down, and one comes", "m1 leader, m2, m3 down, m4 learner", promote(4), "3 voters, 2 healthy, quorum 2: can lose none"},
		{"the dead one goes", "m1 leader, m2, m3 down", remove(3), "3 voters, 2 healthy, quorum 2: can lose none"},
		{"the dead one goes though another is corrupt", "m1 leader, m2 corrupt, m3 down", remove(3),
			"3 voters, 1 healthy, 1 corrupt, quorum 2: no quorum of healthy ones, 1 more needed"},
		{"the corrupt one votes for its own removal", "m1 leader, m2 corrupt", remove(2),
			"2 voters, 1 healthy, 1 corrupt, quorum 2: no quorum of healthy ones, 1 more needed"},
		{"from three to two, knowingly", "m1 leader, m2, m3", remove(3), "2 voters, 2 healthy, quorum 2: can lose none"},
		{"a ghost goes though a voter is down", "m1 leader, m2, m3 down, m4 learner unstarted", remove(4), "3 voters, 2 healthy, quorum 2: can lose none"},
		{"others can do without", "m1 leader, m2, m3", update(1), "3 voters, 2 healthy, quorum 2: can lose none"},
		{"nobody has to find it", "m1 leader", update(1), "1 voter, 1 healthy, quorum 1: can lose none"},
		{"a learner does not vote", "m1 leader, m2 learner", update(2), "1 voter, 1 healthy, quorum 1: can lose none"},
		{"away from a corrupt leader", "m1 leader corrupt, m2, m3", moveLeader(2), "3 voters, 2 healthy, 1 corrupt, quorum 2: can lose none"},
	} {
		s := cluster(c.cluster)
		if err := quorum.Check(s, c.step); err != nil {
			t.Errorf("%s: %v", c.why, err)
		}
		if during := quorum.During(s, c.step).String(); during != c.during {
			t.Errorf("%s: during it, %q; want %q", c.why, during, c.during)
		}
	}
}

// Whom a refusal is about.
func TestRefusalsNameMembers(t *testing.T) {
	for _, c := range []struct {
		cluster string
		step    quorum.Step
		members []quorum.ID
	}{
		{"m1, m2 down, m3 down", add, []quorum.ID{2, 3}},
		{"m1, m2, m3", add, nil},
		{"m1 leader, m2, m3, m4 learner down", add, []quorum.ID{4}},
		{"m1 leader corrupt, m2, m3 down", add, []quorum.ID{1}},
		{"m1 leader, m2 learner down", promote(2), []quorum.ID{2}},
		{"m1 leader, m2, m3 down", remove(2), []quorum.ID{3}},
		{"m1 leader, m2, m3 down", update(2), []quorum.ID{3}},
		{"m1 leader, m2", update(2), nil},
	} {
		var r *quorum.Refusal
		if err := quorum.Check(cluster(c.cluster), c.step); !errors.As(err, &r) || !slices.Equal(r.Members, c.members) {
			t.Errorf("%s, %s: %v is about %v; want %v", c.cluster, say([]quorum.Step{c.step}), err, r.Members, c.members)
		}
	}
}

func TestLocks(t *testing.T) {
	s := cluster("m1 leader, m2, m3 down, m4 corrupt, m5 learner, m6 learner unstarted")
	for _, c := range []struct {
		step  quorum.Step
		needs bool
	}{
		{add, false}, {promote(5), false}, {moveLeader(2), false}, {quorum.Step{Kind: quorum.Heal, ID: 3}, false},
		{remove(3), false}, {remove(4), false}, {remove(6), false},
		{remove(2), true}, {remove(5), true}, {remove(99), true}, {update(2), true}, {update(3), true}, {update(5), true},
		{quorum.Step{Kind: "dance", ID: 2}, true},
	} {
		if is := s.NeedsLock(c.step); is != c.needs {
			t.Errorf("%s needs a lock: %v", say([]quorum.Step{c.step}), is)
		}
	}
}

func TestCountsForPeople(t *testing.T) {
	for _, c := range []struct {
		count      quorum.Count
		text, even string
	}{
		{quorum.Count{Voters: 1, Able: 1}, "1 voter, 1 healthy, quorum 1: can lose none", ""},
		{quorum.Count{Voters: 2, Able: 2}, "2 voters, 2 healthy, quorum 2: can lose none", "2 voters can lose none, no more than 1 voter can"},
		{quorum.Count{Voters: 3, Able: 3}, "3 voters, 3 healthy, quorum 2: can lose 1", ""},
		{quorum.Count{Voters: 4, Able: 4}, "4 voters, 4 healthy, quorum 3: can lose 1", "4 voters can lose 1, no more than 3 voters can"},
		{quorum.Count{Voters: 5, Able: 5}, "5 voters, 5 healthy, quorum 3: can lose 2", ""},
		{quorum.Count{Voters: 3, Able: 1}, "3 voters, 1 healthy, quorum 2: quorum is lost, 1 more needed", ""},
		{quorum.Count{Voters: 3, Able: 1, Corrupt: 1}, "3 voters, 1 healthy, 1 corrupt, quorum 2: no quorum of healthy ones, 1 more needed", ""},
		{quorum.Count{}, "0 voters, 0 healthy, quorum 1: quorum is lost, 1 more needed", ""},
	} {
		if text := c.count.String(); text != c.text {
			t.Errorf("%q; want %q", text, c.text)
		}
		if even := c.count.EvenCost(); even != c.even {
			t.Errorf("%q; want %q", even, c.even)
		}
	}
}
