package apiserver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Values of the label "result" of etcdha_apiserver_rewires_total.
const (
	resultDone   = "done"
	resultFailed = "failed" // the old list is in place, or the log says what is not so
)

// metrics are those of one follower, in a registry of their own.
type metrics struct {
	registry *prometheus.Registry

	inStep, refused, servers, pending, observed, rewired, reported prometheus.Gauge

	rewires        *prometheus.CounterVec
	configFailures prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "etcdha", Subsystem: "apiserver", Name: name, Help: help})
		m.registry.MustRegister(g)
		return g
	}
	m.inStep = gauge("in_step", "1 if the list of the apiserver's file is what the members of etcd ask for, 0 if it is not or if that is not known.")
	m.refused = gauge("refused", "1 while the list has to stay although the members ask for a change, such as that of a stacked apiserver whose own member is withdrawn: somebody has to decide.")
	m.servers = gauge("servers", "Number of servers in the list of the apiserver's file.")
	m.pending = gauge("pending_seconds", "How long the members have been asking, without interruption, for the list that the file does not have yet; 0 if there is none.")
	m.observed = gauge("last_observation_timestamp_seconds", "When the members of etcd were last seen, in seconds since 1970.")
	m.rewired = gauge("last_rewire_timestamp_seconds", "When the apiserver was last seen ready with a new list, in seconds since 1970; 0 if not since the start of the agent.")
	m.reported = gauge("last_report_timestamp_seconds", "When it was last reported to etcd which servers the apiserver runs with, in seconds since 1970; 0 if not since the start of the agent.")
	m.rewires = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "etcdha", Subsystem: "apiserver", Name: "rewires_total",
		Help: "Attempts to give the apiserver another list, by result: done, or failed.",
	}, []string{"result"})
	m.configFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "etcdha", Subsystem: "apiserver", Name: "config_update_failures_total",
		Help: "Failed attempts to write the list to kubeadm's configuration in the cluster.",
	})
	m.registry.MustRegister(m.rewires, m.configFailures)
	for _, result := range []string{resultDone, resultFailed} {
		m.rewires.WithLabelValues(result) // so that the first one is an increase
	}
	return m
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
