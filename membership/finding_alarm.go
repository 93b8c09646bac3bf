package membership

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
)

// findAlarms says what each alarm keeps from working.
func findAlarms(o *Observation) []Finding {
	var found []Finding
	for _, a := range o.Alarms {
		found = append(found, o.AlarmFinding(a))
	}
	return found
}

// Outlived tells whether the alarm is that of a member that is gone: then it
// protects nobody. A CORRUPT alarm of member 0 is not. etcd raises it when no
// majority of the members agrees, so that any of them may be the wrong one.
func (o *Observation) Outlived(a Alarm) bool {
	return o.member(a.MemberID) == nil && (a.Type != Corrupt || a.MemberID != 0)
}

// AlarmFinding says what an alarm keeps from working, and what ends it.
func (o *Observation) AlarmFinding(a Alarm) Finding {
	label := o.Label(a.MemberID)
	f := Finding{Severity: Critical, Code: "alarm-" + strings.ToLower(string(a.Type)), Member: label}
	switch {
	case o.Outlived(a):
		f.Text = fmt.Sprintf("the %s alarm of %s, a member that is gone, still blocks everything", a.Type, label)
		f.Remedy = "etcdha alarm disarm"
	case a.Type == NoSpace && o.hasSpace(a):
		s := o.Member(a.MemberID).Status
		f.Text = fmt.Sprintf("the db of %s had reached its quota and has room again (%s of %s): the cluster takes no writes until the alarm is ended",
			label, humanize.IBytes(uint64(s.DBSize)), humanize.IBytes(uint64(s.DBSizeQuota)))
		f.Remedy = "etcdha alarm disarm"
	case a.Type == NoSpace:
		f.Text = fmt.Sprintf("the db of %s has reached its quota: the cluster takes no writes", label)
		f.Remedy = "compact" + o.compaction() + ", then etcdha member defrag, then etcdha alarm disarm; or raise --quota-backend-bytes first"
	case a.Type == Corrupt && a.MemberID == 0:
		f.Member = ""
		f.Text = "members differ in what they hold, and etcd cannot tell which of them is wrong: the cluster serves no reads and no writes"
		f.Remedy = "etcdha member status --hash; compare each member with a backup before one is replaced"
	case a.Type == Corrupt:
		f.Text = fmt.Sprintf("%s holds other data than the rest: the cluster serves no reads and no writes", label)
		f.Remedy = fmt.Sprintf("stop it, then: etcdha member replace %s NEW --peer-urls=URL; then etcdha alarm disarm", shellQuote(label))
	default:
		f.Text = fmt.Sprintf("%s has the alarm %s", label, a.Type)
	}
	return f
}

// compaction is the command that compacts up to the newest revision seen. The
// history before it is lost, which only watchers that are behind will miss.
func (o *Observation) compaction() string {
	var newest int64
	for _, m := range o.listed() {
		if m.Status != nil {
			newest = max(newest, m.Status.Revision)
		}
	}
	if newest == 0 {
		return ""
	}
	return fmt.Sprintf(" (etcdctl compact %d; kube-apiserver does, every five minutes)", newest)
}

// fullShare is the share of its quota at which a db is as good as full: the
// alarm would come back with the next writes.
const fullShare = 0.95

// Full tells whether the db is as good as full. Before etcd 3.6 a member does
// not tell its quota, so that nobody knows.
func (s *Status) Full() bool {
	return s.DBSizeQuota > 0 && float64(s.DBSize) >= fullShare*float64(s.DBSizeQuota)
}

// hasSpace tells whether a NOSPACE alarm is known to have lost its reason.
func (o *Observation) hasSpace(a Alarm) bool {
	m := o.member(a.MemberID)
	return m != nil && m.Status != nil && m.Status.DBSizeQuota > 0 && !m.Status.Full()
}
