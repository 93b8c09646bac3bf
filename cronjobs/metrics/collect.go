package metrics

import (
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

func (s *scrape) cluster(c *status.Cluster) {
	s.put(clusterActive, bit(c.Here), c.Name)
	if c.Active != "" {
		s.put(clusterActiveIs, 1, c.Name, c.Active)
	}
	s.put(emergency, bit(c.Emergency != nil), c.Name)
	if c.Emergency != nil {
		s.put(emergencySaved, bit(c.Emergency.Backup != ""), c.Name)
	}
	s.members(c)
	s.certificates(c)
	for i := range c.Stores {
		s.store(c, &c.Stores[i])
	}
	for i := range c.Jobs {
		s.job(c, &c.Jobs[i])
	}
}

// members shows what was seen of them. What was seen before they went out of sight would
// look like health; so would what was seen long ago by an instance that looks no more.
func (s *scrape) members(c *status.Cluster) {
	s.at(clusterSeen, c.Observed, c.Name)
	if c.Err != "" {
		s.put(clusterUp, 0, c.Name)
		return
	}
	if !c.InSight(s.now) {
		return
	}
	s.put(clusterUp, 1, c.Name)
	s.put(clusterQuorum, bit(c.Quorum), c.Name)
	s.put(clusterMargin, float64(c.Margin), c.Name)
	shown := make(map[string]bool)
	for _, alarm := range c.Alarms {
		if kind, member, _ := strings.Cut(alarm, " on "); !shown[alarm] {
			shown[alarm] = true
			s.put(clusterAlarm, 1, c.Name, kind, member)
		}
	}
	names := make(map[string]int)
	for _, m := range c.Members {
		names[m.Name]++
	}
	for i := range c.Members {
		m := &c.Members[i]
		name := m.Name
		if name == "" || names[name] > 1 { // it has not started yet, or etcd was told the same name twice
			name = m.ID
		}
		s.member(c.Name, name, m)
	}
}

func (s *scrape) member(cluster, name string, m *status.Member) {
	s.put(memberHealthy, bit(m.Healthy), cluster, name)
	s.put(memberLeader, bit(m.Leader), cluster, name)
	s.put(memberLearner, bit(m.Learner), cluster, name)
	if m.Healthy {
		s.put(memberLag, float64(m.Lag), cluster, name)
	}
	if m.DBSize > 0 { // else it did not answer
		s.put(memberDB, float64(m.DBSize), cluster, name)
		s.put(memberInUse, float64(m.DBInUse), cluster, name)
	}
	if m.Quota > 0 {
		s.put(memberQuota, float64(m.Quota), cluster, name)
	}
}

// certificates shows of several with one name the one that ends first.
func (s *scrape) certificates(c *status.Cluster) {
	first := make(map[string]time.Time)
	for _, cert := range c.Certificates {
		if at, ok := first[cert.Name]; !ok || cert.Expires.Before(at) {
			first[cert.Name] = cert.Expires
		}
	}
	for name, at := range first {
		s.at(certificate, at, c.Name, name)
	}
}

func (s *scrape) job(c *status.Cluster, j *status.Job) {
	cluster, name := c.Name, string(j.Name)
	s.at(jobNext, j.Next, cluster, name)
	s.put(jobRunning, bit(!j.Running.IsZero()), cluster, name)
	s.at(jobExpected, j.Expected, cluster, name)
	if j.Name != config.Health {
		s.put(jobOverdue, bit(c.Overdue(j)), cluster, name)
	}
	if r := j.Last; r != nil {
		s.at(jobLastAt, r.Finished, cluster, name)
		s.since(jobLastAge, r.Finished, cluster, name)
		s.put(jobPassed, bit(r.Passed), cluster, name)
		if !r.Passed {
			s.at(jobFailedAt, r.Finished, cluster, name, kind(r))
		}
		s.put(jobDuration, r.Finished.Sub(r.Started).Seconds(), cluster, name)
	}
}
