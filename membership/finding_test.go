package membership_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/membership/quorum"
)

// texts are the texts of the findings with a code.
func texts(found []membership.Finding, code string) []string {
	var texts []string
	for _, f := range found {
		if f.Code == code {
			texts = append(texts, f.Text)
		}
	}
	return texts
}

// change changes the cluster as whoever does not ask etcdha.
func change(t *testing.T, c *membershiptest.Cluster, step membership.Step) {
	t.Helper()
	for _, endpoint := range c.Endpoints() {
		if s, err := c.Status(t.Context(), endpoint); err == nil && s.Leader == s.MemberID {
			if err := c.Change(t.Context(), endpoint, step); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("there is no leader")
}

func remove(c *membershiptest.Cluster, name string) membership.Step {
	return membership.Step{Step: quorum.Step{Kind: quorum.Remove, ID: c.ID(name)}, Name: name}
}

// A finding is what a person at three in the morning reads first: each case is
// a cluster, and all that is said of it.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		want          []string // severity, code, member: text -> remedy
	}{
		{"all is well", "m1 leader\nm2\nm3", nil},
		{"alone", "m1 leader", []string{
			"warning quorum-at-limit: there is one voter: nothing is left if it fails -> etcdha member add NAME --peer-urls=URL --wait 10m",
		}},
		{"four voters", "m1 leader\nm2\nm3\nm4", []string{
			"notice even-voters: 4 voters can lose 1, no more than 3 voters can",
		}},
		{"a dead member", "m1 leader\nm2\nm3 stopped", []string{
			"warning quorum-at-limit: the next failure costs quorum: 3 voters, 2 healthy, quorum 2: can lose none -> bring the members back that are not healthy, or replace them",
			"warning member-down m3: m3 does not answer: https://192.0.2.3:2379: connection refused -> start its etcd; if it is gone for good, etcdha member replace m3 NEW --peer-urls=URL, or etcdha member remove m3",
		}},
		{"a laggard among five", "m1 leader\nm2\nm3\nm4\nm5 learner behind=1234", []string{
			"warning member-behind m5: m5 is behind by 1234 entries of the raft log -> look at its disk and its load; until it has caught up, do not count on it",
			"notice even-voters: 4 voters can lose 1, no more than 3 voters can",
		}},
		{"the ghost of an add", "m1 leader\nm2\nm3\nm4 learner never-started id=beef", []string{
			"notice never-started beef: the learner beef was added at https://192.0.2.4:2380 and its etcd has never run -> start its etcd, or etcdha member remove beef",
		}},
		{"a voter that never ran", "m1 leader\nm2\nm3 never-started id=beef", []string{
			"warning quorum-at-limit: the next failure costs quorum: 3 voters, 2 healthy, quorum 2: can lose none -> bring the members back that are not healthy, or replace them",
			"warning never-started beef: the voter beef was added at https://192.0.2.3:2380 and its etcd has never run, which counts as a failure -> start its etcd, or etcdha member remove beef",
		}},
		{"a learner that waits", "m1 leader\nm2\nm3\nm4 learner", []string{
			"notice learner-ready m4: m4 has caught up and does not vote yet -> etcdha member promote m4",
		}},
		{"quorum is lost", "m1 behind=7\nm2 stopped\nm3\nm4 stopped\nm5 stopped", []string{
			"critical quorum-lost m3: quorum is lost: of 5 voters too few reach each other. Left to recover from, the newest first: m3 (term 4, index 100000), m1 (term 4, index 99993). " +
				"What the others had acknowledged and these have not received cannot be seen -> 1. save what the survivors have, the newest first: etcdha snapshot save FILE --emergency --endpoints=https://192.0.2.3:2379\n" +
				"2. start the members that are down\n3. if a majority is gone for good, etcdha restore from the newest backup (docs/command-line.md)",
			"warning member-down m2: m2 does not answer: https://192.0.2.2:2379: connection refused -> start its etcd", "warning member-down m4: *", "warning member-down m5: *",
		}},
		{"two voters", "m1 leader\nm2", []string{
			"warning quorum-at-limit: the next failure costs quorum: 2 voters, 2 healthy, quorum 2: can lose none -> etcdha member add NAME --peer-urls=URL --wait 10m",
		}},
		{"two voters and one on its way", "m1 leader\nm2\nm3 learner never-started", []string{
			"warning quorum-at-limit: the next failure costs quorum: 2 voters, 2 healthy, quorum 2: can lose none -> make a voter of the learner, or remove it and add another",
			"notice never-started *",
		}},
		{"a name that a shell would take apart", "m1 leader\nm2\nm3\nm(4) learner", []string{
			"notice learner-ready m(4): m(4) has caught up and does not vote yet -> etcdha member promote 'm(4)'",
		}},
		{"a member that is gone has left its alarm", "m1 leader\nm2\nm3\nx ghost id=beef corrupt", []string{
			"critical alarm-corrupt beef: the CORRUPT alarm of beef, a member that is gone, still blocks everything -> etcdha alarm disarm",
		}},
		{"no space", "m1 leader nospace db=2GiB inuse=1.9GiB\nm2\nm3", []string{
			"critical alarm-nospace m1: the db of m1 has reached its quota: the cluster takes no writes -> compact (etcdctl compact 90000; kube-apiserver does, every five minutes), then etcdha member defrag, then etcdha alarm disarm; or raise --quota-backend-bytes first",
			"warning db-near-quota m1: *",
		}},
		{"space was made", "m1 leader nospace\nm2\nm3", []string{
			"critical alarm-nospace m1: the db of m1 had reached its quota and has room again (24 MiB of 2.0 GiB): the cluster takes no writes until the alarm is ended -> etcdha alarm disarm",
		}},
		{"a corrupt member", "m1 leader\nm2 corrupt\nm3", []string{
			"critical alarm-corrupt m2: m2 holds other data than the rest: the cluster serves no reads and no writes -> stop it, then: etcdha member replace m2 NEW --peer-urls=URL; then etcdha alarm disarm",
			"warning quorum-at-limit: *",
		}},
		{"a leader that only the others reach", "m1 leader unreachable\nm2\nm3", []string{
			"warning quorum-not-seen: there is quorum, but from here 0 of 3 voters are seen to be healthy, and it takes 2 -> *",
			"warning leader-unreachable m1: m1 leads the others and does not answer here: https://192.0.2.1:2379: connection refused -> ask from a host that reaches its client URL",
		}},
		{"corrupt, and nobody knows who", "m1 leader\nm2\nm3\nx ghost id=0 corrupt", []string{
			"critical alarm-corrupt: members differ in what they hold, and etcd cannot tell which of them is wrong: the cluster serves no reads and no writes -> *",
		}},
		{"zones", "m1 leader zone=a\nm2 zone=a\nm3 zone=b", []string{
			"warning zone-quorum: if zone a fails, so does quorum: 3 voters, 1 healthy, quorum 2: quorum is lost, 1 more needed -> spread the voters over three zones or more, so that no zone holds as many as quorum can lose",
		}},
		{"one zone", "m1 leader zone=a\nm2 zone=a\nm3 zone=a", []string{
			"warning zone-quorum: all voters whose zone is known are in zone a -> *",
		}},
		{"three zones", "m1 leader zone=a\nm2 zone=b\nm3 zone=c", nil},
		{"two minor versions apart", "m1 leader version=3.5.30\nm2 version=3.6.16\nm3 version=3.7.3", []string{
			"warning version-skew: members run versions from 3.5.30 to 3.7.3, more than one minor version apart -> upgrade one minor version at a time, every member",
		}},
		{"promotions are forgotten", "m1 leader version=3.5.12\nm2 version=3.5.27\nm3 version=3.5.27", []string{
			"warning bug-promotion: m1 (3.5.12): a version which can forget a promotion: with 3.6, the voter is a learner again -> upgrade every member to etcd 3.5.26 or later first",
		}},
		{"zombies", "m1 leader version=3.5.25\nm2 version=3.6.16\nm3 version=3.6.16", []string{
			"warning bug-zombies: m1 (3.5.25): a version beside members with 3.6 or later, in which members removed long ago can come back -> upgrade every member to etcd 3.5.26 or later before any runs 3.6",
		}},
		{"a learner that an update would make vote", "m1 leader version=3.6.11\nm2\nm3\nm4 learner", []string{
			"warning bug-update: m1 (3.6.11): *", "notice learner-ready m4: *",
		}},
		{"client URLs of nobody else", "m1 leader client=https://127.0.0.1:2379\nm2 client=https://0.0.0.0:12379\nm3 client=https://localhost:22379", []string{
			"warning client-url-loopback m1: m1 tells clients to use https://127.0.0.1:2379, which leads every host to itself -> set --advertise-client-urls of m1 to what other hosts can reach, and restart it",
			"warning client-url-unspecified m2: m2 tells clients to use https://0.0.0.0:12379, which is no address -> *",
			"warning client-url-loopback m3: *",
		}},
		{"all on one host", "m1 leader peer=http://127.0.0.1:1 client=http://127.0.0.1:2\nm2 peer=http://127.0.0.1:3 client=http://127.0.0.1:4\nm3 peer=http://127.0.0.1:5 client=http://localhost:6", nil},
		{"clocks", "m1 leader clock=-4s\nm2 clock=300ms\nm3 clock=-100ms", []string{
			"warning clock-skew m2: the clock of m2 is ahead of that of m1 by about 4s -> look at the time synchronisation (NTP) of both hosts",
		}},
		{"clocks that may be right", "m1 leader clock=-900ms\nm2 clock=900ms\nm3", nil},
		{"near the quota", "m1 leader db=1.9GiB inuse=1.8GiB\nm2 db=1.9GiB inuse=300MiB\nm3", []string{
			"warning db-near-quota m1: the db of m1 has 1.9 GiB of a quota of 2.0 GiB, of which 1.8 GiB are in use -> compact old revisions (etcdctl compact 90000; *",
			"warning db-near-quota m2: the db of m2 has 1.9 GiB of a quota of 2.0 GiB, of which 300 MiB are in use -> etcdha member defrag",
		}},
		{"the quota of 3.5 is not known", "m1 leader version=3.5.35 db=1.9GiB inuse=1.8GiB\nm2\nm3", nil},
		{"mostly free", "m1 leader db=900MiB inuse=200MiB\nm2 db=90MiB inuse=20MiB\nm3", []string{
			"notice db-fragmented m1: the db of m1 has 900 MiB, of which 200 MiB are in use -> etcdha member defrag",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := membershiptest.New(t, c.cluster)
			got := membership.Findings(lookFrom(t, cluster))
			if !slices.EqualFunc(got, c.want, says) {
				t.Errorf("findings:\n%s\nwant:\n%s", inWords(got), strings.Join(c.want, "\n"))
			}
		})
	}
}

