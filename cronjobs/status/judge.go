package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Level says how worried somebody should be.
type Level int

// Levels.
const (
	Safe    Level = iota // what was asked for holds
	Warning              // it holds, with less to spare or without proof
	Danger               // something would be lost now, or is not served
)

// String is one word.
func (l Level) String() string { return [...]string{"safe", "warning", "danger"}[l] }

// Verdict is what to make of what is known of a cluster.
type Verdict struct {
	Level    Level
	Headline string   // the worst reason, or what holds; no capital letter, since it may begin with a name
	Reasons  []Reason // the worst first; none when Safe
}

// Reason is one thing that is wrong.
type Reason struct {
	Level Level
	Text  string
	Hint  string // what can be done about it; may be ""
}

// Judge says whether a cluster is safe, and what is wrong with it. What is not known is
// no reason to feel safe.
func Judge(c Cluster, now time.Time) Verdict {
	j := &judgement{Cluster: &c, now: now}
	j.emergency()
	j.members()
	j.backups()
	j.stores()
	j.sizes()
	j.certificates()
	j.jobs()
	// Within a level the order is that in which to see to them.
	slices.SortStableFunc(j.reasons, func(a, b Reason) int { return cmp.Compare(b.Level, a.Level) })
	v := Verdict{Reasons: j.reasons}
	if len(v.Reasons) == 0 {
		v.Headline = j.holds()
		return v
	}
	v.Level, v.Headline = v.Reasons[0].Level, v.Reasons[0].Text
	return v
}

// Quotas and certificates are judged as in the alerts.
const (
	quotaWarning = 0.80
	quotaDanger  = 0.95

	certificateWarning = 30 * day
	certificateDanger  = 7 * day

	// Stale is several looks late: every instance looks once a minute. What was seen longer ago is
	// not known any more, and a daemon that has seen nothing for so long after its start stands still.
	Stale = 5 * time.Minute
)

type judgement struct {
	*Cluster
	now     time.Time
	reasons []Reason
}

