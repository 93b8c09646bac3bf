package membership_test

import (
	"testing"

	"github.com/etcdha/etcdha/membership"
)

func TestReplace(t *testing.T) {
	all(t, []situation{
		{
			name: "a dead one goes first", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "remove m3, add m4, heal m4, promote m4",
		},
		{
			name: "a live one goes last", cluster: threeVoters,
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "add m4, heal m4, promote m4, remove m3",
		},
		{
			name: "the leader", cluster: threeVoters,
			goal: membership.Replace("m1", "m4", []string{url(4)}), want: "add m4, heal m4, promote m4, move-leader m2, remove m1",
		},
		{
			name: "one with corrupt data does not function", cluster: "m1 leader\nm2\nm3 corrupt",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "remove m3, add m4, heal m4, promote m4",
		},
		{
			name: "a leader with corrupt data", cluster: "m1 leader corrupt\nm2\nm3",
			goal: membership.Replace("m1", "m4", []string{url(4)}), want: "move-leader m2, remove m1, add m4, heal m4, promote m4",
		},
		{
			name: "a dead disk, on the same host", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m3", nil), want: "remove m3, add m3, heal m3, promote m3",
		},
		{
			name: "a dead disk, with its URL", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m3", []string{url(3)}), want: "remove m3, add m3, heal m3, promote m3",
		},
		{
			name: "a new name on the same host", cluster: "m1 leader\nm2\nm3 stopped",
			goal: membership.Replace("m3", "m4", nil), want: "remove m3, add m4, heal m4, promote m4",
		},
		{
			name: "by id", cluster: "m1 leader\nm2\nm3 stopped id=deadbeef00000003",
			goal: membership.Replace("deadbeef00000003", "m3", nil), want: "remove m3, add m3, heal m3, promote m3",
		},
		{
			name: "an id that nobody has", cluster: threeVoters, goal: membership.Replace("deadbeef00000009", "m4", nil),
			wantErr: `no member "deadbeef00000009" | there are m1, m2, m3; if it has been removed already, go on with: etcdha member replace deadbeef00000009 m4 --peer-urls=URL, with the URL that deadbeef00000009 had, which the plan told`,
		},
		{
			name: "one that is behind, in its place", cluster: "m1 leader\nm2\nm3 lagging",
			goal: membership.Replace("m3", "m3", nil), want: "heal m3",
		},
		{
			name: "one that is behind, in its place, by id", cluster: "m1 leader\nm2\nm3 lagging id=deadbeef00000003",
			goal: membership.Replace("deadbeef00000003", "m3", nil), want: "remove m3, add m3, heal m3, promote m3",
		},
		{
			name: "one with corrupt data, in its place", cluster: "m1 leader\nm2\nm3 corrupt",
			goal: membership.Replace("m3", "m3", nil), want: "remove m3, add m3, heal m3, promote m3",
		},
		{name: "what is healthy and the same", cluster: threeVoters, goal: membership.Replace("m3", "m3", []string{url(3)})},
		{
			name: "one that never started", cluster: "m1 leader\nm2\nm3\nm4 learner never-started id=deadbeef00000004",
			goal: membership.Replace("deadbeef00000004", "m5", []string{url(5)}), want: "remove deadbeef00000004, add m5, heal m5, promote m5",
		},
		{
			name: "a live one in its place", cluster: threeVoters, goal: membership.Replace("m3", "m4", nil),
			wantErr: "member m3 runs at the peer URLs that the new member is to have | give the new member --peer-urls of its own, or stop the old one first",
		},
		{
			name: "a live one by one of its name", cluster: threeVoters, goal: membership.Replace("m3", "m3", []string{url(4)}),
			wantErr: "member m3 is there already, at https://192.0.2.3:2380 | give the new member another name, or stop the old one first",
		},
		{
			name: "by a name that somebody has", cluster: threeVoters, goal: membership.Replace("m3", "m2", []string{url(4)}),
			wantErr: "member m2 is there already, at https://192.0.2.2:2380 | give the new member another name, or stop the old one first",
		},
		{
			name: "a typing error", cluster: threeVoters, goal: membership.Replace("m33", "m4", nil),
			wantErr: `no member "m33" | there are m1, m2, m3; if it has been removed already, go on with: etcdha member replace m33 m4 --peer-urls=URL, with the URL that m33 had, which the plan told`,
		},
	})
}

func TestReplaceGoesOn(t *testing.T) {
	all(t, []situation{
		{
			name: "the old one is gone", cluster: "m1 leader\nm2",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "add m4, heal m4, promote m4",
		},
		{
			name: "the new one has not started", cluster: "m1 leader\nm2\nm4 learner never-started peer=" + url(4),
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "heal m4, promote m4",
		},
		{
			name: "the new one has not started, on the old host", cluster: "m1 leader\nm2\nm3 learner never-started",
			goal: membership.Replace("m3", "m3", []string{url(3)}), want: "heal m3, promote m3",
		},
		{
			name: "somebody's learner has not started", cluster: "m1 leader\nm2\nm5 learner never-started id=deadbeef00000005",
			goal:    membership.Replace("m3", "m3", nil),
			wantErr: `no member "m3" | there are m1, m2, deadbeef00000005; if it has been removed already, go on with: etcdha member replace m3 m3 --peer-urls=https://192.0.2.3:2380, if deadbeef00000005 is the new m3`,
		},
		{
			name: "the new one catches up, on the old host", cluster: "m1 leader\nm2\nm3 learner lagging",
			goal: membership.Replace("m3", "m3", nil), want: "heal m3, promote m3",
		},
		{
			name: "the new one has caught up, on the old host", cluster: "m1 leader\nm2\nm3 learner",
			goal: membership.Replace("m3", "m3", []string{url(3)}), want: "promote m3",
		},
		{
			name: "both are there", cluster: threeVoters + "\nm4 learner",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "promote m4, remove m3",
		},
		{
			name: "the old one has died meanwhile", cluster: "m1 leader\nm2\nm3 stopped\nm4 learner lagging",
			goal: membership.Replace("m3", "m4", []string{url(4)}), want: "remove m3, heal m4, promote m4",
		},
		{
			name: "both are there, of one name", cluster: "m1 leader\nm2\nm3 stopped\nm3 learner never-started peer=" + url(4),
			goal: membership.Replace("m3", "m3", []string{url(4)}), want: "remove m3, heal m3, promote m3",
		},
		{name: "it is done", cluster: "m1 leader\nm2\nm4 peer=" + url(4), goal: membership.Replace("m3", "m4", []string{url(4)})},
		{name: "it is done, as far as the name says", cluster: "m1 leader\nm2\nm4", goal: membership.Replace("m3", "m4", nil)},
		{
			name: "the new URLs are another member's", cluster: "m1 leader\nm2\nm3\nm5 peer=" + url(4),
			goal:    membership.Replace("m3", "m4", []string{url(4)}),
			wantErr: "peer URL https://192.0.2.4:2380 belongs to member m5 | replace that member, or give the new one another host or port",
		},
	})
}
