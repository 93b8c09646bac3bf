package cronjobs

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/cronjobs/notify"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

const (
	// localPeriod is the time between two questions to the member on this host.
	localPeriod = 5 * time.Second
	// localTimeout is how long an answer may take.
	localTimeout = 4 * time.Second
	// outageAfter is how long there is no leader before that is an outage, and how long
	// there is one again before it is over. Elections and restarts are shorter.
	outageAfter = time.Minute
	// emergencyPeriod is the time between two emergency backups of one outage.
	emergencyPeriod = time.Hour
	// emergencyDeadline bounds one emergency backup.
	emergencyDeadline = time.Hour
	// maxSilence is how long no answer may come before nothing is known any more of what was
	// in between: several questions, and less than what makes an outage.
	maxSilence = outageAfter / 2
)

// outage is what a member's answers come to. An answer that does not come says neither
// that there is a leader nor that there is none. After a long silence the counting begins anew.
type outage struct {
	member uint64
	heard  time.Time // when the last answer came
	since  time.Time // of the first answer in a row without a leader, zero: there is one
	led    time.Time // of the first answer in a row with a leader, zero: there is none
	begun  bool      // it has lasted
	// fresh tells that a leader was seen for long before, so that emergency backups
	// that exist are of an earlier outage.
	fresh bool
}

// see notes an answer, and tells whether an outage has begun or ended by it.
func (o *outage) see(m *LocalMember, now time.Time) (began, ended bool) {
	if m.ID != o.member { // the member was replaced
		ended = o.begun
		*o = outage{member: m.ID}
	}
	if now.Sub(o.heard) > maxSilence {
		o.led = time.Time{}
		if !o.begun {
			o.since = time.Time{}
		}
	}
	o.heard = now
	if m.Leader == 0 {
		o.led = time.Time{}
		if o.since.IsZero() {
			o.since = now
		}
		began = !o.begun && now.Sub(o.since) >= outageAfter
		o.begun = o.begun || began
		return began, ended
	}
	if o.led.IsZero() {
		o.led = now
	}
	lasting := now.Sub(o.led) >= outageAfter
	o.fresh = o.fresh || lasting
	if o.begun && !lasting {
		return false, false
	}
	ended = ended || o.begun
	o.begun, o.since = false, time.Time{}
	return false, ended
}

// watcher asks the member on this host, and backs it up while it has no leader.
type watcher struct {
	*cluster
	w      Worker
	outage outage
	due    time.Time // of the next emergency backup
	pause  time.Duration
	told   bool // that it fails
}

// watch watches until the time of tries ends.
func (c *cluster) watch(w Worker) {
	c.watcher.w = w
	for c.accepting.Err() == nil {
		c.watcher.tick()
		c.sleep(c.working, localPeriod)
	}
}

// tick asks once, and does what the answer asks for.
func (w *watcher) tick() {
	ctx, cancel := context.WithTimeout(w.accepting, localTimeout)
	defer cancel()
	m, err := w.w.Local(ctx)
	if err != nil || m == nil {
		return // the observation shows a member that does not answer
	}
	now := w.d.o.Now()
	began, ended := w.outage.see(m, now)
	switch {
	case began:
		w.begin(m, now)
	case ended:
		w.end()
	}
	if w.outage.begun && m.Leader == 0 && !now.Before(w.due) {
		w.save(m, now)
	}
}

// begin says that there is an outage, and when its first backup is due: at once, unless
// this process was started amidst of it.
func (w *watcher) begin(m *LocalMember, now time.Time) {
	w.due, w.pause, w.told = now, firstPause, false
	e := &status.Emergency{Member: m.Name, Since: w.outage.since}
	if !w.outage.fresh {
		ctx, cancel := context.WithTimeout(w.accepting, lastTimeout)
		defer cancel()
		if last, err := w.w.LastEmergency(ctx, m.ID); err == nil && last != nil && now.Sub(last.Started) < emergencyPeriod {
			w.due, e.Backup = last.Started.Add(emergencyPeriod), last.ID
		}
	}
	w.mu.Lock()
	w.emergency = e
	w.mu.Unlock()
	w.log.Error("the member on this host has no leader", "member", m.Name, "since", w.outage.since)
	w.trouble("emergency", fmt.Errorf("member %s has no leader", m.Name))
	w.send(notify.Event{Kind: notify.Emergency, Text: fmt.Sprintf("%s: member %s has no leader", w.config.Name, m.Name)})
}

// end says that the outage is over.
func (w *watcher) end() {
	w.mu.Lock()
	e := w.emergency
	w.emergency = nil
	w.mu.Unlock()
	w.log.Info("the outage of the member on this host is over", "member", e.Member, "since", e.Since)
	w.send(notify.Event{Kind: notify.Recovery, Since: e.Since,
		Text: fmt.Sprintf("%s: the outage of member %s is over", w.config.Name, e.Member)})
}

// save takes an emergency backup. It needs no turn, and has the grace at the end.
func (w *watcher) save(m *LocalMember, now time.Time) {
	if !w.cluster.begin() {
		return
	}
	defer w.going.Done()
	ctx, cancel := context.WithTimeout(w.working, emergencyDeadline)
	defer cancel()
	id, err := w.w.SaveEmergency(ctx)
	if err != nil {
		w.failed(m, err)
		return
	}
	w.due, w.pause, w.told = now.Add(emergencyPeriod), firstPause, false
	w.mu.Lock()
	w.emergency = &status.Emergency{Member: m.Name, Since: w.outage.since, Backup: id}
	w.mu.Unlock()
	w.log.Error("an emergency backup was taken", "member", m.Name, "backup", id)
	w.trouble("emergency", fmt.Errorf("member %s has no leader; it was backed up as %s", m.Name, id))
	w.send(notify.Event{Kind: notify.Emergency,
		Text: fmt.Sprintf("%s: member %s has no leader; it was backed up as %s", w.config.Name, m.Name, id)})
	signal(w.look)
}

// failed says so once, and when the next try is due.
func (w *watcher) failed(m *LocalMember, err error) {
	if w.working.Err() != nil {
		return // it was broken off
	}
	err = fmt.Errorf("back up member %s, which has no leader: %w", m.Name, err)
	w.log.Error("the emergency backup has failed", "error", err, "hint", fail.Hint(err))
	w.trouble("emergency", err)
	if !w.told {
		w.told = true
		w.send(notify.Event{Kind: notify.Emergency, Error: err.Error(), Hint: fail.Hint(err),
			Text: fmt.Sprintf("%s: member %s has no leader, and its backup failed", w.config.Name, m.Name)})
	}
	w.due = w.d.o.Now().Add(w.pause)
	w.pause = min(2*w.pause, maxPause)
}
