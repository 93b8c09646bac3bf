package quorum

import (
	"slices"
	"strings"
	"testing"
)

// What is left when any members fail, together or by zones, is counted member by
// member.
func TestLossesAreCountedOneByOne(t *testing.T) {
	states, losses, zones := 0, 0, 0
	for voters := 1; voters <= 5; voters++ {
		for s := range statesOf(voters, 1, healed) {
			states++
			for set := range 1 << len(s.Members) {
				losses++
				var lost []ID
				left := slices.Clone(s.Members)
				for i := range left {
					if set&(1<<i) != 0 {
						lost = append(lost, left[i].ID)
						left[i].Answers = false
					}
				}
				after := s.Lose(lost...)
				if is := after.Count().Tolerates() >= 0; is != majorityOf(left, serves) {
					t.Fatalf("without %v: %v\n%s", lost, after.Count(), describe(s))
				}
				if (after.Leader == 0) != (s.Leader == 0 || slices.Contains(lost, s.Leader)) {
					t.Fatalf("without %v, the leader is %v\n%s", lost, after.Leader, describe(s))
				}
			}
			for spread := range 1 << voters { // in two zones, the learner in none
				zones++
				checkZones(t, s, voters, spread)
			}
		}
	}
	t.Logf("%d states, %d losses, %d ways to spread over zones", states, losses, zones)
}

func checkZones(t *testing.T, s State, voters, spread int) {
	s.Members = slices.Clone(s.Members)
	for i := range voters {
		s.Members[i].Zone = []string{"east", "west"}[spread>>i&1]
	}
	found := s.Zones()
	if !slices.IsSortedFunc(found, func(a, b ZoneLoss) int { return strings.Compare(a.Zone, b.Zone) }) || len(found) > 2 {
		t.Fatalf("zones %v", found)
	}
	in := 0
	for _, zone := range found {
		left := slices.Clone(s.Members)
		for i := range left {
			if left[i].Zone == zone.Zone {
				in++
				left[i].Answers = false
				if !slices.Contains(zone.Voters, left[i].ID) {
					t.Fatalf("%v is not in %v", left[i].ID, zone)
				}
			}
		}
		if is := zone.Left.Tolerates() >= 0; is != majorityOf(left, serves) {
			t.Fatalf("without %s: %v\n%s", zone.Zone, zone.Left, describe(s))
		}
	}
	if in != voters {
		t.Fatalf("%d of %d voters are in a zone", in, voters)
	}
}

// How many may fail is how many may fail: whichever they are, quorum stays with
// so many and is lost with some that are one more.
func TestWhatIsToleratedIsTolerated(t *testing.T) {
	for voters := 1; voters <= 7; voters++ {
		for s := range statesOf(voters, 0, healed) {
			tolerates := s.Count().Tolerates()
			for set := range 1 << voters {
				left := slices.Clone(s.Members)
				failures := 0
				for i := range left {
					if set&(1<<i) != 0 && serves(left[i]) {
						left[i].Answers = false
						failures++
					}
				}
				if is := majorityOf(left, serves); is != (failures <= tolerates) {
					t.Fatalf("%v, and after %d failures a quorum: %v\n%s", s.Count(), failures, is, describe(s))
				}
			}
		}
	}
}
