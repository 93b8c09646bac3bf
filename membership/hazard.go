package membership

import (
	"fmt"

	"github.com/coreos/go-semver/semver"

	"github.com/etcdha/etcdha/membership/quorum"
)

// Hazard is a bug of an etcd version in play that makes a step unsafe.
type Hazard struct {
	Step   Step
	Member quorum.ID // whose version it is
	Text   string
	Remedy string
}

func (h *Hazard) Error() string { return fmt.Sprintf("%s: %s", h.Step, h.Text) }

// CheckVersions refuses a step, with a [*Hazard], that is not safe with the
// versions of etcd that were observed. Those of members that do not answer are
// not known, and refuse nothing.
func CheckVersions(o *Observation, step Step) error {
	for _, bug := range bugs {
		for i := range o.Members {
			m := &o.Members[i]
			if m.Ghost || !bug.in(o, m) || !bug.hits(o, step) {
				continue
			}
			return &Hazard{
				Step:   step,
				Member: m.ID,
				Text:   fmt.Sprintf("%s runs etcd %s, %s", m.Label(), m.Status.Version, bug.text),
				Remedy: bug.remedy,
			}
		}
	}
	return nil
}

// bug is a fault of some versions of etcd that changes of the membership meet.
// They are told in the release notes of the versions that cured them.
type bug struct {
	code   string
	in     func(o *Observation, m *Member) bool // the member has it
	hits   func(o *Observation, step Step) bool // the step meets it
	text   string                               // after "m1 runs etcd 3.5.9, "
	remedy string
}

var bugs = []bug{
	{
		// The promotion was written to one of two stores only: after an upgrade to
		// 3.6, which reads the other one, the voter is a learner again.
		code: "bug-promotion",
		in: func(_ *Observation, m *Member) bool {
			return m.between("3.5.1", "3.5.20")
		},
		hits:   func(_ *Observation, step Step) bool { return step.Kind == quorum.Promote },
		text:   "which can forget a promotion: with 3.6, the voter is a learner again",
		remedy: "upgrade every member to etcd 3.5.26 or later first",
	},
	{
		// Members that were removed long ago stay in the store that 3.6 reads.
		code: "bug-zombies",
		in: func(o *Observation, m *Member) bool {
			return m.between("0.0.0", "3.5.26") && o.has(func(other *Member) bool { return other.atLeast("3.6.0") })
		},
		hits: func(_ *Observation, step Step) bool {
			return step.Kind == quorum.AddLearner || step.Kind == quorum.Promote
		},
		text:   "beside members with 3.6 or later, in which members removed long ago can come back",
		remedy: "upgrade every member to etcd 3.5.26 or later before any runs 3.6",
	},
	{
		// MemberUpdate writes the member anew without the flag, so that a learner
		// votes without having been promoted.
		code: "bug-update",
		in: func(_ *Observation, m *Member) bool {
			return m.between("0.0.0", "3.5.31") || m.between("3.6.0", "3.6.12")
		},
		hits: func(o *Observation, step Step) bool {
			m := o.Member(step.ID)
			return step.Kind == quorum.Update && m != nil && m.Learner
		},
		text:   "which makes a voter of a learner when its peer URLs are updated",
		remedy: "remove the learner and add it with the new URLs, or upgrade to etcd 3.5.31, 3.6.12 or later first",
	},
}

// has tells whether any member is like that.
func (o *Observation) has(like func(m *Member) bool) bool {
	for i := range o.Members {
		if !o.Members[i].Ghost && like(&o.Members[i]) {
			return true
		}
	}
	return false
}

// version is nil if it is not known.
func (m *Member) version() *semver.Version {
	if m.Status == nil {
		return nil
	}
	v, err := semver.NewVersion(m.Status.Version)
	if err != nil {
		return nil
	}
	return v
}

func (m *Member) atLeast(version string) bool {
	v := m.version()
	return v != nil && !v.LessThan(*semver.New(version))
}

// between tells whether the version is known to be from first on, and before fixed.
func (m *Member) between(first, fixed string) bool {
	v := m.version()
	return v != nil && m.atLeast(first) && v.LessThan(*semver.New(fixed))
}
