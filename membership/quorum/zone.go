package quorum

import (
	"maps"
	"slices"
)

// ZoneLoss is what is left when a zone fails.
type ZoneLoss struct {
	Zone   string
	Voters []ID // those in the zone
	Left   Count
}

// Zones returns, in order of their names, what the loss of each zone leaves.
// Members without a zone are in none of them.
func (s State) Zones() []ZoneLoss {
	byZone := make(map[string][]ID)
	for _, m := range s.Members {
		if m.Zone != "" && !m.Learner {
			byZone[m.Zone] = append(byZone[m.Zone], m.ID)
		}
	}
	var out []ZoneLoss
	for _, zone := range slices.Sorted(maps.Keys(byZone)) {
		out = append(out, ZoneLoss{zone, byZone[zone], s.Lose(byZone[zone]...).Count()})
	}
	return out
}
