package apiserver

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// A list that an apiserver does not get ready with is not tried again and again.
func TestPausesGrowUntilTheTargetChanges(t *testing.T) {
	n := newPlain(t)
	var at []time.Time
	n.fails = func(servers []string) error {
		at = append(at, n.clock)
		if slices.Contains(servers, urls(5)[0]) {
			return nil
		}
		return fail.As(ErrTakenBack, errors.New("not ready after 3m0s; the old file is back"))
	}
	n.members = append(n.members, voter(4))
	n.run(6 * time.Hour)
	n.wantServers(urls(1, 2, 3), 0)
	for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		pause *= time.Minute
		if took := at[i+1].Sub(at[i]); took < pause || took > pause+DefaultPeriod {
			t.Errorf("attempt %d came after %s, not %s", i+2, took, pause)
		}
	}
	if tried := n.logged("rewire, attempt"); tried != len(at) || len(at) > 12 {
		t.Errorf("%d attempts were made, %d logged", len(at), tried)
	}
	n.wantReady(false, "not ready after 3m0s; the old file is back")
	n.wantMetrics("in_step 0")

	// Another target is another matter.
	n.members = append(n.members, voter(5))
	n.run(time.Minute)
	n.wantServers(urls(1, 2, 3, 4, 5), 1)
	n.wantReady(true, "in step")
}

// What was refused, or has failed before anything was written, has cost nothing, and
// may be over at any time.
func TestWhatCostNothingIsTriedAgainSoon(t *testing.T) {
	for _, failure := range []error{
		fail.Unsafef("no other apiserver is ready"),
		errors.New("lock the apiservers: etcd has no leader"),
	} {
		n := newPlain(t)
		n.fails = func([]string) error { return failure }
		n.withdraw(3)
		n.run(time.Hour)
		if n.attempts < 50 || n.attempts > 60 {
			t.Errorf("%v: %d attempts in an hour", failure, n.attempts)
		}
		if n.logged(failure.Error()) != 1 {
			t.Errorf("log:\n%s", n.log.String())
		}
		n.wantReady(false, failure.Error())
		n.fails = nil
		n.run(firstPause + DefaultPeriod)
		n.wantServers(urls(1, 2), 1)
	}
}
