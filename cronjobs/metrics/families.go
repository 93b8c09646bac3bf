package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdha/etcdha/cronjobs/status"
)

// family is one metric with all its labels.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	desc       *prometheus.Desc
}

// families are all of this package, in the order in which docs/metrics.md has them.
var families []*family

func declare(kind prometheus.ValueType, name, help string, labels ...string) *family {
	name = "etcdha_" + name
	f := &family{name: name, help: help, kind: kind, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
	families = append(families, f)
	return f
}

func gauge(name, help string, labels ...string) *family {
	return declare(prometheus.GaugeValue, name, help, labels...)
}

func counter(name, help string, labels ...string) *family {
	return declare(prometheus.CounterValue, name, help, labels...)
}

// This instance.
var (
	buildInfo      = gauge("build_info", "Always 1; the version of etcdha and that of Go.", "version", "goversion")
	configLoaded   = gauge("config_last_load_successful", "1 if the configuration file could be read the last time, 0 if it has errors and an older one stays in use. A change of the section server is in use only after a restart.")
	configLoadedAt = gauge("config_last_load_success_timestamp_seconds", "When the configuration in use was read, in seconds since 1970.")
	notifications  = counter("notifications_total", "Events for a webhook by result: sent, or failed for those that it did not take in time.", "webhook", "result")
)

// A cluster and its members.
var (
	clusterActive   = gauge("cluster_active", "1 if this instance runs the jobs of the cluster.", "cluster")
	clusterActiveIs = gauge("cluster_active_info", "Always 1; the name of the instance that runs the jobs of the cluster, as this one knows it.", "cluster", "active")
	clusterUp       = gauge("cluster_up", "1 if the members could be looked at the last time, 0 if not; not there before the first time, and once that is more than 5 minutes ago.", "cluster")
	clusterSeen     = gauge("cluster_last_observation_timestamp_seconds", "When the members were last looked at, in seconds since 1970.", "cluster")
	clusterQuorum   = gauge("cluster_has_quorum", "1 if there is a quorum. Like all of the members it is there only while etcdha_cluster_up is 1.", "cluster")
	clusterMargin   = gauge("cluster_quorum_margin", "Voters that can be lost with a quorum left; negative without a quorum.", "cluster")
	clusterAlarm    = gauge("cluster_alarm", "Always 1; there while etcd has the alarm.", "cluster", "alarm", "member")
	memberHealthy   = gauge("member_healthy", "1 if the member answers, follows the leader and has applied what it has to.", "cluster", "member")
	memberLeader    = gauge("member_is_leader", "1 if the member is the leader.", "cluster", "member")
	memberLearner   = gauge("member_is_learner", "1 if the member is a learner.", "cluster", "member")
	memberLag       = gauge("member_lag_entries", "Raft entries by which the member is behind what the leader has committed; not there while the member is not healthy.", "cluster", "member")
	memberDB        = gauge("member_db_size_bytes", "Size of the member's db file.", "cluster", "member")
	memberInUse     = gauge("member_db_in_use_bytes", "Part of the db file that a defragmentation would leave.", "cluster", "member")
	memberQuota     = gauge("member_db_quota_bytes", "Size of the db file at which etcd stops to write; not there where that is not known.", "cluster", "member")
	certificate     = gauge("certificate_expiry_timestamp_seconds", "When a certificate expires, in seconds since 1970.", "cluster", "certificate")
	emergency       = gauge("emergency", "1 while the member on this host has reported no leader for a minute or longer.", "cluster")
	emergencySaved  = gauge("emergency_saved", "1 if what that member has was backed up, 0 if not yet; there during an emergency.", "cluster")
)

// A store of a cluster. The newest backup is the newest ordinary one: emergency backups and
// those that were found damaged do not count.
var (
	storeUp        = gauge("store_up", "1 if the store could be read the last time, 0 if not; what follows is then of the time before. Not there before the first time, and once it was read more than 5 minutes ago.", "cluster", "store")
	storeRead      = gauge("store_last_read_timestamp_seconds", "When the store was last read, in seconds since 1970.", "cluster", "store")
	backupAt       = gauge("backup_last_success_timestamp_seconds", "When the newest backup was started, in seconds since 1970; 0 if there is none.", "cluster", "store")
	backupAge      = gauge("backup_last_success_age_seconds", "How long ago the newest backup was started; not there if there is none.", "cluster", "store")
	backupOverdue  = gauge("backup_overdue", "1 if the newest backup is older than the last slot but one of the job snapshot, if there is none since that slot, or if the store could not be read within 5 minutes after the start.", "cluster", "store")
	verifiedAt     = gauge("backup_last_verified_timestamp_seconds", "When the newest backup that was verified since it was stored was started, in seconds since 1970; 0 if there is none.", "cluster", "store")
	verifiedAge    = gauge("backup_last_verified_age_seconds", "How long ago that one was started; not there if there is none.", "cluster", "store")
	rehearsedAt    = gauge("backup_last_rehearsed_timestamp_seconds", "When the newest backup that was rehearsed was started, in seconds since 1970; 0 if there is none.", "cluster", "store")
	rehearsedAge   = gauge("backup_last_rehearsed_age_seconds", "How long ago that one was started; not there if there is none.", "cluster", "store")
	backupDB       = gauge("backup_db_size_bytes", "Plain size of the newest backup.", "cluster", "store")
	backupStored   = gauge("backup_stored_size_bytes", "Size of the newest backup as it is stored, compressed and sealed.", "cluster", "store")
	backupRevision = gauge("backup_revision", "Revision of etcd that the newest backup holds.", "cluster", "store")
	backupDuration = gauge("backup_duration_seconds", "How long it took to take the newest backup.", "cluster", "store")
	storeBackups   = gauge("store_backups", "Number of backups in the store by kind: ordinary, or emergency.", "cluster", "store", "kind")
	storeBytes     = gauge("store_backup_bytes", "Size of all backups as they are stored.", "cluster", "store")
	storeDamaged   = gauge("store_damaged_backups", "Number of backups that were found damaged.", "cluster", "store")
	storeUnread    = gauge("store_unreadable_entries", "Number of entries that are no backup that can be read.", "cluster", "store")
)

// A job of a cluster. Which outcomes there were is asked of the stores, so that all instances show
// the same; what is counted is of this instance. Durations are gauges of the last run: a histogram
// of some ten buckets would be more than half of all series, and jobs that run once a day give it nothing to show.
var (
	jobNext      = gauge("job_next_run_timestamp_seconds", "When the job will run next, in seconds since 1970.", "cluster", "job_name")
	jobRunning   = gauge("job_running", "1 while this instance runs the job.", "cluster", "job_name")
	jobExpected  = gauge("job_expected_timestamp_seconds", "The last slot but one that is past, in seconds since 1970: there should be a run for it or for a later one.", "cluster", "job_name")
	jobOverdue   = gauge("job_overdue", "1 if there is no such run although the job was known by then, whatever its outcome. Not there for the job health, whose runs leave no record while nothing changes.", "cluster", "job_name")
	jobLastAt    = gauge("job_last_run_timestamp_seconds", "When the last run ended, in seconds since 1970.", "cluster", "job_name")
	jobLastAge   = gauge("job_last_run_age_seconds", "How long ago the last run ended.", "cluster", "job_name")
	jobPassed    = gauge("job_last_run_successful", "1 if the last run was successful.", "cluster", "job_name")
	jobFailedAt  = gauge("job_last_failure_timestamp_seconds", "When the last run ended, in seconds since 1970, by the kind of its failure: "+oneOf(status.Kinds)+". Not there if it was successful.", "cluster", "job_name", "kind")
	jobDuration  = gauge("job_last_run_duration_seconds", "How long the last run took with all its tries.", "cluster", "job_name")
	jobSuccessAt = gauge("job_last_success_timestamp_seconds", "When the last successful run ended, in seconds since 1970; not there if none is known.", "cluster", "job_name")
	jobSuccess   = gauge("job_last_success_age_seconds", "How long ago the last successful run ended; likewise.", "cluster", "job_name")
	jobRuns      = counter("job_runs_total", "Runs of this instance by result: success, or failure.", "cluster", "job_name", "result")
	jobFailures  = counter("job_failures_total", "Failed runs of this instance by kind: "+oneOf(status.Kinds)+". From the first one on.", "cluster", "job_name", "kind")
	jobMissed    = counter("job_missed_slots_total", "Slots that had no run, as the runs of this instance have found.", "cluster", "job_name")
)

// oneOf puts words together as people do.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + ", or " + words[last]
}

// scrape is the answer to one question of Prometheus.
type scrape struct {
	ch  chan<- prometheus.Metric
	now time.Time
}

func (s *scrape) put(f *family, value float64, labels ...string) {
	metric, err := prometheus.NewConstMetric(f.desc, f.kind, value, labels...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(f.desc, err)
	}
	s.ch <- metric
}

// at shows a time that is known.
func (s *scrape) at(f *family, t time.Time, labels ...string) {
	if !t.IsZero() {
		s.put(f, float64(t.UnixMilli())/1000, labels...)
	}
}

// since shows how long ago something was that is known.
func (s *scrape) since(f *family, t time.Time, labels ...string) {
	if !t.IsZero() {
		s.put(f, s.now.Sub(t).Seconds(), labels...)
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
