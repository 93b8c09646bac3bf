package jobs

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// Health passes while all is well, and else says the worst and what to do about it.
func TestHealth(t *testing.T) {
	w := newWorld(t, 3)
	if summary := w.mustDo(config.Health, w.slot()); summary != "3 voters, 3 healthy, quorum 2: can lose 1" {
		t.Errorf("summary %q", summary)
	}
	w.cluster.KillMember(w.cluster.Members[2])
	var err error
	w.until("health fails", func() bool { _, err = w.do(config.Health, w.slot()); return err != nil })
	if !strings.Contains(err.Error(), "the next failure costs quorum") || !strings.Contains(err.Error(), "(and ") || !strings.Contains(fail.Hint(err), "bring the members back") {
		t.Errorf("error %v, hint %q", err, fail.Hint(err))
	}
}

// until waits for a condition that comes by itself.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			w.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Defrag asks before each member, and tells what each has given back.
func TestDefrag(t *testing.T) {
	w := newWorld(t, 3)
	asked := 0
	run := cronjobs.Run{Job: config.Defrag, Slot: w.slot(), MayAct: func() error {
		if asked++; asked > 1 {
			return errPassive
		}
		return nil
	}}
	summary, err := w.worker().Do(t.Context(), run)
	if !errors.Is(err, errPassive) || asked != 2 || strings.Count(summary, " from ") != 1 {
		t.Errorf("asked %d times: %v; done: %q", asked, err, summary)
	}
	summary = w.mustDo(config.Defrag, w.slot())
	if !regexp.MustCompile(`^m\d from \d+ KiB to \d+ KiB, m\d from \d+ KiB to \d+ KiB, m\d from \d+ KiB to \d+ KiB$`).MatchString(summary) {
		t.Errorf("summary %q", summary)
	}
}
