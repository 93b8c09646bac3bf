package membership_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/membership"
)

// reach is the goal of a target in short: a line or comma for each member, with its
// name, its host, and what else it is.
func reach(t testing.TB, target string) membership.Goal {
	t.Helper()
	var yaml strings.Builder
	yaml.WriteString("members:\n")
	for _, line := range strings.Split(target, ",") {
		var name, host string
		fields := strings.Fields(line)
		name, host = fields[0], fields[1]
		fmt.Fprintf(&yaml, "- name: %s\n  peerURLs: [https://192.0.2.%s:2380]\n", name, host)
		for _, f := range fields[2:] {
			if zone, is := strings.CutPrefix(f, "zone="); is {
				fmt.Fprintf(&yaml, "  zone: %s\n", zone)
			} else {
				fmt.Fprintf(&yaml, "  %s: true\n", f)
			}
		}
	}
	parsed, err := membership.ParseTarget([]byte(yaml.String()))
	if err != nil {
		t.Fatal(err)
	}
	return membership.Reach(parsed)
}

func TestReach(t *testing.T) {
	all(t, []situation{
		{name: "what is", cluster: threeVoters, goal: reach(t, "m1 1, m2 2, m3 3")},
		{
			name: "grow from one to three", cluster: "m1 leader", goal: reach(t, "m1 1, m2 2, m3 3"),
			want: "add m2, heal m2, promote m2, add m3, heal m3, promote m3",
		},
		{
			name: "shrink from three to one", cluster: threeVoters, goal: reach(t, "m2 2"),
			want: "remove m3, move-leader m2, remove m1",
		},
		{
			name: "the dead go first, the live last", cluster: "m1 leader\nm2 stopped\nm3", goal: reach(t, "m1 1, m4 4, m5 5"),
			want: "remove m2, add m4, heal m4, promote m4, add m5, heal m5, promote m5, remove m3",
		},
		{
			name: "other hosts altogether", cluster: "m1 leader\nm2", goal: reach(t, "m3 3, m4 4"),
			want: "add m3, heal m3, promote m3, add m4, heal m4, promote m4, remove m2, move-leader m3, remove m1",
		},
		{
			name:    "to where zones are empty, from where they are full",
			cluster: "m1 leader zone=a\nm2 zone=a\nm3 zone=a",
			goal:    reach(t, "m1 1 zone=a, m4 4 zone=a, m5 5 zone=b, m6 6 zone=c"),
			want:    "add m5, heal m5, promote m5, add m6, heal m6, promote m6, add m4, heal m4, promote m4, remove m2, remove m3",
		},
		{
			name: "from the fullest zone first", cluster: "m1 leader zone=a\nm2 zone=b\nm3 zone=b\nm4 zone=c\nm5 zone=c",
			goal: reach(t, "m1 1, m3 3, m5 5"), want: "remove m2, remove m4",
		},
		{
			name: "what somebody else has begun goes", cluster: threeVoters + "\nm9 learner never-started id=deadbeef00000009",
			goal: reach(t, "m1 1, m2 2, m3 3, m5 5"), want: "remove deadbeef00000009, add m5, heal m5, promote m5",
		},
		{
			name: "what was begun goes on", cluster: threeVoters + "\nm4 learner never-started",
			goal: reach(t, "m1 1, m2 2, m3 3, m4 4, m5 5"), want: "heal m4, promote m4, add m5, heal m5, promote m5",
		},
		{
			name: "a member moves to another address", cluster: threeVoters, goal: reach(t, "m1 1, m2 2, m3 9"), want: "update m3",
		},
		{
			name: "a dead one comes at another address", cluster: "m1 leader\nm2\nm3 stopped", goal: reach(t, "m1 1, m2 2, m3 9"),
			want: "remove m3, add m3, heal m3, promote m3",
		},
		{
			name: "one of two moves: a wrong URL would cost quorum", cluster: "m1 leader\nm2", goal: reach(t, "m1 1, m2 9"),
			want: "remove m2, add m2, heal m2, promote m2",
		},
		{
			name: "both move", cluster: "m1 leader\nm2", goal: reach(t, "m1 8, m2 9"),
			want: "remove m2, add m2, heal m2, promote m2, move-leader m2, remove m1, add m1, heal m1, promote m1",
		},
		{
			name: "one of two moves, and a third comes", cluster: "m1 leader\nm2", goal: reach(t, "m1 1, m2 9, m3 3"),
			want: "add m3, heal m3, promote m3, update m2",
		},
		{name: "the only one moves", cluster: "m1 leader", goal: reach(t, "m1 9"), want: "update m1"},
		{
			name: "a learner is to stay one", cluster: threeVoters, goal: reach(t, "m1 1, m2 2, m3 3, m4 4 learner"),
			want: "add m4, heal m4",
		},
		{
			name: "a learner comes last", cluster: threeVoters, goal: reach(t, "m1 1, m2 2, m4 4 learner, m5 5"),
			want: "add m5, heal m5, promote m5, remove m3, add m4, heal m4",
		},
		{
			name: "a learner makes room for a voter", cluster: threeVoters + "\nm4 learner", goal: reach(t, "m1 1, m2 2, m3 3, m4 4 learner, m5 5"),
			want: "remove m4, add m5, heal m5, promote m5, add m4, heal m4",
		},
		{
			name: "a voter becomes a learner", cluster: threeVoters, goal: reach(t, "m1 1, m2 2, m3 3 learner"),
			want: "remove m3, add m3, heal m3",
		},
		{name: "a learner is to vote", cluster: "m1 leader\nm2 learner", goal: reach(t, "m1 1, m2 2"), want: "promote m2"},
		{
			name: "a learner that a bug would make a voter", cluster: "m1 leader version=3.5.26\nm2 version=3.5.26\nm3 version=3.5.26\nm4 learner version=3.5.26",
			goal: reach(t, "m1 1, m2 2, m3 3, m4 9"), want: "remove m4, add m4, heal m4, promote m4",
		},
		{name: "what is down stays what it is", cluster: "m1 leader\nm2\nm3 stopped", goal: reach(t, "m1 1, m2 2, m3 3")},
		{
			name: "a dead one has made room for another", cluster: "m1 leader\nm2\nm3 stopped", goal: reach(t, "m1 1, m2 2, m4 3"),
			want: "remove m3, add m4, heal m4, promote m4",
		},
		{
			name: "a live one is called otherwise", cluster: "m1 leader\nm2\nm3", goal: reach(t, "m1 1, m2 2, m4 3"),
			wantErr: "the target calls member m3 m4 | an etcd has the name that it was started with: name it so in the target, give m4 other peer URLs, or stop the etcd of m3 to have it replaced",
		},
		{
			name: "names that the cluster has otherwise", cluster: threeVoters, goal: reach(t, "m1 1, m2 3, m3 9"),
			wantErr: "the target calls member m3 m2 | an etcd has the name that it was started with: name it so in the target, give m2 other peer URLs, or stop the etcd of m3 to have it replaced",
		},
	})
}
