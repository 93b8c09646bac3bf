package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// noon is when everything in these tests is looked at, in seconds 1772366400.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// world is a fleet that a test can change between scrapes.
type world struct {
	t     *testing.T
	fleet status.Fleet
	*Metrics
}

func newWorld(t *testing.T, clusters ...status.Cluster) *world {
	w := &world{t: t, fleet: status.Fleet{
		Instance: "cp-1", Version: "v1.2.3", Now: noon, Clusters: clusters,
		Config: status.Config{File: "/etc/etcdha/config.yaml", Loaded: ago(time.Hour)},
	}}
	w.Metrics = New(func() status.Fleet { return w.fleet })
	return w
}

// of is the only cluster of most tests.
func (w *world) of() *status.Cluster { return &w.fleet.Clusters[0] }

// want compares one metric, all of its series, with what is expected: lines without the name in front.
func (w *world) want(name string, lines ...string) {
	w.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.Metrics)
	for _, f := range families {
		if f.name != "etcdha_"+name {
			continue
		}
		var expected strings.Builder
		if len(lines) > 0 {
			fmt.Fprintf(&expected, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.typeName())
		}
		for _, line := range lines {
			fmt.Fprintf(&expected, "%s%s\n", f.name, line)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(expected.String()), f.name); err != nil {
			w.t.Error(err)
		}
		return
	}
	w.t.Errorf("no metric %s", name)
}

func (f *family) typeName() string {
	if f.kind == prometheus.CounterValue {
		return "counter"
	}
	return "gauge"
}

// healthy is a cluster of three members with backups in two stores.
func healthy(name string) status.Cluster {
	return status.Cluster{
		Name: name, Since: ago(2 * time.Hour), Active: "cp-1", Here: true, Observed: ago(30 * time.Second), ID: "cdf818194e3a8c32", Quorum: true, Margin: 1,
		Members: []status.Member{
			{ID: "113fa8dca51b8a12", Name: "m1", Leader: true, Healthy: true, DBSize: 3e9, DBInUse: 1e9, Quota: 8e9},
			{ID: "143fa8e1a51b8a1b", Name: "m2", Healthy: true, Lag: 7, DBSize: 2e9, DBInUse: 1e9, Quota: 8e9},
			{ID: "153fa8e1a51b8a1c", Name: "m3", Learner: true, Healthy: true, DBSize: 2e9, DBInUse: 1e9},
		},
		Stores: []status.Store{
			{Name: "s3", Read: ago(time.Minute), Backups: backups()},
			{Name: "local", Read: ago(time.Minute), Backups: backups()[:2], Unread: 1},
		},
		Certificates: []status.Certificate{{Name: "client", Expires: noon.Add(90 * 24 * time.Hour)}},
		Jobs: []status.Job{
			{Name: config.Snapshot, Schedule: "0 * * * *", Next: noon.Add(3 * time.Minute), Expected: ago(time.Hour), Last: record(name, config.Snapshot, ago(time.Hour))},
			{Name: config.Rehearse, Schedule: "0 3 * * 0", Next: noon.Add(6 * 24 * time.Hour), Expected: ago(8 * 24 * time.Hour), Running: ago(time.Minute), Attempt: 1},
			{Name: config.Health, Schedule: "@every 1m", Next: noon.Add(time.Minute), Expected: ago(time.Minute), Last: record(name, config.Health, ago(100*time.Hour))},
		},
	}
}

// backups are one of each rung, and an emergency backup, which is the newest.
func backups() []status.Backup {
	b := []status.Backup{
		{Rung: status.Rehearsed, Started: ago(72 * time.Hour)},
		{Rung: status.Verified, Started: ago(48 * time.Hour)},
		{Rung: status.Listed, Started: ago(time.Hour)},
		{Rung: status.Failed, Started: ago(30 * time.Minute)},
		{Rung: status.Listed, Started: ago(10 * time.Minute), Emergency: true},
	}
	for i := range b {
		b[i].ID = fmt.Sprintf("b%d", i)
		b[i].Finished = b[i].Started.Add(20 * time.Second)
		b[i].Revision, b[i].DBSize, b[i].StoredSize = int64(1000*(i+1)), 1e9, 1e8
	}
	return b
}

func record(cluster string, job config.JobName, slot time.Time) *status.Record {
	return &status.Record{
		Format: 1, Cluster: cluster, Job: job, Slot: slot, Started: slot.Add(time.Minute), Finished: slot.Add(3 * time.Minute),
		Attempts: 1, Passed: true, Instance: "cp-1",
	}
}
