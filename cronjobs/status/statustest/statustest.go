// Package statustest makes up clusters for tests of what shows them.
package statustest

import (
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// Now is when the clusters are looked at.
var Now = time.Date(2026, 7, 31, 14, 23, 45, 0, time.UTC)

const (
	day = 24 * time.Hour
	gib = 1 << 30
)

// Fleet is what an instance knows that watches these clusters.
func Fleet(clusters ...status.Cluster) status.Fleet {
	return status.Fleet{
		Instance: "node-a", Version: "v0.9.0", Now: Now, Clusters: clusters,
		Config: status.Config{File: "/etc/etcdha/config.yaml", Loaded: Now.Add(-50 * time.Hour)},
	}
}

// Healthy is a cluster of which all is well: three members in three zones, and two stores.
func Healthy(name string) status.Cluster {
	backups := Backups(Now)
	return status.Cluster{
		Name: name, Since: Now.Add(-50 * time.Hour), Active: "node-a", Here: true, Observed: Now.Add(-20 * time.Second),
		ID: "cdf818194e3a8c32", Members: Members(3), Quorum: true, Margin: 1,
		Stores: []status.Store{
			{Name: "s3", URL: "s3://backups/etcd", Read: Now.Add(-20 * time.Second), Backups: backups},
			{Name: "local", URL: "/var/backups/etcd", Read: Now.Add(-20 * time.Second), Backups: slices.Clone(backups[len(backups)-30:])},
		},
		Certificates: []status.Certificate{
			{Name: "client", Expires: Now.Add(212 * day)},
			{Name: "server of m1", Expires: Now.Add(318 * day)},
		},
		Jobs: Jobs(name),
	}
}

// Members are so many in up to three zones. The first one leads and is on this host.
func Members(n int) []status.Member {
	var members []status.Member
	for i := range n {
		members = append(members, status.Member{
			ID: fmt.Sprintf("8e9e05c52164694%x", i), Name: fmt.Sprintf("m%d", i+1), Zone: string(rune('a' + i%3)), Version: "3.6.16",
			Leader: i == 0, Local: i == 0, Healthy: true, Lag: uint64(i),
			DBSize: 1288490188 + int64(i)<<20, DBInUse: 805306368 + int64(i)<<20, Quota: 8 * gib,
		})
	}
	return members
}

// Backups are those that hourly snapshots and a usual policy leave before now: the last day's of
// each hour, the last two weeks' of each day, and one of each week before.
func Backups(now time.Time) []status.Backup {
	var backups []status.Backup
	hour := now.Truncate(time.Hour)
	add := func(age time.Duration, rung status.Rung) {
		at := hour.Add(-age).Add(2 * time.Minute)
		days := int64(age / day)
		b := status.Backup{
			ID: at.Format("20060102T150405Z") + fmt.Sprintf("-r%d", 48_211_000-days*90_000-int64(age/time.Hour)%24*3_700), Lineage: "cdf818194e3a8c32",
			Started: at, Finished: at.Add(9*time.Second + time.Duration(age/time.Hour*37%5)*time.Second),
			Revision: 48_211_000 - days*90_000, DBSize: 1288490188 - days*6<<20 - int64(age/time.Hour)*37%11<<19, StoredSize: 310 << 20,
			Member: []string{"m2", "m3"}[int(age/time.Hour)%2], Rung: rung,
		}
		if rung >= status.Verified {
			b.Verified = now.Truncate(7 * day).Add(2 * time.Hour)
			if b.Verified.Before(b.Started) {
				b.Verified = now.Add(-5 * time.Hour)
			}
		}
		if rung == status.Rehearsed {
			b.Rehearsed = b.Started.Add(20 * time.Minute)
			b.Rehearsal, b.RehearsalTime = Stages(), b.Rehearsed
		}
		backups = append(backups, b)
	}
	for weeks := 7; weeks >= 2; weeks-- {
		add(time.Duration(weeks)*7*day+12*time.Hour, status.Rehearsed)
	}
	for days := 13; days >= 1; days-- {
		rung := status.Verified
		if days%7 == 0 {
			rung = status.Rehearsed
		}
		add(time.Duration(days)*day+12*time.Hour, rung)
	}
	for hours := 23; hours >= 0; hours-- {
		rung := status.Listed
		switch {
		case hours == 12:
			rung = status.Rehearsed
		case hours > 18:
			rung = status.Verified
		case hours%4 == 3:
			rung = status.Sampled
		}
		add(time.Duration(hours)*time.Hour, rung)
	}
	return backups
}

// Stages are those of a rehearsal that passed.
func Stages() []status.Stage {
	var stages []status.Stage
	for i, name := range []string{"restore", "boot", "leases", "alarms", "hash", "read", "keys", "write",
		"bumped restore", "bumped boot", "bumped leases", "bumped alarms", "bumped content", "bumped read", "bumped history", "bumped write"} {
		stages = append(stages, status.Stage{Name: name, Verdict: "match",
			Detail: "3 members as they have to be", Seconds: []float64{2.31, 0.94, 0.02, 0.01, 0.38, 0.12, 0.71, 0.05}[i%8]})
	}
	stages[2].Verdict, stages[2].Detail = "not-comparable", "no lease outlives the rehearsal"
	return stages
}

// Jobs are all jobs, each of which has passed.
func Jobs(cluster string) []status.Job {
	jobs := []status.Job{}
	for _, j := range []struct {
		name     config.JobName
		spec     string
		every    time.Duration
		offset   time.Duration
		took     time.Duration
		attempts int
		summary  string
	}{
		{config.Snapshot, "0 * * * *", time.Hour, 2 * time.Minute, 11 * time.Second, 1, "1.2 GiB at revision 48211000, from m2, in s3 and local"},
		{config.VerifySample, "30 4 * * *", day, 4*time.Hour + 30*time.Minute, 95 * time.Second, 1, "9 backups, 2.1 GiB read"},
		{config.Verify, "0 2 * * 0", 7 * day, 2 * time.Hour, 11 * time.Minute, 2, "49 backups verified"},
		{config.Rehearse, "20 2 * * *", day, 2*time.Hour + 20*time.Minute, 9 * time.Second, 1, "16 stages passed with 3 members"},
		{config.Prune, "45 3 * * *", day, 3*time.Hour + 45*time.Minute, 2 * time.Second, 1, "3 backups removed, 51 kept"},
		{config.Defrag, "0 5 * * 6", 7 * day, 5 * time.Hour, 14 * time.Second, 1, "0.4 GiB freed on 3 members"},
		{config.Health, "@every 1m", time.Minute, 0, time.Second, 1, "3 of 3 members healthy"},
	} {
		last := Now.Truncate(j.every).Add(j.offset)
		if last.After(Now) {
			last = last.Add(-j.every)
		}
		jobs = append(jobs, status.Job{
			Name: j.name, Schedule: j.spec, Next: last.Add(j.every), Expected: last.Add(-j.every),
			Last: &status.Record{
				Format: 1, Cluster: cluster, Job: j.name, Slot: last, Started: last, Finished: last.Add(j.took),
				Attempts: j.attempts, Passed: true, Summary: j.summary, Instance: "node-a", Etcdha: "v0.9.0",
			},
		})
	}
	return jobs
}
