package apiserver

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// A command or an agent that is killed leaves a record, see [Site.Resume].
func TestWhatWasLeftIsEnded(t *testing.T) {
	n := newFollowed(t)
	n.write(urls(1, 2))
	n.left = func() { n.write(urls(1, 2, 3)) }
	n.run(DefaultPeriod)
	n.wantServers(urls(1, 2, 3), 0)

	// Nothing but the record was left: that goes, too.
	n.start()
	n.left = func() {}
	n.run(time.Second)
	if n.left != nil {
		t.Error("the record is still there")
	}

	// Later, of somebody else.
	n.run(time.Minute)
	n.write(urls(2, 3))
	n.left = func() { n.running = urls(2, 3) }
	n.run(2 * DefaultPeriod)
	if n.left != nil || !slices.Equal(n.lastReport().Servers, urls(2, 3)) {
		t.Errorf("reports: %+v\n%s", n.reports, n.log.String())
	}

	// It is there although the apiserver serves, and nothing is to be reported.
	n.members = n.members[1:]
	n.run(time.Minute)
	n.left = func() {}
	if n.run(2 * DefaultPeriod); n.left != nil {
		t.Error("the record waits for a report that is due")
	}
}

// systemctl says nothing for as long as the apiserver takes to end.
func TestAnAgentWhoseApiserverRestartsSlowlyIsAlive(t *testing.T) {
	n := newFollowed(t)
	n.slowly = DefaultTimeout - time.Second
	n.members = append(n.members, voter(4))
	for after := 40 * time.Second; after < 3*time.Minute; after += 20 * time.Second {
		n.at(after, func() { n.wantAlive() })
	}
	n.run(4 * time.Minute)
	n.wantServers(urls(1, 2, 3, 4), 1)
	if status, _ := n.get("/healthz"); status != http.StatusOK {
		t.Error("it is not alive afterwards")
	}
}
