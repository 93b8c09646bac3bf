package status_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

// Each situation is told, at its level, and by the words that somebody would look for.
func TestEachSituationIsTold(t *testing.T) {
	for _, s := range statustest.Situations {
		t.Run(s.Name, func(t *testing.T) {
			v := status.Judge(s.Cluster("production"), statustest.Now)
			if v.Level != s.Level {
				t.Errorf("it is judged as %s, want %s: %+v", v.Level, s.Level, v.Reasons)
			}
			told := v.Headline
			for _, r := range v.Reasons {
				told += "\n" + r.Text
			}
			if !strings.Contains(told, s.Words) {
				t.Errorf("nothing says %q, but:\n%s", s.Words, told)
			}
			if len(v.Reasons) > 0 && v.Headline != v.Reasons[0].Text {
				t.Errorf("the headline %q is not the worst reason, %q", v.Headline, v.Reasons[0].Text)
			}
			for i, r := range v.Reasons[min(1, len(v.Reasons)):] {
				if r.Level > v.Reasons[i].Level {
					t.Errorf("%q is worse than what is said before it", r.Text)
				}
			}
		})
	}
}

// What one thing has caused is told once.
func TestOneThingIsOneReason(t *testing.T) {
	for _, name := range []string{"no backup", "all damaged", "rehearsal overdue", "stale", "store stale", "store never read", "one store down", "store behind",
		"certificate near", "near quota", "at quota", "alarm", "job failing", "job overdue", "verification failed", "verification broken off", "nobody active", "nothing scheduled", "all stores down", "unreachable"} {
		if v := status.Judge(statustest.In(name, "production"), statustest.Now); len(v.Reasons) != 1 {
			t.Errorf("%s: %d reasons: %+v", name, len(v.Reasons), v.Reasons)
		}
	}
}

func TestTheWorstIsTheHeadline(t *testing.T) {
	c := statustest.In("quorum lost", "production")
	c.Certificates[0].Expires = statustest.Now.Add(20 * 24 * time.Hour)
	v := status.Judge(c, statustest.Now)
	if !strings.HasPrefix(v.Headline, "m1 has had no leader") || len(v.Reasons) != 5 ||
		v.Reasons[0].Hint == "" || !strings.Contains(v.Reasons[4].Text, "certificate") {
		t.Errorf("%q, %+v", v.Headline, v.Reasons)
	}
}

// What is known without a finding that says it better.
func TestQuorumAndEmergencyByThemselves(t *testing.T) {
	for want, happens := range map[string]func(*status.Cluster){
		"danger: m1 has had no leader for 2 minutes, and what it holds is not saved yet": func(c *status.Cluster) {
			c.Emergency = &status.Emergency{Member: "m1", Since: statustest.Now.Add(-2 * time.Minute)}
		},
		"danger: quorum is lost: the cluster takes no writes":                  func(c *status.Cluster) { c.Quorum, c.Margin = false, -1 },
		"warning: there is quorum, but too few members are seen to be healthy": func(c *status.Cluster) { c.Margin = -1 },
		"warning: m3 is not healthy: refused":                                  func(c *status.Cluster) { c.Members[2].Healthy, c.Members[2].Err = false, "refused" },
		"danger: no store can be read: denied":                                 func(c *status.Cluster) { c.Stores = []status.Store{{Name: "s3", Err: "denied"}} },
		"warning: no backup was verified for 9 days":                           longUnverified,
		"warning: snapshot failed 21 minutes ago: the spool is full":           func(c *status.Cluster) { c.Jobs[0].Last.Passed, c.Jobs[0].Last.Error = false, "the spool is full" },
		"safe: can restore to 21 minutes ago, proven by a rehearsal 12 hours ago, can lose 1 member": func(c *status.Cluster) {
			c.Jobs[6].Last.Passed = false // health is judged by the members themselves
			c.Findings = []status.Finding{{Severity: "notice", Code: "db-fragmented", Member: "m1", Text: "free pages"}}
		},
	} {
		c := statustest.Healthy("production")
		happens(&c)
		v := status.Judge(c, statustest.Now)
		if got := v.Level.String() + ": " + v.Headline; got != want || len(v.Reasons) > 1 {
			t.Errorf("%q, want %q; %v", got, want, v.Reasons)
		}
	}
}

// longUnverified leaves proofs of nine days ago, older than the job would have them.
func longUnverified(c *status.Cluster) {
	old := statustest.Now.Add(-9 * 24 * time.Hour)
	for i := range c.Stores {
		for k := range c.Stores[i].Backups {
			b := &c.Stores[i].Backups[k]
			b.Rung, b.Verified, b.Rehearsed = status.Verified, old, time.Time{}
		}
	}
	c.Job(config.Verify).Expected = old.Add(time.Hour)
	c.Jobs = slices.DeleteFunc(c.Jobs, func(j status.Job) bool { return j.Name == config.Rehearse })
}

