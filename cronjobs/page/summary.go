package page

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs/status"
)

// summary is what somebody wants to see of a cluster in five seconds.
type summary struct {
	Name    string
	Link    string
	Verdict status.Verdict
	Latest  moment // zero: nothing to restore, or not known
	Proven  moment // zero: never, or not known
	Known   bool   // what is in the stores
	How     string // it was proven
	Lose    string // how many members can be lost, of how many
	Counted bool   // that is a number
}

// None is said where there is no backup to restore.
func (s summary) None() string { return s.unless("nothing") }

// WhyNone says what that means.
func (s summary) WhyNone() string {
	if !s.Known {
		return "no store was read yet"
	}
	return "there is no backup that is not damaged"
}

// Never is said where no backup is proven.
func (s summary) Never() string { return s.unless("never") }

func (s summary) unless(word string) string {
	if !s.Known {
		return "not known"
	}
	return word
}

// More is how many reasons there are besides the headline.
func (s summary) More() int { return len(s.Verdict.Reasons) - 1 }

func summarize(c *status.Cluster, now time.Time) summary {
	s := summary{
		Name: c.Name, Link: "/cluster/" + url.PathEscape(c.Name), Verdict: status.Judge(*c, now),
	}
	s.Lose, s.Counted = lose(c, now)
	for _, st := range c.Stores {
		s.Known = s.Known || !st.Read.IsZero()
	}
	if b := c.Latest(status.Listed); b != nil {
		s.Latest = moment{b.Started, now}
	}
	if b := c.Latest(status.Verified); b != nil {
		s.Proven, s.How = moment{b.Proven(), now}, rungWords[b.Rung]
	}
	return s
}

// rungWords are for people what rungs are for the code.
var rungWords = map[status.Rung]string{
	status.Failed:    "damaged",
	status.Listed:    "stored",
	status.Sampled:   "sampled",
	status.Verified:  "verified",
	status.Rehearsed: "rehearsed",
}

func lose(c *status.Cluster, now time.Time) (words string, counted bool) {
	switch {
	case !c.InSight(now), c.Err != "", c.Quorum && c.Margin < 0:
		return "not known", false
	case !c.Quorum:
		return "none: quorum is lost", false
	}
	return fmt.Sprintf("%d of %d", c.Margin, len(voters(c))), true
}

func voters(c *status.Cluster) []status.Member {
	return slices.DeleteFunc(slices.Clone(c.Members), func(m status.Member) bool { return m.Learner })
}