func inWords(found []membership.Finding) string {
	var lines []string
	for _, f := range found {
		lines = append(lines, inLine(f))
	}
	return strings.Join(lines, "\n")
}

func inLine(f membership.Finding) string {
	s := fmt.Sprintf("%s %s", f.Severity, f.Code)
	if f.Member != "" {
		s += " " + f.Member
	}
	s += ": " + f.Text
	if f.Remedy != "" {
		s += " -> " + f.Remedy
	}
	return s
}

// says compares; a * at the end leaves the rest to another case.
func says(f membership.Finding, want string) bool {
	if begin, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(inLine(f), begin)
	}
	return inLine(f) == want
}

// A member that was removed and runs on is seen where its endpoint is given.
func TestAGhostIsFound(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2\nm3\nm4 ghost client=https://192.0.2.44:2379")
	o := lookFrom(t, c, append(c.Endpoints(), "https://192.0.2.44:2379")...)
	if got := len(o.State().Members); got != 3 {
		t.Errorf("%d members count, want 3", got)
	}
	got := membership.Findings(o)
	want := fmt.Sprintf("warning ghost %s: %[1]s runs at https://192.0.2.44:2379 and is no member any more -> stop its etcd, and take its URL out of what clients are told", o.Members[3].Label())
	if len(got) != 1 || inLine(got[0]) != want {
		t.Errorf("findings:\n%s\nwant:\n%s", inWords(got), want)
	}
}