func TestWhatHolds(t *testing.T) {
	v := status.Judge(statustest.Healthy("production"), statustest.Now)
	want := "can restore to 21 minutes ago, proven by a rehearsal 12 hours ago, can lose 1 member"
	if v.Headline != want || len(v.Reasons) != 0 {
		t.Errorf("%q, want %q; %v", v.Headline, want, v.Reasons)
	}
}

// A weekly job has nothing to show in the first week of a cluster, and that is no reason to worry.
func TestAYoungClusterIsNotBlamed(t *testing.T) {
	c := statustest.Healthy("production")
	for i := range c.Stores {
		b := c.Stores[i].Backups
		c.Stores[i].Backups = b[len(b)-1:]
	}
	c.Since = statustest.Now.Add(-2 * time.Hour)
	for i := range c.Jobs[1:] {
		c.Jobs[i+1].Last = nil
	}
	if v := status.Judge(c, statustest.Now); v.Level != status.Safe {
		t.Errorf("%s: %v", v.Level, v.Reasons)
	}
}

// A backup that is damaged in one store is restored from the other.
func TestACopyIsAsGood(t *testing.T) {
	c := statustest.Healthy("production")
	for i := range c.Stores[0].Backups {
		c.Stores[0].Backups[i].Rung = status.Failed
	}
	latest := c.Latest(status.Listed)
	if latest == nil || latest != &c.Stores[1].Backups[len(c.Stores[1].Backups)-1] {
		t.Fatalf("the latest one is %v", latest)
	}
	if v := status.Judge(c, statustest.Now); strings.Contains(v.Headline, "no backup can be restored") {
		t.Errorf("%s: %v", v.Level, v.Reasons)
	}
}

// A run by --once waits while a daemon is active, which is when the page is there.
func TestWhatCanBeDoneBesideADaemon(t *testing.T) {
	for situation, command := range map[string]string{
		"no backup": "etcdha snapshot save", "overdue": "etcdha snapshot save", "store behind": "etcdha snapshot save",
		"job overdue": "etcdha member defrag", "verification failed": "etcdha snapshot verify latest",
	} {
		v := status.Judge(statustest.In(situation, "production"), statustest.Now)
		if hint := v.Reasons[0].Hint; !strings.Contains(hint, command) {
			t.Errorf("%s: the hint is %q", situation, hint)
		}
		for _, r := range v.Reasons {
			if strings.Contains(r.Hint, "--once") {
				t.Errorf("%s: the hint is %q", situation, r.Hint)
			}
		}
	}
}

// What was not looked at since the start is no reason to feel safe, once there was time to look.
func TestADaemonThatStandsStillAtItsStart(t *testing.T) {
	c := statustest.In("fresh start", "production")
	if v := status.Judge(c, c.Since.Add(status.Stale)); v.Level != status.Warning {
		t.Errorf("at the start: %v", v.Reasons)
	}
	v := status.Judge(c, c.Since.Add(status.Stale+time.Second))
	if v.Level != status.Danger || v.Headline != "the members were never looked at since its start" {
		t.Errorf("later: %v", v.Reasons)
	}
	if c = statustest.In("nobody active", "production"); status.Judge(c, c.Since.Add(time.Minute)).Level == status.Danger {
		t.Error("the election had no time")
	}
}

// An emergency backup is not what somebody restores from without thinking.
func TestAnEmergencyBackupIsNotTheLatest(t *testing.T) {
	c := statustest.In("quorum lost", "production")
	if latest := c.Latest(status.Listed); latest.Emergency || !latest.Started.Equal(statustest.Now.Truncate(time.Hour).Add(2*time.Minute)) {
		t.Errorf("the latest one is %v", latest)
	}
	for i := range c.Stores {
		b := c.Stores[i].Backups
		c.Stores[i].Backups = b[len(b)-1:]
	}
	if latest := c.Latest(status.Failed); latest != nil {
		t.Errorf("the latest one is %v", latest)
	}
}

func TestTheDetailsThatAFindingGivesWin(t *testing.T) {
	c := statustest.In("alarm", "production")
	c.Findings = []status.Finding{{Severity: "critical", Code: "alarm-nospace", Member: "m1", Text: "the db of m1 has reached its quota", Remedy: "compact"}}
	v := status.Judge(c, statustest.Now)
	if len(v.Reasons) != 1 || v.Headline != c.Findings[0].Text || v.Reasons[0].Hint != "compact" {
		t.Errorf("%+v", v)
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a minute", 59 * time.Second: "less than a minute", 61 * time.Second: "1 minute", 119 * time.Minute: "119 minutes",
		2 * time.Hour: "2 hours", 47 * time.Hour: "47 hours", 48 * time.Hour: "2 days", 400 * 24 * time.Hour: "400 days",
	} {
		if got := status.Age(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	now := statustest.Now
	if past, future := status.Relative(now.Add(-time.Hour), now), status.Relative(now.Add(time.Hour), now); past != "60 minutes ago" || future != "in 60 minutes" {
		t.Errorf("%q, %q", past, future)
	}
}
