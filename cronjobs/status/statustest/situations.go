package statustest

import (
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// Situation is a healthy cluster to which something has happened.
type Situation struct {
	Name  string
	Level status.Level
	Words string // of the reason
	Do    func(*status.Cluster)
}

// Cluster is a cluster in the situation.
func (s Situation) Cluster(name string) status.Cluster {
	c := Healthy(name)
	s.Do(&c)
	return c
}

// Situations are all that somebody has to be told of, and the healthy one first.
var Situations = []Situation{
	{"healthy", status.Safe, "can restore to 21 minutes ago", func(*status.Cluster) {}},
	{"fresh start", status.Warning, "not looked at yet", func(c *status.Cluster) {
		*c = status.Cluster{Name: c.Name, Since: Now.Add(-time.Second), Jobs: []status.Job{{Name: config.Snapshot, Schedule: "0 * * * *", Next: Now.Add(time.Second)}},
			Stores: []status.Store{{Name: "s3", URL: "s3://backups/etcd"}}}
	}},
	{"no backup", status.Danger, "there is no backup", func(c *status.Cluster) {
		eachStore(c, func(s *status.Store) { s.Backups = nil })
	}},
	{"overdue", status.Danger, "the backup is overdue: the newest one is 9 hours old", func(c *status.Cluster) {
		eachStore(c, func(s *status.Store) { s.Backups = s.Backups[:len(s.Backups)-9] })
		failed(c.Job(config.Snapshot), "other", "connect to m1: connection refused", "is etcd running?")
	}},
	{"never proven", status.Warning, "no backup was ever rehearsed", func(c *status.Cluster) {
		eachBackup(c, func(b *status.Backup) {
			b.Rung, b.Verified, b.Rehearsed, b.Rehearsal = status.Listed, time.Time{}, time.Time{}, nil
		})
	}},
	{"nothing proves", status.Warning, "no backup was proven since it was stored", func(c *status.Cluster) {
		eachBackup(c, func(b *status.Backup) {
			b.Rung, b.Verified, b.Rehearsed, b.Rehearsal = status.Listed, time.Time{}, time.Time{}, nil
		})
		c.Jobs = slices.DeleteFunc(c.Jobs, func(j status.Job) bool { return j.Name == config.Verify || j.Name == config.Rehearse })
	}},
	{"rehearsal overdue", status.Warning, "no backup was rehearsed for 7 days", func(c *status.Cluster) {
		eachBackup(c, func(b *status.Backup) {
			if b.Rung == status.Rehearsed && Now.Sub(b.Started) < 7*day {
				b.Rung, b.Rehearsed, b.Rehearsal = status.Verified, time.Time{}, nil
			}
		})
	}},
	{"rehearsal failed", status.Danger, "the last rehearsal failed: keys: m2 has 41 keys less", func(c *status.Cluster) {
		failed(c.Job(config.Rehearse), "verification", "keys: m2 has 41 keys less than the snapshot", "compare it with the backup before it")
		eachStore(c, func(s *status.Store) {
			b := &s.Backups[len(s.Backups)-13]
			b.Rung, b.Rehearsal = status.Failed, Stages()[:7]
			b.Rehearsal[6].Verdict, b.Rehearsal[6].Detail = "mismatch", "m2 has 41 keys less than the snapshot"
		})
	}},
	{"damaged", status.Danger, "1 backup was found damaged", func(c *status.Cluster) { c.Stores[0].Backups[7].Rung = status.Failed }},
	{"all damaged", status.Danger, "no backup can be restored", func(c *status.Cluster) {
		eachBackup(c, func(b *status.Backup) { b.Rung = status.Failed })
	}},
	{"member down", status.Warning, "the next failure costs quorum", func(c *status.Cluster) {
		c.Margin = 0
		c.Members[1].Healthy, c.Members[1].Err, c.Members[1].Lag = false, "connection refused", 0
		c.Members[1].DBSize, c.Members[1].DBInUse, c.Members[1].Quota, c.Members[1].Version = 0, 0, 0, ""
		c.Findings = []status.Finding{
			{Severity: "warning", Code: "quorum-at-limit", Text: "the next failure costs quorum: 2 of 3 voters are able, and it takes 2",
				Remedy: "bring the members back that are not healthy, or replace them"},
			{Severity: "warning", Code: "member-down", Member: "m2", Text: "m2 does not answer: connection refused", Remedy: "start it, or: etcdha member replace m2 NEW --peer-urls=URL"},
		}
	}},
	{"one voter", status.Safe, "its one voter cannot be lost", func(c *status.Cluster) {
		c.Members, c.Margin = Members(1), 0
		c.Findings = []status.Finding{{Severity: "warning", Code: "quorum-at-limit", Text: "there is one voter: nothing is left if it fails",
			Remedy: "etcdha member add NAME --peer-urls=URL --wait 10m"}}
	}},
	{"quorum lost", status.Danger, "m1 has had no leader for 12 minutes; what it holds was saved as", func(c *status.Cluster) {
		c.Quorum, c.Margin, c.Members[0].Leader = false, -1, false
		for i := 1; i < 3; i++ {
			c.Members[i].Healthy, c.Members[i].Err = false, "context deadline exceeded"
		}
		saved := c.Stores[0].Backups[len(c.Stores[0].Backups)-1]
		saved.ID, saved.Emergency, saved.Started, saved.Rung = "20260731T141245Z-m1-emergency", true, Now.Add(-11*time.Minute), status.Listed
		saved.Finished = saved.Started.Add(7 * time.Second)
		eachStore(c, func(s *status.Store) { s.Backups = append(s.Backups, saved) })
		c.Emergency = &status.Emergency{Member: "m1", Since: Now.Add(-12 * time.Minute), Backup: saved.ID}
		c.Findings = []status.Finding{{Severity: "critical", Code: "quorum-lost", Member: "m1",
			Text:   "quorum is lost: of 3 voters too few reach each other. Left to recover from, the newest first: m1 (term 7, index 912345)",
			Remedy: "1. save what the survivors have\n2. start the members that are down\n3. if a majority is gone for good, restore"}}
		c.Troubles = append([]status.Trouble{{Time: Now.Add(-11 * time.Minute), What: "emergency",
			Err: "m1 reports no leader for 60 s: its state was saved", Hint: "bring members back until a majority runs"}}, c.Troubles...)
	}},
	{"unreachable", status.Danger, "the members cannot be seen: dial 10.0.0.11:2379", func(c *status.Cluster) {
		c.Members, c.Quorum, c.Margin = nil, false, 0
		c.Err, c.Hint = "dial 10.0.0.11:2379: no route to host", "is the network of the members reachable from here?"
	}},
	{"stale", status.Danger, "the members were last looked at 20 minutes ago", func(c *status.Cluster) {
		c.Observed = Now.Add(-20 * time.Minute)
		eachStore(c, func(s *status.Store) { s.Read = c.Observed })
	}},
	{"store stale", status.Warning, "the store s3 was last read 20 minutes ago", func(c *status.Cluster) { c.Stores[0].Read = Now.Add(-20 * time.Minute) }},
	{"store never read", status.Danger, "the store local was not looked into yet", func(c *status.Cluster) { c.Stores[1].Read, c.Stores[1].Backups = time.Time{}, nil }},
	{"store new", status.Safe, "can restore to 21 minutes ago", func(c *status.Cluster) { c.Stores[1].Backups, c.Since = nil, Now.Add(-30*time.Minute) }},
	{"nothing taken yet", status.Warning, "there is no backup yet", func(c *status.Cluster) {
		c.Since = Now.Add(-30 * time.Minute)
		eachStore(c, func(s *status.Store) { s.Backups = nil })
	}},
	{"job overdue", status.Warning, "defrag is overdue", func(c *status.Cluster) {
		j := c.Job(config.Defrag)
		j.Last.Slot = j.Expected.Add(-7 * day)
	}},
	{"verification failed", status.Danger, "verify-sample failed 9 hours ago: m2 is damaged", func(c *status.Cluster) {
		failed(c.Job(config.VerifySample), status.Verification, "m2 is damaged", "")
	}},
	{"verification broken off", status.Warning, "verify failed", func(c *status.Cluster) {
		failed(c.Job(config.Verify), "deadline", "the deadline of 24h has passed", "")
	}},
	{"one store down", status.Warning, "the store s3 cannot be read", func(c *status.Cluster) { c.Stores[0].Err, c.Stores[0].Hint = "list: 503 Service Unavailable", "" }},
	{"store behind", status.Danger, "the newest backups are not in the store local", func(c *status.Cluster) { c.Stores[1].Backups = c.Stores[1].Backups[:20] }},
	{"unread entry", status.Warning, "1 entry in the store s3 cannot be read", func(c *status.Cluster) { c.Stores[0].Unread = 1 }},
	{"all stores down", status.Danger, "no store can be read", func(c *status.Cluster) {
		eachStore(c, func(s *status.Store) { s.Err = "list: access denied" })
	}},
	{"certificate near", status.Warning, `the certificate "server of m1" expires in 20 days`, func(c *status.Cluster) { c.Certificates[1].Expires = Now.Add(20 * day) }},
	{"certificate nearer", status.Danger, `the certificate "client" expires in 3 days`, func(c *status.Cluster) { c.Certificates[0].Expires = Now.Add(3 * day) }},
	{"certificate expired", status.Danger, `the certificate "client" has expired 5 hours ago`, func(c *status.Cluster) { c.Certificates[0].Expires = Now.Add(-5 * time.Hour) }},
	{"near quota", status.Warning, "the db of m3 has 85 % of its quota", func(c *status.Cluster) { c.Members[2].DBSize = c.Members[2].Quota * 85 / 100 }},
	{"at quota", status.Danger, "the db of m3 has 97 % of its quota", func(c *status.Cluster) { c.Members[2].DBSize = c.Members[2].Quota * 97 / 100 }},
	{"alarm", status.Danger, "there is an alarm: NOSPACE on m1", func(c *status.Cluster) { c.Alarms = []string{"NOSPACE on m1"} }},
	{"job failing", status.Warning, "prune failed 10 hours ago: list s3: access denied", func(c *status.Cluster) {
		failed(c.Job(config.Prune), "store", "list s3: access denied", "the key needs s3:ListBucket")
	}},
	{"nobody active", status.Danger, "no instance runs the jobs", func(c *status.Cluster) { c.Active, c.Here = "", false }},
	{"nothing scheduled", status.Warning, "no backups are scheduled", func(c *status.Cluster) { c.Jobs = c.Jobs[1:] }},
	{"many members", status.Safe, "can lose 3 members", func(c *status.Cluster) {
		c.Members, c.Margin = Members(7), 3
		learner := Members(8)[7]
		learner.Learner, learner.Lag = true, 2_311_004
		c.Members = append(c.Members, learner)
		for i := range c.Members {
			c.Members[i].Zone = fmt.Sprintf("eu-central-1%c", 'a'+i%3)
		}
	}},
}

// In returns a cluster in the situation of that name.
func In(situation, cluster string) status.Cluster {
	i := slices.IndexFunc(Situations, func(s Situation) bool { return s.Name == situation })
	return Situations[i].Cluster(cluster)
}

// Many are so many clusters, of which every seventh is in one of the situations.
func Many(n int) []status.Cluster {
	clusters := make([]status.Cluster, n)
	for i := range clusters {
		s := Situations[0]
		if i%7 == 3 {
			s = Situations[i/7%len(Situations)]
		}
		clusters[i] = s.Cluster(fmt.Sprintf("cluster-%03d", i))
	}
	return clusters
}

func eachStore(c *status.Cluster, do func(*status.Store)) {
	for i := range c.Stores {
		do(&c.Stores[i])
	}
}

func eachBackup(c *status.Cluster, do func(*status.Backup)) {
	eachStore(c, func(s *status.Store) {
		for i := range s.Backups {
			do(&s.Backups[i])
		}
	})
}

// failed makes the last run of a job one that failed.
func failed(j *status.Job, kind, err, hint string) {
	j.Last.Passed, j.Last.Attempts, j.Last.Summary = false, 5, ""
	j.Last.Kind, j.Last.Error, j.Last.Hint = kind, err, hint
}