func TestHostsWithoutAnAddress(t *testing.T) {
	c := membershiptest.New(t, "m1 leader client=https://a.example:2379\nm2 client=https://b.example:2379\nm3")
	options := lookAt(c)
	options.LookupHost = func(_ context.Context, host string) ([]string, error) {
		switch host {
		case "a.example":
			return []string{"192.0.2.1"}, nil
		case "b.example":
			return nil, errors.New("no such host")
		}
		t.Errorf("%s was looked up", host)
		return nil, nil
	}
	o, err := membership.Observe(t.Context(), c, options)
	if err != nil {
		t.Fatal(err)
	}
	want := "m2 tells clients to use https://b.example:2379, whose host has no address here"
	if got := texts(membership.Findings(o), "client-url-unresolved"); !slices.Equal(got, []string{want}) {
		t.Errorf("findings: %q", got)
	}
}

func TestHashes(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		want          []string
	}{
		{"agree", "m1 leader\nm2\nm3 stopped", nil},
		{"differ", "m1 leader\nm2 corrupt id=beef\nm3\nm4 learner", []string{"critical hash-differs: members hold different data at revision 90000: m2 *"}},
		{"one is behind", "m1 leader\nm2 behind=50000\nm3", []string{"notice hash-missing m2: m2 was not compared: it has not caught up with the leader"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := membershiptest.New(t, c.cluster)
			asked := &asking{Reader: cluster}
			o := lookFrom(t, cluster)
			got, err := membership.AgreeHash(t.Context(), asked, o)
			if err != nil || !slices.EqualFunc(got, c.want, says) {
				t.Errorf("findings:\n%s, %v\nwant:\n%s", inWords(got), err, strings.Join(c.want, "\n"))
			}
			if last := asked.hashed[len(asked.hashed)-1]; last != o.Member(o.Leader).Endpoint {
				t.Errorf("asked %q, want the leader last", asked.hashed)
			}
		})
	}
}

