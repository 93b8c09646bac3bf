package metrics

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

func TestAHealthyCluster(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.want("config_last_load_successful", " 1")
	w.want("config_last_load_success_timestamp_seconds", " 1.7723628e+09")
	w.want("cluster_active", `{cluster="a"} 1`)
	w.want("cluster_active_info", `{active="cp-1",cluster="a"} 1`)
	w.want("cluster_up", `{cluster="a"} 1`)
	w.want("cluster_last_observation_timestamp_seconds", `{cluster="a"} 1.77236637e+09`)
	w.want("cluster_has_quorum", `{cluster="a"} 1`)
	w.want("cluster_quorum_margin", `{cluster="a"} 1`)
	w.want("cluster_alarm")
	w.want("emergency", `{cluster="a"} 0`)
	w.want("emergency_saved")
	w.want("member_healthy", `{cluster="a",member="m1"} 1`, `{cluster="a",member="m2"} 1`, `{cluster="a",member="m3"} 1`)
	w.want("member_is_leader", `{cluster="a",member="m1"} 1`, `{cluster="a",member="m2"} 0`, `{cluster="a",member="m3"} 0`)
	w.want("member_is_learner", `{cluster="a",member="m1"} 0`, `{cluster="a",member="m2"} 0`, `{cluster="a",member="m3"} 1`)
	w.want("member_lag_entries", `{cluster="a",member="m1"} 0`, `{cluster="a",member="m2"} 7`, `{cluster="a",member="m3"} 0`)
	w.want("member_db_size_bytes", `{cluster="a",member="m1"} 3e+09`, `{cluster="a",member="m2"} 2e+09`, `{cluster="a",member="m3"} 2e+09`)
	w.want("member_db_in_use_bytes", `{cluster="a",member="m1"} 1e+09`, `{cluster="a",member="m2"} 1e+09`, `{cluster="a",member="m3"} 1e+09`)
	w.want("member_db_quota_bytes", `{cluster="a",member="m1"} 8e+09`, `{cluster="a",member="m2"} 8e+09`)
	w.want("certificate_expiry_timestamp_seconds", `{certificate="client",cluster="a"} 1.7801424e+09`)
}

// Emergency backups and damaged ones are no backup that an ordinary restore would take.
func TestBackupsOfAStore(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.want("store_up", `{cluster="a",store="local"} 1`, `{cluster="a",store="s3"} 1`)
	w.want("backup_last_success_age_seconds", `{cluster="a",store="local"} 172800`, `{cluster="a",store="s3"} 3600`)
	w.want("backup_last_success_timestamp_seconds", `{cluster="a",store="local"} 1.7721936e+09`, `{cluster="a",store="s3"} 1.7723628e+09`)
	w.want("backup_overdue", `{cluster="a",store="local"} 1`, `{cluster="a",store="s3"} 0`)
	w.want("backup_last_verified_age_seconds", `{cluster="a",store="local"} 172800`, `{cluster="a",store="s3"} 172800`)
	w.want("backup_last_rehearsed_age_seconds", `{cluster="a",store="local"} 259200`, `{cluster="a",store="s3"} 259200`)
	w.want("backup_revision", `{cluster="a",store="local"} 2000`, `{cluster="a",store="s3"} 3000`)
	w.want("backup_duration_seconds", `{cluster="a",store="local"} 20`, `{cluster="a",store="s3"} 20`)
	w.want("backup_db_size_bytes", `{cluster="a",store="local"} 1e+09`, `{cluster="a",store="s3"} 1e+09`)
	w.want("backup_stored_size_bytes", `{cluster="a",store="local"} 1e+08`, `{cluster="a",store="s3"} 1e+08`)
	w.want("store_backups", `{cluster="a",kind="emergency",store="local"} 0`, `{cluster="a",kind="ordinary",store="local"} 2`,
		`{cluster="a",kind="emergency",store="s3"} 1`, `{cluster="a",kind="ordinary",store="s3"} 4`)
	w.want("store_backup_bytes", `{cluster="a",store="local"} 2e+08`, `{cluster="a",store="s3"} 5e+08`)
	w.want("store_damaged_backups", `{cluster="a",store="local"} 0`, `{cluster="a",store="s3"} 1`)
	w.want("store_unreadable_entries", `{cluster="a",store="local"} 1`, `{cluster="a",store="s3"} 0`)
}

