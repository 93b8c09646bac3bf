package metrics

import (
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

func (s *scrape) store(c *status.Cluster, st *status.Store) {
	if st.Read.IsZero() && st.Err == "" {
		return
	}
	s.put(storeUp, bit(st.Err == ""), c.Name, st.Name)
	s.at(storeRead, st.Read, c.Name, st.Name)
	if st.Read.IsZero() {
		return
	}
	s.newest(backupAt, backupAge, c, st, status.Listed)
	s.newest(verifiedAt, verifiedAge, c, st, status.Verified)
	s.newest(rehearsedAt, rehearsedAge, c, st, status.Rehearsed)
	newest := st.Latest(status.Listed)
	if j := c.Job(config.Snapshot); j != nil {
		s.put(backupOverdue, bit(newest == nil || newest.Started.Before(j.Expected)), c.Name, st.Name)
	}
	if newest != nil {
		s.put(backupDB, float64(newest.DBSize), c.Name, st.Name)
		s.put(backupStored, float64(newest.StoredSize), c.Name, st.Name)
		s.put(backupRevision, float64(newest.Revision), c.Name, st.Name)
		s.put(backupDuration, newest.Finished.Sub(newest.Started).Seconds(), c.Name, st.Name)
	}
	s.contents(c, st)
}

// newest shows when the newest ordinary backup that is so well proven was started.
func (s *scrape) newest(at, age *family, c *status.Cluster, st *status.Store, least status.Rung) {
	b := st.Latest(least)
	if b == nil {
		s.put(at, 0, c.Name, st.Name)
		return
	}
	s.at(at, b.Started, c.Name, st.Name)
	s.since(age, b.Started, c.Name, st.Name)
}

// contents shows how much is there.
func (s *scrape) contents(c *status.Cluster, st *status.Store) {
	var emergencies, damaged int
	var bytes int64
	for i := range st.Backups {
		b := &st.Backups[i]
		bytes += b.StoredSize
		if b.Emergency {
			emergencies++
		}
		if b.Rung == status.Failed {
			damaged++
		}
	}
	s.put(storeBackups, float64(len(st.Backups)-emergencies), c.Name, st.Name, "ordinary")
	s.put(storeBackups, float64(emergencies), c.Name, st.Name, "emergency")
	s.put(storeBytes, float64(bytes), c.Name, st.Name)
	s.put(storeDamaged, float64(damaged), c.Name, st.Name)
	s.put(storeUnread, float64(st.Unread), c.Name, st.Name)
}
