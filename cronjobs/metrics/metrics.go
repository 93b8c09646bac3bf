// Package metrics shows the state of the clusters to Prometheus.
//
// Every label has few values: names of the configuration, jobs, kinds of failure, and
// names of members. What a cluster that is gone has left goes with it. No label is named
// job or instance: Prometheus gives those to whom it asks.
package metrics

import (
	"net/http"
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// Metrics are those of one instance. What it knows is asked for at each scrape; only what
// is counted is kept here.
type Metrics struct {
	fleet    func() status.Fleet
	registry *prometheus.Registry

	mu       sync.Mutex
	runs     map[ofJob]*runs
	webhooks map[string]*notified
}

// New returns metrics of what fleet says when it is scraped.
func New(fleet func() status.Fleet) *Metrics {
	m := &Metrics{
		fleet: fleet, registry: prometheus.NewRegistry(),
		runs: make(map[ofJob]*runs), webhooks: make(map[string]*notified),
	}
	m.registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves /metrics. What cannot be shown, such as a name that is no UTF-8, does not
// take the rest with it.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Use says which webhooks there are, those of a new configuration. What was counted of others is
// forgotten.
func (m *Metrics) Use(hooks []config.Webhook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.webhooks
	m.webhooks = make(map[string]*notified)
	for _, h := range hooks {
		if m.webhooks[h.Name] = old[h.Name]; old[h.Name] == nil {
			m.webhooks[h.Name] = &notified{} // from zero on, so that the first one is an increase
		}
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	f := m.fleet()
	s := &scrape{ch: ch, now: f.Now}
	s.put(buildInfo, 1, f.Version, runtime.Version())
	s.put(configLoaded, bit(f.Config.Err == ""))
	s.at(configLoadedAt, f.Config.Loaded)
	for i := range f.Clusters {
		s.cluster(&f.Clusters[i])
	}
	m.counted(s, &f)
}
