package quorum_test

import (
	"errors"
	"fmt"

	"github.com/etcdha/etcdha/membership/quorum"
)

// One of three voters is dead. Its replacement comes after its removal.
func ExampleCheck() {
	s := quorum.State{
		Leader: 1,
		Members: []quorum.Member{
			{ID: 1, Name: "m1", Started: true, Answers: true, CaughtUp: true},
			{ID: 2, Name: "m2", Started: true, Answers: true, CaughtUp: true},
			{ID: 3, Name: "m3", Started: true},
		},
	}
	fmt.Println(s.Count())
	var refusal *quorum.Refusal
	if errors.As(quorum.Check(s, quorum.Step{Kind: quorum.AddLearner}), &refusal) {
		fmt.Println(refusal)
		fmt.Println("first:", refusal.Remedy)
	}
	s = s.After(refusal.Remedy[0])
	fmt.Println(s.Count())
	fmt.Println(quorum.Check(s, quorum.Step{Kind: quorum.AddLearner}))
	// Output:
	// 3 voters, 2 healthy, quorum 2: can lose none
	// add a learner: the voter m3 does not answer
	// first: [{remove 3}]
	// 2 voters, 2 healthy, quorum 2: can lose none
	// <nil>
}

// Five voters in three zones: where the loss of one would end it.
func ExampleState_Zones() {
	var s quorum.State
	for i, zone := range []string{"a", "a", "a", "b", "c"} {
		s.Members = append(s.Members, quorum.Member{ID: quorum.ID(i + 1), Zone: zone, Started: true, Answers: true, CaughtUp: true})
	}
	for _, loss := range s.Zones() {
		fmt.Println(loss.Zone, "fails:", loss.Left)
	}
	// Output:
	// a fails: 5 voters, 2 healthy, quorum 3: quorum is lost, 1 more needed
	// b fails: 5 voters, 4 healthy, quorum 3: can lose 1
	// c fails: 5 voters, 4 healthy, quorum 3: can lose 1
}