func (j *judgement) add(l Level, hint, format string, args ...any) {
	j.reasons = append(j.reasons, Reason{Level: l, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (j *judgement) emergency() {
	e := j.Emergency
	if e == nil {
		return
	}
	const hint = "bring members back until a majority runs; if that is impossible, restore from the newest backup"
	since := Age(j.now.Sub(e.Since))
	if e.Backup == "" {
		j.add(Danger, hint, "%s has had no leader for %s, and what it holds is not saved yet", e.Member, since)
		return
	}
	j.add(Danger, hint, "%s has had no leader for %s; what it holds was saved as %s", e.Member, since, e.Backup)
}

func (j *judgement) members() {
	switch {
	case j.Err != "":
		j.add(Danger, j.Hint, "the members cannot be seen: %s", j.Err)
	case j.Observed.IsZero() && j.starting(j.now):
		j.add(Warning, "", "the members were not looked at yet")
		return
	case j.Observed.IsZero():
		j.add(Danger, "see the log of the daemon", "the members were never looked at since its start")
		return
	case !j.InSight(j.now):
		j.add(Danger, "see the log of the daemon", "the members were last looked at %s", Relative(j.Observed, j.now))
	}
	if j.Err == "" {
		j.quorum()
	}
	for _, a := range j.Alarms {
		if !j.found("alarm-") {
			j.add(Danger, "etcdha member status says what ends it", "there is an alarm: %s", a)
		}
	}
	for _, f := range j.Findings {
		switch {
		case j.Notice(f):
		case f.Code == "db-near-quota" && j.full(f.Member): // told by sizes, as a danger
		case f.Severity == "critical":
			j.add(Danger, f.Remedy, "%s", f.Text)
		case f.Severity == "warning":
			j.add(Warning, f.Remedy, "%s", f.Text)
		}
	}
	for _, m := range j.Members {
		if !m.Healthy && !j.named(m) {
			j.add(Warning, "", "%s is not healthy%s", m.label(), after(": ", m.Err))
		}
	}
}

// quorum says what the findings do not say better.
func (j *judgement) quorum() {
	switch {
	case !j.Quorum && !j.found("quorum-lost"):
		j.add(Danger, "bring members back until a majority runs", "quorum is lost: the cluster takes no writes")
	case j.Quorum && j.Margin < 0 && !j.found("quorum-"):
		j.add(Warning, "look from a host that reaches every member", "there is quorum, but too few members are seen to be healthy")
	case j.Quorum && j.Margin == 0 && j.voters() > 1 && !j.found("quorum-"):
		j.add(Warning, "bring back the members that are not healthy, or add one", "the next member that fails costs quorum")
	}
}

// sizes tells of dbs near their quota, unless a finding does.
func (j *judgement) sizes() {
	for _, m := range j.Members {
		const hint = "compact old revisions, then etcdha member defrag; or raise --quota-backend-bytes"
		switch level := m.Fullness(); {
		case level == Danger:
			j.add(level, hint, "the db of %s has %.0f %% of its quota: at 100 %% the cluster takes no writes", m.label(), 100*m.share())
		case level == Warning && !j.found("db-near-quota"):
			j.add(level, hint, "the db of %s has %.0f %% of its quota", m.label(), 100*m.share())
		}
	}
}

func (j *judgement) certificates() {
	for _, c := range j.Certificates {
		level, verb := c.Level(j.now), "expires"
		if !c.Expires.After(j.now) {
			verb = "has expired"
		}
		if level > Safe {
			j.add(level, "renew it", "the certificate %q %s %s", c.Name, verb, Relative(c.Expires, j.now))
		}
	}
}

func (j *judgement) jobs() {
	if j.Active == "" && !j.Observed.IsZero() {
		level := Danger // nobody takes backups
		if j.starting(j.now) {
			level = Warning // the election takes its time
		}
		j.add(level, "see the logs of the instances: none of them has the lock of the election", "no instance runs the jobs of this cluster")
	}
	for i := range j.Jobs {
		job := &j.Jobs[i]
		told := job.Name == config.Health || job.Name == config.Rehearse && j.disproved() // by members, by proof
		if r := job.Last; r != nil && !r.Passed && !told {
			level := Warning
			if job.Disproves() {
				level = Danger
			}
			j.add(level, cmp.Or(r.Hint, byHand[job.Name]), "%s failed %s: %s", job.Name, Relative(r.Finished, j.now), r.Error)
		}
		if job.Name != config.Snapshot && j.Overdue(job) && !j.undone(job) { // that one is told by the backups
			j.add(Warning, byHand[job.Name], "%s is overdue: two of its slots have passed without a run", job.Name)
		}
	}
}

// byHand is what does the work of a job beside a daemon. A run of the job itself, by --once, waits
// for the daemon that is active to give way.
var byHand = map[config.JobName]string{
	config.Snapshot:     "with the flags for its members and its store, etcdha snapshot save takes one now",
	config.VerifySample: "etcdha snapshot verify latest, with the flags for its store, verifies the newest backup now",
	config.Verify:       "etcdha snapshot verify latest, with the flags for its store, verifies the newest backup now",
	config.Rehearse:     "etcdha restore rehearse latest, with the flags for its store, rehearses the newest backup now",
	config.Prune:        "etcdha snapshot prune, with the flags for its store, does it now",
	config.Defrag:       "etcdha member defrag, with the flags for its members, does it now",
}

// found tells whether there is a finding with such a code.
func (j *judgement) found(prefix string) bool {
	return slices.ContainsFunc(j.Findings, func(f Finding) bool { return strings.HasPrefix(f.Code, prefix) })
}

// named tells whether a finding speaks of a member, so that its health needs no words.
func (j *judgement) named(m Member) bool {
	return slices.ContainsFunc(j.Findings, func(f Finding) bool {
		return f.Severity != "notice" && (f.Member == m.Name || f.Member == m.ID)
	})
}

// full tells whether sizes has a danger to tell of a member.
func (j *judgement) full(member string) bool {
	return slices.ContainsFunc(j.Members, func(m Member) bool { return m.label() == member && m.Fullness() == Danger })
}

// Fullness judges how near its quota a db is.
func (m Member) Fullness() Level {
	switch share := m.share(); {
	case share >= quotaDanger:
		return Danger
	case share >= quotaWarning:
		return Warning
	}
	return Safe
}

// Level judges how near its end a certificate is.
func (c Certificate) Level(now time.Time) Level {
	switch left := c.Expires.Sub(now); {
	case left < certificateDanger:
		return Danger
	case left < certificateWarning:
		return Warning
	}
	return Safe
}

// share is the share of its quota that a db has, 0 where that is not known.
func (m Member) share() float64 {
	if m.Quota <= 0 {
		return 0
	}
	return float64(m.DBSize) / float64(m.Quota)
}

func (m Member) label() string { return cmp.Or(m.Name, m.ID) }

// after is text behind a separator, and nothing without text.
func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}
