package cronjobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// leaderless makes the member of the host have no leader at some times of the day.
func (w *world) leaderless(times ...string) {
	w.member = func() (*LocalMember, error) {
		m := &LocalMember{ID: 7, Name: "m1", Leader: 9}
		clock := time.Now().UTC().Format(time.TimeOnly)
		for i := 0; i < len(times); i += 2 {
			if times[i] <= clock && clock < times[i+1] {
				m.Leader = 0
			}
		}
		return m, nil
	}
}

// watched is a cluster with a member on the host, and no job.
func watched() config.Cluster {
	c := named("c")
	c.Local = "https://127.0.0.1:2379"
	return c
}

// saved is when emergency backups were taken.
func (w *world) saved() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var times []string
	for _, b := range w.emergencies {
		times = append(times, b.Started.UTC().Format(time.TimeOnly))
	}
	return times
}

// After a minute without a leader its member is backed up, then hourly, and loudly.
func TestOutage(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.leaderless("09:00:00", "11:30:00")
		w.ballot("c") // nobody is active, and nobody has to be
		n := w.start("a", watched())
		w.until("09:00:59")
		if s := n.of("c"); s.Emergency != nil {
			t.Errorf("an emergency before a minute: %+v", s.Emergency)
		}
		w.until("09:01:01")
		s := n.of("c")
		if s.Emergency == nil || s.Emergency.Backup != "e1" || s.Emergency.Member != "m1" || s.Emergency.Since.UTC().Format(time.TimeOnly) != "09:00:00" {
			t.Errorf("emergency: %+v", s.Emergency)
		}
		if len(s.Troubles) != 2 || s.Troubles[0].Err != "member m1 has no leader; it was backed up as e1" || s.Troubles[0].What != "emergency" {
			t.Errorf("troubles: %+v", s.Troubles)
		}
		w.until("11:30:59")
		if n.of("c").Emergency == nil {
			t.Error("over before there was a leader for a minute")
		}
		w.until("12:30:00")
		if e := n.of("c").Emergency; e != nil {
			t.Errorf("emergency: %+v", e)
		}
		n.stop()
		w.same("backups", w.saved(), []string{"09:01:00", "10:01:00", "11:01:00"})
		w.same("told", w.told(), []string{
			"09:01:00 a emergency: c: member m1 has no leader",
			"09:01:00 a emergency: c: member m1 has no leader; it was backed up as e1",
			"10:01:00 a emergency: c: member m1 has no leader; it was backed up as e2",
			"11:01:00 a emergency: c: member m1 has no leader; it was backed up as e3",
			"11:31:00 a recovery: c: the outage of member m1 is over"})
		if since := w.events[4].Since.UTC().Format(time.TimeOnly); since != "09:00:00" {
			t.Errorf("recovered from %s on", since)
		}
	})
}

// Elections are no outages, a leader for a moment does not end one, and the next one has a
// backup of its own.
func TestLeaderForAMoment(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.leaderless("08:55:00", "08:55:55", "08:56:05", "08:57:00", // two elections
			"09:00:00", "09:10:00", "09:10:30", "09:20:00", // one outage
			"09:25:00", "09:27:00") // another one
		n := w.start("a", watched())
		w.until("09:40:00")
		n.stop()
		w.same("backups", w.saved(), []string{"09:01:00", "09:26:00"})
	})
}

// An instance that is restarted amidst an outage goes on with the hours of the one before.
func TestRestartAmidstAnOutage(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.leaderless("09:00:00", "13:00:00")
		n := w.start("a", watched())
		w.until("09:20:00")
		n.kill()
		n = w.start("a", watched())
		w.until("09:30:00")
		if e := n.of("c").Emergency; e == nil || e.Backup != "e1" {
			t.Errorf("emergency: %+v", e)
		}
		w.until("10:30:00")
		n.stop()
		w.until("12:00:00") // more than an hour after the last one
		n = w.start("a", watched())
		w.until("12:30:00")
		n.stop()
		w.same("backups", w.saved(), []string{"09:01:00", "10:01:00", "12:01:00"})
	})
}

// A member that does not answer says nothing: neither is it without a leader, nor does a moment
// interrupt that it is. After a long silence it counts anew.
func TestMemberDoesNotAnswer(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.leaderless("09:00:00", "09:20:00", "10:00:00", "10:00:30")
		says := w.member
		w.member = func() (*LocalMember, error) {
			switch clock := time.Now().UTC().Format(time.TimeOnly); {
			case "09:00:20" <= clock && clock < "09:05:00", clock >= "10:00:30":
				return nil, errors.New("connection refused")
			}
			return says()
		}
		n := w.start("a", watched())
		w.until("10:30:00")
		n.stop()
		w.same("backups", w.saved(), []string{"09:06:00"})
	})
}