func TestAStoreWithoutBackups(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.of().Stores = []status.Store{{Name: "new", Read: noon}, {Name: "unknown"}, {Name: "down", Err: "no route"}}
	w.want("store_up", `{cluster="a",store="down"} 0`, `{cluster="a",store="new"} 1`)
	w.want("store_last_read_timestamp_seconds", `{cluster="a",store="new"} 1.7723664e+09`)
	for _, name := range []string{"success", "verified", "rehearsed"} {
		w.want("backup_last_"+name+"_timestamp_seconds", `{cluster="a",store="new"} 0`)
		w.want("backup_last_" + name + "_age_seconds")
	}
	// A restart does not end an alert: what could never be read is believed to be empty.
	w.want("backup_overdue", `{cluster="a",store="down"} 1`, `{cluster="a",store="new"} 1`, `{cluster="a",store="unknown"} 1`)
	w.of().Since = ago(4 * time.Minute) // it takes its time to read them, and to make the first backup
	w.want("backup_overdue", `{cluster="a",store="new"} 0`)
	w.want("backup_revision")
	w.want("store_backups", `{cluster="a",kind="emergency",store="new"} 0`, `{cluster="a",kind="ordinary",store="new"} 0`)

	w.of().Jobs = w.of().Jobs[1:] // nobody promised backups
	w.want("backup_overdue")
}

// A store that cannot be read now has the ages that it had.
func TestAStoreThatIsDown(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.of().Stores[0].Err = "connection refused"
	w.want("store_up", `{cluster="a",store="local"} 1`, `{cluster="a",store="s3"} 0`)
	w.want("backup_last_success_age_seconds", `{cluster="a",store="local"} 172800`, `{cluster="a",store="s3"} 3600`)
}

// What was seen before the members went out of sight would look like health.
func TestMembersOutOfSight(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.of().Err = "no member answers"
	w.want("cluster_up", `{cluster="a"} 0`)
	w.want("cluster_last_observation_timestamp_seconds", `{cluster="a"} 1.77236637e+09`)
	for _, gone := range []string{"cluster_has_quorum", "cluster_quorum_margin", "member_healthy", "member_db_size_bytes"} {
		w.want(gone)
	}
	w.fleet.Clusters[0] = status.Cluster{Name: "a"} // just started
	for _, unknown := range []string{"cluster_up", "cluster_last_observation_timestamp_seconds", "cluster_active_info", "cluster_has_quorum"} {
		w.want(unknown)
	}
	w.want("cluster_active", `{cluster="a"} 0`)
}

func TestMembersInTrouble(t *testing.T) {
	w := newWorld(t, healthy("a"))
	c := w.of()
	c.Quorum, c.Margin, c.Alarms = false, -1, []string{"NOSPACE on m1", "CORRUPT on m2", "CORRUPT on m2"}
	c.Emergency = &status.Emergency{Member: "m1", Since: ago(2 * time.Minute)}
	c.Members[1] = status.Member{ID: "143fa8e1a51b8a1b", Name: "m2", Err: "no answer"}
	w.want("cluster_has_quorum", `{cluster="a"} 0`)
	w.want("cluster_quorum_margin", `{cluster="a"} -1`)
	w.want("cluster_alarm", `{alarm="CORRUPT",cluster="a",member="m2"} 1`, `{alarm="NOSPACE",cluster="a",member="m1"} 1`)
	w.want("member_healthy", `{cluster="a",member="m1"} 1`, `{cluster="a",member="m2"} 0`, `{cluster="a",member="m3"} 1`)
	w.want("member_lag_entries", `{cluster="a",member="m1"} 0`, `{cluster="a",member="m3"} 0`)
	w.want("member_db_size_bytes", `{cluster="a",member="m1"} 3e+09`, `{cluster="a",member="m3"} 2e+09`)
	w.want("emergency", `{cluster="a"} 1`)
	w.want("emergency_saved", `{cluster="a"} 0`)
	c.Emergency.Backup = "20260301T115900Z-1000"
	w.want("emergency_saved", `{cluster="a"} 1`)
}

// An instance that looks no more has nothing to say: what it saw would be a member in perfect health.
func TestWhatWasSeenLongAgo(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.of().Observed, w.of().Stores[0].Read = ago(status.Stale), ago(status.Stale)
	w.want("cluster_has_quorum", `{cluster="a"} 1`)
	w.want("store_up", `{cluster="a",store="local"} 1`, `{cluster="a",store="s3"} 1`)
	w.of().Observed, w.of().Stores[0].Read = ago(status.Stale+time.Second), ago(status.Stale+time.Second)
	for _, gone := range []string{"cluster_up", "cluster_has_quorum", "cluster_quorum_margin", "member_healthy", "member_db_size_bytes", "cluster_alarm"} {
		w.want(gone)
	}
	w.want("store_up", `{cluster="a",store="local"} 1`)
	w.want("store_last_read_timestamp_seconds", `{cluster="a",store="local"} 1.77236634e+09`, `{cluster="a",store="s3"} 1.772366099e+09`)
	w.want("cluster_last_observation_timestamp_seconds", `{cluster="a"} 1.772366099e+09`)
	w.of().Err = "no member answers" // which is news, whenever they were seen last
	w.want("cluster_up", `{cluster="a"} 0`)
}

