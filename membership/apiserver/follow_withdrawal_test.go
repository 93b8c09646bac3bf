package apiserver

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// Whoever removes a member waits for this: two looks, and then the report.
func TestAWithdrawalIsFollowedAtOnceAndConfirmed(t *testing.T) {
	n := newFollowed(t)
	n.at(time.Minute-time.Second, func() { n.withdraw(3) })
	n.run(time.Minute + 3*DefaultPeriod)
	n.wantServers(urls(1, 2), 1)
	mark := Withdrawal{ID: 3, Revision: n.marks[3]}
	if left := Unconfirmed([]Endpoint{{Address: "10.0.0.11", Report: &n.reports[len(n.reports)-1]}}, 77, mark, nil); len(left) > 0 {
		t.Errorf("it is not confirmed: %+v", n.lastReport())
	}

	// The operator is killed, and begins anew.
	n.at(time.Minute, func() { n.withdraw(3) })
	n.run(time.Minute + DefaultPeriod)
	if r := n.lastReport(); r.Revision < n.marks[3] {
		t.Errorf("the second mark, at %d, is not confirmed: %+v", n.marks[3], r)
	}
	reports := len(n.reports)
	n.run(5 * time.Minute)
	if len(n.reports) != reports {
		t.Errorf("a mark was confirmed %d times", len(n.reports)-reports+1)
	}

	// It is removed, and its mark with it.
	n.remove(3)
	delete(n.marks, 3)
	n.run(5 * time.Minute)
	n.wantServers(urls(1, 2), 1)
}

// Until the apiserver was restarted, every report says that it uses the member.
func TestAReportNeverSaysTooMuch(t *testing.T) {
	n := newFollowed(t)
	n.fails = func([]string) error { return errors.New("https://10.0.0.1:2379 refuses the certificate") }
	n.at(time.Minute, func() { n.withdraw(3) })
	n.run(10 * time.Minute)
	n.wantServers(urls(1, 2, 3), 0)
	for _, r := range n.reports {
		if !slices.Contains(r.Members, 3) {
			t.Errorf("report: %+v", r)
		}
	}

	// The file is changed, and the old process still ends.
	n.fails = nil
	n.write(urls(1, 2))
	reports := len(n.reports)
	n.run(10 * time.Minute)
	if len(n.reports) != reports {
		t.Errorf("reported although the process has other servers: %+v", n.reports[reports:])
	}
	n.wantReady(false, "confirm the servers: process 4711 runs with other servers")
	n.running, n.notReady = urls(1, 2), errors.New("etcd failed")
	n.run(10 * time.Minute)
	if len(n.reports) != reports {
		t.Errorf("reported although it is not ready: %+v", n.reports[reports:])
	}
	n.notReady = nil
	n.run(DefaultPeriod)
	if r := n.lastReport(); !slices.Equal(r.Members, []uint64{1, 2}) || r.Revision < n.marks[3] {
		t.Errorf("report: %+v", r)
	}
	n.wantReady(true, "in step")
}