// A backup that fails is tried again, said once, and said again when it succeeds.
func TestEmergencyBackupFails(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.leaderless("09:00:00", "09:30:00")
		var tries []string
		w.save = func(context.Context) (string, error) {
			tries = append(tries, time.Now().UTC().Format(time.TimeOnly))
			if len(tries) < 4 {
				return "", fail.WithHint(errors.New("store is down"), "look after it")
			}
			return "e1", nil
		}
		n := w.start("a", watched())
		w.until("09:01:15")
		if got := n.of("c").Troubles[0]; got.Err != "back up member m1, which has no leader: store is down" || got.Hint != "look after it" {
			t.Errorf("trouble: %+v", got)
		}
		w.until("09:29:00")
		n.stop()
		w.same("tries", tries, []string{"09:01:00", "09:01:10", "09:01:30", "09:02:10"})
		w.same("told", w.told(), []string{
			"09:01:00 a emergency: c: member m1 has no leader",
			"09:01:00 a emergency: c: member m1 has no leader, and its backup failed",
			"09:02:10 a emergency: c: member m1 has no leader; it was backed up as e1"})
	})
}

// An emergency backup that goes on at the end has the grace, too.
func TestEndAmidstAnEmergencyBackup(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.leaderless("09:00:00", "09:30:00")
		w.save = func(ctx context.Context) (string, error) {
			_, err := takes(20*time.Second)(ctx, "", Run{})
			return "e1", err
		}
		n := w.start("a", watched())
		w.until("09:01:10")
		n.stop()
		if clock := time.Now().UTC().Format(time.TimeOnly); clock != "09:01:20" || len(w.events) != 2 {
			t.Errorf("the end was at %s, told %q", clock, w.told())
		}
	})
}

// A configuration that changes amidst an outage changes nothing of it.
func TestReloadAmidstAnOutage(t *testing.T) {
	tell(t, "2026-03-10T08:50:00Z", func(w *world) {
		w.leaderless("09:00:00", "09:40:00")
		n := w.start("a", watched())
		w.until("09:20:00")
		if err := n.configure(func(f *config.File) { f.SpoolDir = "/elsewhere" }); err != nil {
			t.Fatal(err)
		}
		if e := n.of("c").Emergency; e == nil || e.Backup != "e1" || e.Since.UTC().Format(time.TimeOnly) != "09:00:00" {
			t.Errorf("emergency: %+v", e)
		}
		w.until("10:00:00")
		n.stop()
		w.same("backups", w.saved(), []string{"09:01:00"})
		w.same("told", w.told()[2:], []string{"09:41:00 a recovery: c: the outage of member m1 is over"})
	})
}

// Answers come to outages, by the rules alone.
func TestOutageRules(t *testing.T) {
	start := time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		answers string // one each 20 s: L leader, - none; another member: ! and ?
		want    string // B began, E ended
		fresh   bool
	}{
		"a minute without":               {"---" + "-", "...B", false},
		"a moment of a leader":           {"---L----", ".......B", false},
		"it ends after a minute":         {"----LLLL", "...B...E", true},
		"not after less":                 {"----LLL----LLLL", "...B..........E", true},
		"two of them":                    {"----LLLL----LLLL", "...B...E...B...E", true},
		"leader all the time":            {"LLLLLLLL", "........", true},
		"another member":                 {"---?-??????", "........B..", false},
		"another member amidst of it":    {"-----??????", "...B.E..B..", false},
		"another one that has a leader":  {"-----!!!!", "...B.E...", true},
		"a leader for long makes fresh":  {"LLLL----", ".......B", true},
		"a leader for a moment does not": {"LLL----", "......B", false},
	} {
		var o outage
		got := ""
		for i, a := range test.answers {
			m := LocalMember{ID: 1}
			switch a {
			case 'L':
				m.Leader = 2
			case '!':
				m.ID, m.Leader = 3, 2
			case '?':
				m.ID = 3
			}
			began, ended := o.see(&m, start.Add(time.Duration(i)*20*time.Second))
			switch {
			case began:
				got += "B"
			case ended:
				got += "E"
			default:
				got += "."
			}
		}
		if got != test.want || o.fresh != test.fresh {
			t.Errorf("%s: %s gives %s fresh=%t, want %s fresh=%t", name, test.answers, got, o.fresh, test.want, test.fresh)
		}
	}
}