// Names come from outside: none of them may cost the rest of the metrics.
func TestNamesThatAreNoHelp(t *testing.T) {
	w := newWorld(t, healthy("a"))
	c := w.of()
	c.Members[0].Name, c.Members[1].Name = "", "m3"
	c.Certificates = append(c.Certificates, status.Certificate{Name: "client", Expires: noon.Add(time.Hour)})
	w.want("member_healthy", `{cluster="a",member="113fa8dca51b8a12"} 1`, `{cluster="a",member="143fa8e1a51b8a1b"} 1`, `{cluster="a",member="153fa8e1a51b8a1c"} 1`)
	w.want("certificate_expiry_timestamp_seconds", `{certificate="client",cluster="a"} 1.77237e+09`)

	c.Members[2].Name = "\xff\n\"}"
	text := w.scraped()
	if !strings.Contains(text, `etcdha_cluster_quorum_margin{cluster="a"} 1`) || strings.Contains(text, "\xff") {
		t.Errorf("scraped:\n%s", text)
	}
}

// scraped is what Prometheus gets.
func (w *world) scraped() string {
	w.t.Helper()
	r := httptest.NewRecorder()
	w.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	if r.Code != 200 {
		w.t.Errorf("status %d", r.Code)
	}
	return r.Body.String()
}

func TestJobs(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.want("job_next_run_timestamp_seconds", `{cluster="a",job_name="health"} 1.77236646e+09`, `{cluster="a",job_name="rehearse"} 1.7728848e+09`, `{cluster="a",job_name="snapshot"} 1.77236658e+09`)
	w.want("job_running", `{cluster="a",job_name="health"} 0`, `{cluster="a",job_name="rehearse"} 1`, `{cluster="a",job_name="snapshot"} 0`)
	w.want("job_last_run_successful", `{cluster="a",job_name="health"} 1`, `{cluster="a",job_name="snapshot"} 1`)
	w.want("job_last_run_age_seconds", `{cluster="a",job_name="health"} 359820`, `{cluster="a",job_name="snapshot"} 3420`)
	w.want("job_last_run_duration_seconds", `{cluster="a",job_name="health"} 120`, `{cluster="a",job_name="snapshot"} 120`)
	w.want("job_last_success_age_seconds", `{cluster="a",job_name="health"} 359820`, `{cluster="a",job_name="snapshot"} 3420`)
	w.want("job_overdue", `{cluster="a",job_name="rehearse"} 0`, `{cluster="a",job_name="snapshot"} 0`)
	w.want("job_expected_timestamp_seconds", `{cluster="a",job_name="health"} 1.77236634e+09`, `{cluster="a",job_name="rehearse"} 1.7716752e+09`, `{cluster="a",job_name="snapshot"} 1.7723628e+09`)
}

func TestAJobThatIsOverdue(t *testing.T) {
	w := newWorld(t, healthy("a"))
	snapshot, rehearse := &w.of().Jobs[0], &w.of().Jobs[1]
	snapshot.Last.Slot = snapshot.Expected.Add(-time.Second)
	w.want("job_overdue", `{cluster="a",job_name="rehearse"} 0`, `{cluster="a",job_name="snapshot"} 1`)
	// Without any record it has to run since the cluster is known, however often the file was read since.
	rehearse.Expected = w.of().Since.Add(time.Second)
	w.want("job_overdue", `{cluster="a",job_name="rehearse"} 1`, `{cluster="a",job_name="snapshot"} 1`)
}

