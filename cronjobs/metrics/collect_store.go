package metrics

import (
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

func (s *scrape) store(c *status.Cluster, st *status.Store) {
	s.at(storeRead, st.Read, c.Name, st.Name)
	if st.Err != "" || st.InSight(s.now) { // else nobody has looked for long, and it is not known
		s.put(storeUp, bit(st.Err == ""), c.Name, st.Name)
	}
	known := !st.Read.IsZero()
	if late := c.BackupOverdue(st, s.now); c.Job(config.Snapshot) != nil && (known || late) {
		s.put(backupOverdue, bit(late), c.Name, st.Name)
	}
	if !known {
		return
	}
	s.newest(backupAt, backupAge, c, st, status.Listed)
	s.newest(verifiedAt, verifiedAge, c, st, status.Verified)
	s.newest(rehearsedAt, rehearsedAge, c, st, status.Rehearsed)
	if newest := st.Latest(status.Listed); newest != nil {
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
