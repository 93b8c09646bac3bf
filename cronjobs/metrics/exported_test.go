package metrics

import (
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

func TestNamesAndHelp(t *testing.T) {
	w := everything(t)
	problems, err := testutil.GatherAndLint(w.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "etcdha_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, f := range families {
		for _, label := range f.labels {
			if label == "job" || label == "instance" {
				t.Errorf("%s has the label %s, which is Prometheus' own", f.name, label)
			}
		}
		if !strings.HasSuffix(f.help, ".") {
			t.Errorf("help of %s: %s", f.name, f.help)
		}
	}
}

// everything is a fleet that has a series of each metric.
func everything(t *testing.T) *world {
	w := newWorld(t, healthy("a"))
	w.of().Alarms = []string{"NOSPACE on m1"}
	w.of().Emergency = &status.Emergency{}
	w.Notified("on-call", nil)
	failed := record("a", config.Snapshot, noon)
	failed.Passed = false
	w.Ran(*failed)
	w.of().Jobs[1].Last = failed
	text := w.scraped()
	for _, f := range families {
		if !strings.Contains(text, "\n"+f.name+"{") && !strings.Contains(text, "\n"+f.name+" ") {
			t.Errorf("no series of %s", f.name)
		}
	}
	for _, of := range []string{"\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(text, of) {
			t.Errorf("no%s", strings.TrimSpace(of))
		}
	}
	return w
}

// docs/metrics.md says of each metric what its help says, and of none that there is not.
func TestTheDocumentation(t *testing.T) {
	data, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, f := range families {
		name := f.name
		if len(f.labels) > 0 {
			name += "{" + strings.Join(f.labels, ",") + "}"
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", name, f.typeName(), f.help))
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "| `etcdha_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/metrics.md should have these rows, in this order:\n%s", strings.Join(want, "\n"))
	}
}

// A cluster more must not cost more series than a Prometheus can bear for hundreds.
func TestSeriesOfACluster(t *testing.T) {
	count := func(clusters ...status.Cluster) int {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(newWorld(t, clusters...).Metrics)
		n, err := testutil.GatherAndCount(registry)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	one := count(large("a", 100))
	two := count(large("a", 100), large("b", 100))
	t.Logf("%d series for a cluster of three stores, three members and seven jobs", two-one)
	if more := count(large("a", 1)); more != one {
		t.Errorf("%d series with one backup, %d with a hundred", more, one)
	}
	if two-one > 200 {
		t.Errorf("%d series for a cluster", two-one)
	}
}

// large is a cluster of three stores with so many backups in each.
func large(name string, backups int) status.Cluster {
	c := healthy(name)
	c.Stores = nil
	for _, store := range []string{"s3", "local", "far"} {
		s := status.Store{Name: store, Read: noon}
		for i := range backups {
			at := ago(time.Duration(backups-i) * time.Hour)
			s.Backups = append(s.Backups, status.Backup{ID: "b", Rung: status.Rehearsed, Started: at, Finished: at, StoredSize: 1})
		}
		c.Stores = append(c.Stores, s)
	}
	c.Jobs = nil
	for _, job := range config.JobNames {
		c.Jobs = append(c.Jobs, status.Job{Name: job, Next: noon, Expected: ago(time.Hour), Last: record(name, job, ago(time.Hour))})
	}
	return c
}

func BenchmarkScrapeOf500Clusters(b *testing.B) {
	var clusters []status.Cluster
	for i := range 500 {
		clusters = append(clusters, large(fmt.Sprintf("cluster-%d", i), 100))
	}
	m := New(func() status.Fleet { return status.Fleet{Now: noon, Clusters: clusters} })
	for b.Loop() {
		r := httptest.NewRecorder()
		m.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
		b.ReportMetric(float64(r.Body.Len()), "bytes")
	}
}