func TestRunsAreCounted(t *testing.T) {
	w := newWorld(t, healthy("a"))
	w.want("job_runs_total", // from the start, so that the first one is an increase
		`{cluster="a",job_name="health",result="failure"} 0`, `{cluster="a",job_name="health",result="success"} 0`,
		`{cluster="a",job_name="rehearse",result="failure"} 0`, `{cluster="a",job_name="rehearse",result="success"} 0`,
		`{cluster="a",job_name="snapshot",result="failure"} 0`, `{cluster="a",job_name="snapshot",result="success"} 0`)
	w.want("job_failures_total")
	r := record("a", config.Snapshot, ago(30*time.Minute))
	w.Ran(*r)
	r = record("a", config.Snapshot, ago(20*time.Minute))
	r.Passed, r.Kind, r.Missed = false, "store", 3
	w.Ran(*r)
	w.of().Jobs[0].Last = r
	r.Kind, r.Missed = "something with 1234 in it", 0
	w.Ran(*r)
	w.want("job_missed_slots_total", `{cluster="a",job_name="health"} 0`, `{cluster="a",job_name="rehearse"} 0`, `{cluster="a",job_name="snapshot"} 3`)
	w.want("job_failures_total", `{cluster="a",job_name="snapshot",kind="other"} 1`, `{cluster="a",job_name="snapshot",kind="store"} 1`)
	w.want("job_runs_total",
		`{cluster="a",job_name="health",result="failure"} 0`, `{cluster="a",job_name="health",result="success"} 0`,
		`{cluster="a",job_name="rehearse",result="failure"} 0`, `{cluster="a",job_name="rehearse",result="success"} 0`,
		`{cluster="a",job_name="snapshot",result="failure"} 2`, `{cluster="a",job_name="snapshot",result="success"} 1`)
	w.want("job_last_run_successful", `{cluster="a",job_name="health"} 1`, `{cluster="a",job_name="snapshot"} 0`)
	// The record of a failure does not say when it was successful last; this instance has seen it.
	w.want("job_last_success_age_seconds", `{cluster="a",job_name="health"} 359820`, `{cluster="a",job_name="snapshot"} 1620`)
}

// A failure that was not known before shows since when it is known: whoever runs the jobs now has not seen
// the success before it.
func TestALastSuccessThatARecordKnows(t *testing.T) {
	w := newWorld(t, healthy("a"))
	r := w.of().Jobs[0].Last
	r.Passed, r.Kind, r.LastSuccess = false, "verification", ago(5*time.Hour)
	w.want("job_last_success_age_seconds", `{cluster="a",job_name="health"} 359820`, `{cluster="a",job_name="snapshot"} 18000`)
	w.want("job_last_failure_timestamp_seconds", `{cluster="a",job_name="snapshot",kind="verification"} 1.77236298e+09`)
	r.Kind = "something with 1234 in it"
	w.want("job_last_failure_timestamp_seconds", `{cluster="a",job_name="snapshot",kind="other"} 1.77236298e+09`)
}

func TestWebhooksAreCounted(t *testing.T) {
	w := newWorld(t)
	w.want("notifications_total")
	w.Use([]config.Webhook{{Name: "on-call"}, {Name: "chat"}}) // from zero on, so that the first failure is an increase
	w.want("notifications_total", `{result="failed",webhook="chat"} 0`, `{result="failed",webhook="on-call"} 0`,
		`{result="sent",webhook="chat"} 0`, `{result="sent",webhook="on-call"} 0`)
	w.Use([]config.Webhook{{Name: "on-call"}})
	w.Notified("on-call", nil)
	w.Notified("on-call", errors.New("it answered 500"))
	w.Notified("on-call", nil)
	w.want("notifications_total", `{result="failed",webhook="on-call"} 1`, `{result="sent",webhook="on-call"} 2`)
	w.Use([]config.Webhook{{Name: "on-call"}})
	w.want("notifications_total", `{result="failed",webhook="on-call"} 1`, `{result="sent",webhook="on-call"} 2`)
}

func TestAConfigurationThatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.fleet.Config.Err = "config.yaml:7: no such key"
	w.want("config_last_load_successful", " 0")
	w.want("config_last_load_success_timestamp_seconds", " 1.7723628e+09")
}

func TestWhatIsGoneLeavesNothing(t *testing.T) {
	w := newWorld(t, healthy("a"), healthy("b"))
	w.Ran(*record("b", config.Snapshot, noon))
	if text := w.scraped(); !strings.Contains(text, `cluster="b"`) || !strings.Contains(text, `member="m3"`) || !strings.Contains(text, `store="local"`) {
		t.Fatalf("scraped:\n%s", text)
	}
	b := w.fleet.Clusters[1]
	w.fleet.Clusters = w.fleet.Clusters[:1]
	c := w.of()
	c.Members, c.Stores, c.Jobs, c.Active = c.Members[:2], c.Stores[:1], c.Jobs[:2], "cp-2"
	text := w.scraped()
	for _, gone := range []string{`cluster="b"`, `member="m3"`, `store="local"`, `job_name="health"`, `active="cp-1"`} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	if len(w.runs) != 2 {
		t.Errorf("kept: %v", w.runs)
	}
	w.fleet.Clusters = append(w.fleet.Clusters, b)
	if text := w.scraped(); !strings.Contains(text, `etcdha_job_runs_total{cluster="b",job_name="snapshot",result="success"} 0`) {
		t.Errorf("it begins anew:\n%s", text)
	}
}
