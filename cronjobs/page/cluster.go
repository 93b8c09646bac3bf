package page

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// cluster is the page of one cluster.
type cluster struct {
	*status.Cluster
	Summary      summary
	Holding      []string // stores that hold the latest backup
	ProvenOf     moment   // when the backup was taken that is proven
	Observed     moment
	Voters       []status.Member
	Zones        []zone
	Notices      []status.Finding
	Backups      backups
	Rehearsal    *rehearsal
	JobRows      []jobRow
	Certificates []certificate
	Troubles     []trouble
}

type zone struct {
	Name    string // "" if zones are not known
	Members []member
}

type member struct {
	status.Member
	Used, Held percent // of its quota: what is in use, and the file as a whole
	Share      string
	Size       string
	Behind     string // the leader, "" if that is not known
	Full       status.Level
}

type rehearsal struct {
	Backup *status.Backup
	Taken  moment
	Done   moment // zero if that is not known
	Passed bool
	Total  string
	Stages []stage
}

type stage struct {
	status.Stage
	Took  string
	Share percent // of the longest one
}

type jobRow struct {
	status.Job
	Lasting              bool // Last is not the last run, but the last change of the outcome
	Due                  bool // it waits for its turn
	Next, Running, Ended moment
	Took                 string
}

type certificate struct {
	Name    string
	Level   status.Level
	Expires moment
}

type trouble struct {
	status.Trouble
	Time moment
}

func clusterPage(f *status.Fleet, c *status.Cluster, span string) *view {
	v, now := newView(f), f.Now
	p := &cluster{Cluster: c, Summary: summarize(c, now), Observed: moment{c.Observed, now}, Voters: voters(c), Zones: zones(c), Rehearsal: lastRehearsal(c, now)}
	p.Backups = showBackups(c, now, span)
	if b := c.Latest(status.Listed); b != nil {
		for _, s := range c.Stores {
			if slices.ContainsFunc(s.Backups, func(o status.Backup) bool { return o.ID == b.ID && o.Rung > status.Failed }) {
				p.Holding = append(p.Holding, s.Name)
			}
		}
	}
	if b := c.Latest(status.Verified); b != nil {
		p.ProvenOf = moment{b.Started, now}
	}
	for _, f := range c.Findings {
		if c.Notice(f) {
			p.Notices = append(p.Notices, f)
		}
	}
	for _, j := range c.Jobs {
		row := jobRow{Job: j, Lasting: j.Name == config.Health, Due: !j.Next.IsZero() && !j.Next.After(now), Next: moment{j.Next, now}, Running: moment{j.Running, now}}
		if j.Last != nil {
			row.Ended, row.Took = moment{j.Last.Finished, now}, took(j.Last.Finished.Sub(j.Last.Started))
		}
		p.JobRows = append(p.JobRows, row)
	}
	for _, cert := range c.Certificates {
		p.Certificates = append(p.Certificates, certificate{cert.Name, cert.Level(now), moment{cert.Expires, now}})
	}
	for _, t := range c.Troubles {
		p.Troubles = append(p.Troubles, trouble{t, moment{t.Time, now}})
	}
	v.Cluster, v.Level = p, p.Summary.Verdict.Level
	v.Title = c.Name + ": " + v.Level.String()
	return v
}

// zones are the members by zone. Those without one come last.
func zones(c *status.Cluster) []zone {
	by := map[string][]member{}
	for _, m := range c.Members {
		s := showMember(m)
		if c.Quorum && m.Healthy {
			s.Behind = behind(m)
		}
		by[m.Zone] = append(by[m.Zone], s)
	}
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		if (a == "") != (b == "") {
			return cmp.Compare(b, a)
		}
		return cmp.Compare(a, b)
	})
	var all []zone
	for _, name := range names {
		z := zone{Name: name, Members: by[name]}
		if name == "" && len(names) > 1 {
			z.Name = "not known"
		}
		all = append(all, z)
	}
	return all
}

func behind(m status.Member) string {
	switch {
	case m.Leader:
		return "leads"
	case m.Lag == 0:
		return "level with the leader"
	case m.Lag == 1:
		return "1 entry behind the leader"
	}
	return humanize.Comma(int64(m.Lag)) + " entries behind the leader"
}

func showMember(m status.Member) member {
	s := member{Member: m, Full: m.Fullness()}
	switch {
	case m.DBSize == 0:
		s.Size = "size not known"
	case m.Quota == 0:
		s.Size = size(m.DBSize) + ", quota not known"
	default:
		share := 100 * float64(m.DBSize) / float64(m.Quota)
		s.Held, s.Used = percent(min(share, 100)), percent(min(100*float64(m.DBInUse)/float64(m.Quota), share, 100))
		s.Share = fmt.Sprintf("%.0f %%", share)
		s.Size = size(m.DBSize) + " of " + size(m.Quota)
	}
	return s
}

// lastRehearsal is the one that was done last. One of which the time is not known is as new as its
// backup.
func lastRehearsal(c *status.Cluster, now time.Time) *rehearsal {
	var last *status.Backup
	when := func(b *status.Backup) time.Time {
		if b.RehearsalTime.IsZero() {
			return b.Started
		}
		return b.RehearsalTime
	}
	for i := range c.Stores {
		for k := range c.Stores[i].Backups {
			if b := &c.Stores[i].Backups[k]; len(b.Rehearsal) > 0 && (last == nil || when(b).After(when(last))) {
				last = b
			}
		}
	}
	if last == nil {
		return nil
	}
	r := &rehearsal{Backup: last, Taken: moment{last.Started, now}, Done: moment{last.RehearsalTime, now}, Passed: true}
	var total, longest float64
	for _, s := range last.Rehearsal {
		total, longest = total+s.Seconds, max(longest, s.Seconds)
		r.Passed = r.Passed && s.Verdict != "mismatch"
	}
	for _, s := range last.Rehearsal {
		r.Stages = append(r.Stages, stage{s, fmt.Sprintf("%.2f s", s.Seconds), percent(100 * s.Seconds / max(longest, 1e-9))})
	}
	r.Total = took(time.Duration(total * float64(time.Second)))
	return r
}
