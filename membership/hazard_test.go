package membership_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

// Each bug refuses the step that meets it, from the first version that has it
// to the last one, and no other.
func TestVersionsThatMakeAStepUnsafe(t *testing.T) {
	for _, c := range []struct {
		versions string // of m1 and m2, voters, and of m3, a learner
		unsafe   string // steps
	}{
		{"3.5.0 3.5.0 3.5.0", "update"},
		{"3.5.1 3.5.1 3.5.1", "promote update"},
		{"3.5.19 3.5.30 3.5.31", "promote update"},
		{"3.5.31 3.5.31 3.5.19", "promote update"},
		{"3.5.20 3.5.20 3.5.20", "update"},
		{"3.5.30 3.5.31 3.5.31", "update"},
		{"3.5.31 3.5.35 3.5.31", ""},
		{"3.5.25 3.5.26 3.5.26", "update"},
		{"3.5.25 3.5.26 3.6.16", "add promote update"},
		{"3.5.26 3.5.26 3.6.16", "update"},
		{"3.5.35 3.5.35 3.6.16", ""},
		{"3.6.0 3.6.0 3.6.0", "update"},
		{"3.6.11 3.6.12 3.6.12", "update"},
		{"3.6.12 3.6.16 3.7.3", ""},
		{"3.7.0 3.7.0 3.7.0", ""},
		{"weird 3.7.0 3.7.0", ""},
	} {
		t.Run(c.versions, func(t *testing.T) {
			v := strings.Fields(c.versions)
			cluster := membershiptest.New(t, "m1 leader version="+v[0]+"\nm2 version="+v[1]+"\nm3 learner version="+v[2])
			o := lookFrom(t, cluster)
			var unsafe []string
			for _, kind := range []quorum.Kind{quorum.AddLearner, quorum.Promote, quorum.Remove, quorum.Update, quorum.MoveLeader} {
				step := membership.Step{Step: quorum.Step{Kind: kind, ID: cluster.ID("m3")}, Name: "m3"}
				err := membership.CheckVersions(o, step)
				if err == nil {
					continue
				}
				unsafe = append(unsafe, string(kind))
				hazard, ok := errors.AsType[*membership.Hazard](err)
				if !ok || hazard.Remedy == "" || o.Member(hazard.Member) == nil || !strings.HasPrefix(err.Error(), string(kind)+" ") || !strings.Contains(err.Error(), " runs etcd 3.") {
					t.Errorf("%v: %+v", err, hazard)
				}
			}
			if got := strings.Join(unsafe, " "); got != c.unsafe {
				t.Errorf("unsafe are %q, want %q", got, c.unsafe)
			}
		})
	}
}

// A voter can be updated with any version: it has no flag to lose.
func TestAVoterMayBeUpdated(t *testing.T) {
	c := membershiptest.New(t, "m1 leader version=3.5.9\nm2 version=3.5.9\nm3 version=3.5.9")
	step := membership.Step{Step: quorum.Step{Kind: quorum.Update, ID: c.ID("m3")}, Name: "m3"}
	if err := membership.CheckVersions(lookFrom(t, c), step); err != nil {
		t.Error(err)
	}
}