// asking remembers who was asked for a hash, in which order.
type asking struct {
	membership.Reader
	hashed []string
}

func (a *asking) Hash(ctx context.Context, endpoint string, revision int64) (membership.Hash, error) {
	a.hashed = append(a.hashed, endpoint)
	return a.Reader.Hash(ctx, endpoint, revision)
}

// What a member says of itself is told; that it has no leader is seen anyway.
func TestMembersComplain(t *testing.T) {
	o := lookFrom(t, membershiptest.New(t, "m1 leader\nm2\nm3 cut"))
	o.Members[1].Status.Errors = []string{"etcdserver: the disk is slow"}
	want := []string{"m2 says: etcdserver: the disk is slow"}
	if got := texts(membership.Findings(o), "member-error"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The first line of what people read must not say less than is true.
func TestSummaryWithoutALeader(t *testing.T) {
	for cluster, want := range map[string]string{
		"m1 leader\nm2\nm3":                      "3 voters, 3 healthy, quorum 2: can lose 1",
		"m1\nm2 stopped\nm3 stopped":             "3 voters, 1 answers, quorum 2: quorum is lost, 1 more has to come back",
		"m1\nm2 stopped\nm3 stopped\nm4 stopped": "4 voters, 1 answers, quorum 3: quorum is lost, 2 more have to come back",
		"m1 cut\nm2 cut\nm3 stopped":             "3 voters, 2 answer, quorum 2: quorum is lost, for they have no leader",
		"m1 leader unreachable\nm2\nm3":          "3 voters, 2 answer, quorum 2: there is quorum, but its leader does not answer here",
	} {
		if got := lookFrom(t, membershiptest.New(t, cluster)).Summary(); got != want {
			t.Errorf("%q: %s, want %s", cluster, got, want)
		}
	}
}
