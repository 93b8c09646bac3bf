package membership_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

// A plan shows quorum before, during and after each step, what it costs, and
// where it would end.
func TestPlansAreJudgedStepByStep(t *testing.T) {
	for _, p := range []struct {
		name, cluster string
		goal          membership.Goal
		want          string
	}{
		{
			"grow", "m1 leader", reach(t, "m1 1, m2 2, m3 3"), `
			add m2 0: 1/1 1/1 1/1
			heal m2 0: 1/1 1/1 1/1
			promote m2 0: 1/1 1/1 2/2
			add m3 0: 2/2 2/2 2/2
			heal m3 0: 2/2 2/2 2/2
			promote m3 0: 2/2 2/2 3/3`,
		},
		{
			"replace a dead member", "m1 leader\nm2\nm3 stopped id=deadbeef00000003", membership.Replace("m3", "m3", nil), `
			remove m3 deadbeef00000003: 2/3 2/3 2/2
			add m3 0: 2/2 2/2 2/2
			heal m3 0: 2/2 2/2 2/2
			promote m3 0: 2/2 2/2 3/3`,
		},
		{
			"an even end has its cost", "m1 leader\nm2\nm3 id=deadbeef00000003", membership.Remove("m3"), `
			remove m3 deadbeef00000003: 3/3 2/2 2/2
			  2 voters can lose none, no more than 1 voter can`,
		},
		{
			"an update may lose the member", "m1 leader\nm2\nm3 id=deadbeef00000003", membership.Update("m3", []string{url(9)}), `
			update m3 deadbeef00000003: 3/3 2/3 3/3
			  whether the others reach it there is not tried: restart the etcd of m3 with --listen-peer-urls and --initial-advertise-peer-urls for https://192.0.2.9:2380, and then look: etcdha member status`,
		},
		{
			"what is refused", "m1 leader\nm2\nm3 stopped", membership.Add("m4", []string{url(4)}, true), `
			add m4 0: 2/3 2/3 2/3
			  add a learner: the voter m3 does not answer; first: start m3; if it is gone for good: etcdha member remove m3
			heal m4 0: 2/3 2/3 2/3
			promote m4 0: 2/3 2/3 3/4
			  4 voters can lose 1, no more than 3 voters can`,
		},
		{
			"quorum is lost", "m1\nm2 stopped\nm3 stopped", membership.Add("m4", []string{url(4)}, true), `
			add m4 0: 0/3 0/3 0/3
			  add a learner: no leader answers, so that none of 3 voters is known to take part, quorum is 2; etcdha member status says what is left to recover from
			heal m4 0: 0/3 0/3 0/3
			promote m4 0: 0/3 0/4 0/4
			  promote m4: no leader answers, so that none of 3 voters is known to take part, quorum is 2; etcdha member status says what is left to recover from
			  4 voters can lose 1, no more than 3 voters can`,
		},
		{
			"an alarm keeps the lock away", "m1 leader nospace\nm2\nm3 id=deadbeef00000003", membership.Replace("m3", "m4", []string{url(4)}), `
			add m4 0: 3/3 3/3 3/3
			heal m4 0: 3/3 3/3 3/3
			promote m4 0: 3/3 3/3 4/4
			remove m3 deadbeef00000003: 4/4 4/4 3/3
			  remove m3: an alarm is on, so that etcd cannot keep other operators out meanwhile; cure the alarm first: etcdha alarm list says what is on`,
		},
		{
			"a bug of a version", "m1 leader version=3.6.11\nm2 version=3.6.11\nm3 version=3.6.11\nm4 learner version=3.6.11 id=deadbeef00000004", membership.Update("m4", []string{url(9)}), `
			update m4 deadbeef00000004: 3/3 3/3 3/3
			  update m4: m1 runs etcd 3.6.11, which makes a voter of a learner when its peer URLs are updated; remove the learner and add it with the new URLs, or upgrade to etcd 3.5.31, 3.6.12 or later first
			  whether the others reach it there is not tried: restart the etcd of m4 with --listen-peer-urls and --initial-advertise-peer-urls for https://192.0.2.9:2380, and then look: etcdha member status`,
		},
	} {
		o := observe(t, membershiptest.New(t, p.cluster))
		steps, err := p.goal.Steps(o)
		if err != nil {
			t.Fatal(p.name, err)
		}
		var got, want []string
		for _, planned := range membership.MakePlan(o, steps) {
			b, d, a := planned.Before, planned.During, planned.After
			got = append(got, fmt.Sprintf("%s %s: %d/%d %d/%d %d/%d", planned.Step, planned.Step.ID, b.Able, b.Voters, d.Able, d.Voters, a.Able, a.Voters))
			if err := planned.Refused(); err != nil {
				got = append(got, fmt.Sprintf("%v; %s", err, planned.Remedy()))
			}
			got = append(got, planned.Warnings...)
		}
		for line := range strings.Lines(p.want) {
			if line = strings.TrimSpace(line); line != "" {
				want = append(want, line)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", p.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A voter that is down may only be rebooting; one that answers is not to be started.
func TestARemedyDoesNotThrowAway(t *testing.T) {
	for want, m := range map[string]quorum.Member{
		"first: start m3; if it is gone for good: etcdha member remove m3":        {Started: true},
		"first: let m3 catch up; if it is gone for good: etcdha member remove m3": {Started: true, Answers: true},
		"first: etcdha member remove m3":                                          {Started: true, Answers: true, CaughtUp: true, Corrupt: true},
	} {
		m.ID, m.Name = 3, "m3"
		refusal := &quorum.Refusal{
			Step: quorum.Step{Kind: quorum.AddLearner}, Reason: quorum.VoterDown, Members: []quorum.ID{3},
			Remedy: []quorum.Step{{Kind: quorum.Remove, ID: 3}}, State: quorum.State{Members: []quorum.Member{m}},
		}
		if got := (membership.Planned{Refusal: refusal}).Remedy(); got != want {
			t.Errorf("remedy %q, want %q", got, want)
		}
	}
}
