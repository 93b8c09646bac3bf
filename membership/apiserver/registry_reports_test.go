package apiserver

import (
	"slices"
	"testing"
	"time"
)

// said is a report in the words of a test.
func said(host string, revision int64, ago time.Duration, addresses ...string) Report {
	return Report{Host: host, File: "/a.yaml", Addresses: addresses, ClusterID: 0xc1, Revision: revision, At: morning.Add(-ago)}
}

func TestReportsFindTheirApiserver(t *testing.T) {
	at := func(address string, port int) Endpoint { return Endpoint{Address: address, Port: port} }
	elsewhere := func(r Report) Report { r.ClusterID = 0xc2; return r }
	second := func(r Report) Report { r.File = "/b.yaml"; return r }
	const long = 3 * renewal
	for name, c := range map[string]struct {
		named   []Endpoint
		reports []Report
		want    []string
	}{
		"by any of its addresses, or by its name": {
			[]Endpoint{at("10.0.0.1", 1), at("192.0.2.22", 1), at("192.0.2.25", 1)},
			[]Report{said("cp-1", 9, 0, "192.0.2.21", "10.0.0.1"), said("192.0.2.22", 8, 0)},
			[]string{"cp-1 (10.0.0.1)", "192.0.2.22", "192.0.2.25"},
		},
		"one that is not named right now counts": {
			[]Endpoint{at("192.0.2.21", 1)}, []Report{said("cp-1", 9, 0, "192.0.2.21"), said("cp-3", 2, long, "192.0.2.23")},
			[]string{"cp-1 (192.0.2.21)", "cp-3"},
		},
		"a host with a new name": {
			[]Endpoint{at("192.0.2.24", 1)}, []Report{said("cp-4", 2, long, "192.0.2.24"), said("cp-4b", 9, 0, "192.0.2.24")},
			[]string{"cp-4b (192.0.2.24)"},
		},
		"a host with a new name that is not named right now": {
			nil, []Report{said("cp-4", 2, long, "192.0.2.24"), said("cp-4b", 9, 0, "192.0.2.24", "10.0.0.4")},
			[]string{"cp-4b"},
		},
		"two hosts with one address in common": {
			nil, []Report{said("cp-1", 2, long, "192.0.2.21", "192.0.2.9"), said("cp-2", 9, 0, "192.0.2.22", "192.0.2.9")},
			[]string{"cp-2", "cp-1"},
		},
		"two apiservers on one host, both alive": {
			[]Endpoint{at("192.0.2.24", 1)}, []Report{said("cp-4", 9, 0, "192.0.2.24"), second(said("cp-4", 8, renewal, "192.0.2.24"))},
			[]string{"cp-4 (192.0.2.24)", "cp-4 (192.0.2.24)"},
		},
		"two apiservers on one host, whose agent only one has": {
			[]Endpoint{at("192.0.2.24", 1), at("192.0.2.24", 2)}, []Report{said("cp-4", 9, 0, "192.0.2.24"), second(said("cp-4", 2, long, "192.0.2.24"))},
			[]string{"cp-4 (192.0.2.24)", "cp-4 (192.0.2.24)"},
		},
		"two apiservers on one host, of which one has reported": {
			[]Endpoint{at("192.0.2.24", 1), at("192.0.2.24", 2)}, []Report{said("cp-4", 9, 0, "192.0.2.24")},
			[]string{"cp-4 (192.0.2.24)", "192.0.2.24"},
		},
		"what a restore has brought along": {
			[]Endpoint{at("10.9.0.1", 1)}, []Report{elsewhere(said("prod-1", 99, long, "192.0.2.21"))},
			[]string{"10.9.0.1"},
		},
		"what a restore has brought along, on the same hosts": {
			[]Endpoint{at("192.0.2.21", 1), at("192.0.2.22", 1)},
			[]Report{elsewhere(said("cp-1", 99, 0, "192.0.2.21")), said("cp-1b", 9, 0, "192.0.2.21"), elsewhere(said("cp-2", 99, 0, "192.0.2.22"))},
			[]string{"cp-1b (192.0.2.21)", "cp-2 (192.0.2.22)"},
		},
	} {
		var got []string
		for _, e := range withReports(c.named, c.reports, 0xc1) {
			got = append(got, e.Label())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
}

// An agent reports every hour. One that has not for two has ended.
func TestAnAgentThatHasEnded(t *testing.T) {
	for _, c := range []struct {
		agent bool
		ago   time.Duration
		want  bool
	}{{true, renewal + time.Minute, true}, {true, 2 * renewal, false}, {false, 0, false}} {
		r := said("cp-1", 1, c.ago)
		r.Agent = c.agent
		if got := r.Followed(morning); got != c.want {
			t.Errorf("agent %v, %s ago: %v", c.agent, c.ago, got)
		}
	}
}
