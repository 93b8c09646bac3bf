package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// A learner that has caught up and died is no voter that anybody can count on.
func promotionOfADeadLearner(t *testing.T, version string) {
	s := newSite(t, version, 1, 2)
	s.operate()
	for range 20 {
		s.writeSome()
	}
	must(t, s.etcdctl(), with(s.on("m1"), "member", "add", "m2", "--learner", "--peer-urls="+s.host("m2").PeerURL)...)
	s.caughtUp("m2")
	s.pause("m2")
	s.writeSome() // that it does not have: a tenth of the log may be missing

	s.refuses(t, "m1", "member", "promote", "m2")
	s.loses(t, "m1", "member", "promote", s.id("m2"))
}

// A voter that nobody can reach counts all the same.
func additionOfAVoterThatIsNotThere(t *testing.T, version string) {
	s := newSite(t, version, 1, 3)

	out := must(t, tool("etcdha"), with(s.on("m1"), "member", "add", "m2", "--peer-urls="+s.host("m2").PeerURL)...)
	if !strings.Contains(out, "ETCD_NAME=") || !s.hasQuorum("m1") {
		t.Errorf("a learner costs nothing:\n%s", out)
	}
	s.refuses(t, "m1", "member", "promote", s.id("m2"))
	must(t, tool("etcdha"), with(s.on("m1"), "member", "remove", s.id("m2"))...)
	// Another URL: the id of a member is made of its URLs and the second in which it was added.
	s.loses(t, "m1", "member", "add", "m3", "--peer-urls="+s.host("m3").PeerURL)
}

// For five seconds the server takes a member for healthy that has stopped.
func changesWhileAVoterHasStopped(t *testing.T, version string) {
	s := newSite(t, version, 3, 4)
	url := "--peer-urls=" + s.host("m4").PeerURL

	leader, stopped, live := s.roles()
	s.pause(stopped)
	s.refuses(t, leader, "member", "add", "m4", url)
	s.refuses(t, leader, "member", "remove", live)
	s.resume(stopped)

	leader, stopped, _ = s.roles()
	s.trusts(t, leader)
	s.pause(stopped)
	s.loses(t, leader, "member", "add", "m4", url)
	s.resume(stopped)
	eventually(t, "quorum is back", func() bool { return s.hasQuorum(leader) })
	must(t, s.etcdctl(), with(s.on(leader), "member", "remove", s.id("m4"))...)

	leader, stopped, live = s.roles()
	s.trusts(t, leader)
	id := s.id(live)
	s.pause(stopped)
	s.loses(t, leader, "member", "remove", id)
}

// roles are the three voters: the leader, and its followers in any order. The
// leader changes when the machine is busy.
func (s *site) roles() (leader, follower, other string) {
	s.t.Helper()
	leader = s.leader()
	follower = s.otherThan(leader, "")
	return leader, follower, s.otherThan(leader, follower)
}

// A member takes one that it cannot connect to for dead, and lets it be
// removed; a firewall in one direction is enough for that.
func removalByAMemberThatDoesNotSeeTheOther(t *testing.T, version string) {
	s := newSite(t, version, 3, 3)
	leader, dead, live := s.roles()
	s.kill(dead)
	s.net.cutLink(leader, live)
	eventually(t, "writes go on", func() bool { return s.hasQuorum(leader) })

	s.refuses(t, leader, "member", "remove", live)
	s.loses(t, leader, "member", "remove", s.id(live))
}

// refuses runs etcdha, which has to refuse because it would be unsafe, and
// quorum is there after it.
func (s *site) refuses(t *testing.T, host string, args ...string) {
	t.Helper()
	stdout, stderr, code := etcdha(t, with(s.on(host), args...)...)
	if code != 11 || !strings.Contains(stderr, "hint:") {
		t.Errorf("etcdha %s: exit %d, expected a refusal with a hint\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	if !s.hasQuorum(host) {
		t.Fatalf("quorum is lost after etcdha %s", strings.Join(args, " "))
	}
}

// loses runs etcdctl, which does as it is told, and quorum is lost.
func (s *site) loses(t *testing.T, host string, args ...string) {
	t.Helper()
	must(t, s.etcdctl(), with(s.on(host), args...)...)
	if s.hasQuorum(host) {
		t.Errorf("quorum is there after etcdctl %s: this is no danger any more", strings.Join(args, " "))
	}
}

// writeSome writes ten entries.
func (s *site) writeSome() {
	s.t.Helper()
	for i := range 10 {
		if _, err := s.client("m1").Put(s.t.Context(), fmt.Sprintf("/some/%d", i), "written"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// trusts waits until a server has been connected to the others for as long as it
// wants before it changes the membership. Nothing that it says shows that, but a
// learner that it lets come, and go again.
func (s *site) trusts(t *testing.T, host string) {
	t.Helper()
	add := with(s.on(host), "member", "add", "trial", "--learner", "--peer-urls=https://"+throwaway.PeerAddress+":9")
	eventually(t, host+" trusts its connections", func() bool {
		_, _, code := run(t, s.etcdctl(), add...)
		return code == 0
	})
	for _, m := range s.members() {
		if m.IsLearner {
			must(t, s.etcdctl(), with(s.on(host), "member", "remove", fmt.Sprintf("%x", m.ID))...)
		}
	}
}

// caughtUp waits until a member has applied what is there.
func (s *site) caughtUp(name string) {
	s.t.Helper()
	eventually(s.t, name+" catches up", func() bool {
		first, err := s.status(s.leader())
		if err != nil {
			return false
		}
		status, err := s.status(name)
		return err == nil && status.RaftAppliedIndex >= first.RaftIndex
	})
}
