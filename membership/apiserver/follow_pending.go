package apiserver

import (
	"errors"
	"fmt"
	"time"
)

// pending is a list that the file should have and has not. The zero value is
// that there is none.
type pending struct {
	servers   []string
	since     time.Time
	looks     int  // in a row
	withdrawn bool // it drops a member that is withdrawn
}

// next is what is pending after one more look. A list that differs from the last
// one begins anew. It is pure.
func (p pending) next(now time.Time, servers []string, inStep, withdrawn bool) pending {
	if inStep {
		return pending{}
	}
	if !p.waits() || !SameServers(p.servers, servers) {
		p = pending{servers: servers, since: now}
	}
	p.looks++
	p.withdrawn = withdrawn
	return p
}

// waits tells whether there is anything to do.
func (p pending) waits() bool { return p.looks > 0 }

// withdrawnLooks is how often in a row a withdrawal has to be seen: an operator
// has decided it, so that it cannot flap, but what else the list says can.
const withdrawnLooks = 2

// due tells whether it has settled.
func (p pending) due(now time.Time, settle time.Duration) bool {
	if p.withdrawn && p.looks >= withdrawnLooks {
		return true
	}
	return p.waits() && p.age(now) >= settle
}

// age is how long it has been waiting.
func (p pending) age(now time.Time) time.Duration {
	if !p.waits() {
		return 0
	}
	return now.Sub(p.since)
}

const (
	// firstPause is after a first failure; it doubles with each.
	firstPause = time.Minute
	// longPause is the longest between attempts that may cost two restarts each.
	longPause = time.Hour
	// configPause is the longest between attempts that cost no restart.
	configPause = 10 * time.Minute
)

// pauses are those between attempts to give the apiserver the same list.
type pauses struct {
	servers  []string
	restarts int // how many attempts may have cost some
	until    time.Time
	err      error // of the last attempt; nil if there was none
}

// failure is what the pauses are after one more failure. What has restarted nothing
// may be over at any time. It is pure.
func (p pauses) failure(now time.Time, servers []string, err error) pauses {
	if !SameServers(p.servers, servers) {
		p = pauses{servers: servers}
	}
	p.until, p.err = now.Add(firstPause), during("rewire", err)
	if errors.Is(err, ErrTakenBack) {
		p.until = now.Add(pauseAfter(p.restarts, longPause))
		p.restarts++
		p.err = during(fmt.Sprintf("rewire, attempt %d", p.restarts), err)
	}
	return p
}

// lasts is the error of the last attempt while the list may not be tried again.
func (p pauses) lasts(now time.Time, servers []string) error {
	if p.err == nil || !SameServers(p.servers, servers) || !now.Before(p.until) {
		return nil
	}
	return p.err
}

// pauseAfter is the pause after one more failure than there were before.
func pauseAfter(before int, longest time.Duration) time.Duration {
	pause := firstPause
	for range before {
		if pause *= 2; pause >= longest {
			return longest
		}
	}
	return pause
}
