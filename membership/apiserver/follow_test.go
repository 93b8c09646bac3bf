package apiserver

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// wantServers compares the manifest, and how often the apiserver was restarted.
func (n *followed) wantServers(want []string, restarts int) {
	n.t.Helper()
	if got := n.servers(); !slices.Equal(got, want) || len(n.restarts) != restarts {
		n.t.Errorf("servers are %v after %d restarts, want %v after %d\n%s", got, len(n.restarts), want, restarts, n.log.String())
	}
}

// logged counts the lines of the log that have a text.
func (n *followed) logged(text string) int { return strings.Count(n.log.String(), text) }

// lastReport is what is known in etcd of the apiserver.
func (n *followed) lastReport() Report {
	n.t.Helper()
	if len(n.reports) == 0 {
		n.t.Fatalf("nothing was reported\n%s", n.log.String())
	}
	return n.reports[len(n.reports)-1]
}

func TestNothingToDoIsSaidOnceAnHour(t *testing.T) {
	n := newFollowed(t)
	n.run(time.Hour + time.Minute)
	n.wantServers(urls(1, 2, 3), 0)
	if len(n.reports) != 2 { // at the start, and after an hour
		t.Errorf("%d reports: %v", len(n.reports), n.reports)
	}
	r := n.reports[0]
	if r.Host != "cp1" || !r.Agent || r.Topology != External || r.File != followedFile || r.ClusterID != 77 ||
		!slices.Equal(r.Servers, urls(1, 2, 3)) || !slices.Equal(r.Members, []uint64{1, 2, 3}) ||
		!slices.Equal(r.Addresses, []string{"10.0.0.11"}) {
		t.Errorf("report: %+v", r)
	}
	n.wantMetrics("in_step 1", "servers 3", "pending_seconds 0", `rewires_total{result="done"} 0`)
}

func TestANewMemberIsUsedOnceItHasSettled(t *testing.T) {
	n := newFollowed(t)
	n.at(time.Minute, func() { n.members = append(n.members, Member{ID: 4, Learner: true}) })
	n.at(2*time.Minute, func() { *n.member(4) = voter(4) })
	n.run(2*time.Minute + 25*time.Second)
	n.wantServers(urls(1, 2, 3), 0)
	n.wantMetrics("in_step 0", "pending_seconds 20")
	n.run(time.Minute)
	n.wantServers(urls(1, 2, 3, 4), 1)
	if took := n.restarts[0].at.Sub(time.Unix(1_700_000_000, 0)) - 2*time.Minute; took > DefaultSettle+2*DefaultPeriod {
		t.Errorf("it took %s", took)
	}
	if r := n.lastReport(); !slices.Equal(r.Members, []uint64{1, 2, 3, 4}) || len(n.reports) != 2 {
		t.Errorf("reports: %+v", n.reports)
	}
	n.wantMetrics("in_step 1", "servers 4", "pending_seconds 0", `rewires_total{result="done"} 1`)
}

// A member that comes and goes, or answers now and then, restarts nothing.
func TestAFlappingMember(t *testing.T) {
	n := newFollowed(t)
	for i := range 40 {
		at := time.Duration(i) * 50 * time.Second
		n.at(at, func() { n.members = append(n.members, voter(4)) })
		n.at(at+25*time.Second, func() { n.remove(4) })
		n.at(at+10*time.Second, func() { n.member(2).Healthy = i%2 == 0 })
	}
	n.run(40 * time.Minute)
	n.wantServers(urls(1, 2, 3), 0)
	if n.attempts != 0 {
		t.Errorf("%d attempts", n.attempts)
	}
}

func TestWithoutQuorumNothingIsDone(t *testing.T) {
	n := newFollowed(t)
	n.run(time.Minute)
	n.at(0, func() { n.members = append(n.members, voter(4)) })
	n.at(25*time.Second, func() { n.noQuorum = errors.New("no quorum: m1 (timeout after 5s)") })
	n.at(31*time.Second, func() { n.noQuorum = errors.New("no quorum: m1 (timeout after 5.1s)") })
	n.run(10 * time.Minute)
	n.wantServers(urls(1, 2, 3), 0)
	if n.logged("observe the members: no quorum") != 1 {
		t.Errorf("log:\n%s", n.log.String())
	}
	n.wantMetrics("in_step 0", "pending_seconds 0")
	n.wantReady(false, "observe the members: no quorum: m1 (timeout after 5.1s)")

	// What was asked for before does not count any more.
	n.noQuorum = nil
	n.run(DefaultSettle - time.Second)
	n.wantServers(urls(1, 2, 3), 0)
	n.run(time.Minute)
	n.wantServers(urls(1, 2, 3, 4), 1)
	if n.logged("following again") != 1 {
		t.Errorf("log:\n%s", n.log.String())
	}
}

// While one agent waits for the lock, others restart, and members come and go.
func TestTheMembersAreSeenAgainUnderTheLock(t *testing.T) {
	n := newFollowed(t)
	n.members = append(n.members, voter(4))
	n.at(35*time.Second, func() { n.holder = "cp2" })
	n.at(5*time.Minute, func() { n.withdraw(4) })
	n.at(6*time.Minute, func() { n.holder = "" })
	n.at(5*time.Minute+30*time.Second, func() { n.wantAlive() })
	n.at(20*time.Second, func() { n.holder = "cp2" })
	n.run(10 * time.Minute)
	n.wantServers(urls(1, 2, 3), 0)
	if n.attempts != 1 || n.logged("looking again") != 1 || n.logged("cannot follow") != 0 {
		t.Errorf("%d attempts; log:\n%s", n.attempts, n.log.String())
	}
	if r := n.lastReport(); r.Revision < n.marks[4] {
		t.Errorf("report: %+v", r)
	}
}

// A file that somebody else changes is read anew at each look.
func TestAListThatAPersonChanges(t *testing.T) {
	n := newFollowed(t)
	n.run(time.Minute)
	n.write(urls(3, 2, 1)) // the same servers
	n.running = urls(3, 2, 1)
	n.run(time.Minute)
	n.wantServers(urls(3, 2, 1), 0)
	if r := n.lastReport(); !slices.Equal(r.Servers, urls(3, 2, 1)) {
		t.Errorf("report: %+v", r)
	}
	delete(n.files, "etc/kubernetes/manifests/kube-apiserver.yaml")
	n.run(time.Minute)
	n.wantReady(false, "read the file")
	n.write(urls(3))
	n.running = urls(3)
	n.run(time.Minute)
	n.wantServers(urls(3, 1, 2), 1)
}
