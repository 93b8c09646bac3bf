package apiserver

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/etcdha/etcdha/internal/fail"
)

func TestUnconfirmed(t *testing.T) {
	mark := Withdrawal{ID: 0xa3, Name: "m3", Revision: 100}
	const cluster = 0xc1
	report := func(change func(*Report)) *Report {
		r := &Report{Host: "cp-1", Addresses: []string{"192.0.2.21", "2001:db8::21"}, ClusterID: cluster, Members: []uint64{0xa1, 0xa2}, Revision: 101}
		if change != nil {
			change(r)
		}
		return r
	}
	for name, c := range map[string]struct {
		report  *Report
		excused []string
		want    bool // it is unconfirmed
	}{
		"it was seen without the member":          {report: report(nil)},
		"nobody has reported":                     {want: true},
		"it had not seen the mark":                {report: report(func(r *Report) { r.Revision = 99 }), want: true},
		"it had just seen the mark":               {report: report(func(r *Report) { r.Revision = 100 })},
		"it reported of another cluster":          {report: report(func(r *Report) { r.ClusterID = 0xc2 }), want: true},
		"its list still has the member":           {report: report(func(r *Report) { r.Members = append(r.Members, 0xa3) }), want: true},
		"its list has nothing else":               {report: report(func(r *Report) { r.Topology, r.Members = Stacked, []uint64{0xa3} }), want: true},
		"excused by its address":                  {excused: []string{"cp-9", "192.0.2.21"}},
		"excused by its name":                     {report: report(func(r *Report) { r.Revision = 99 }), excused: []string{"CP-1"}},
		"excused by another address of its host":  {report: report(func(r *Report) { r.Revision = 99 }), excused: []string{"2001:DB8:0::21"}},
		"another host is excused":                 {report: report(func(r *Report) { r.Revision = 99 }), excused: []string{"cp-2", "192.0.2.22", ""}, want: true},
		"a name is no beginning of another":       {report: report(func(r *Report) { r.Revision = 99 }), excused: []string{"cp", "192.0.2.2"}, want: true},
		"nobody has reported, another is excused": {excused: []string{"cp-1"}, want: true},
		"its report names no members":             {report: report(func(r *Report) { r.Members = nil }), want: true},
	} {
		e := Endpoint{Address: "192.0.2.21", Port: 6443, Report: c.report}
		got := Unconfirmed([]Endpoint{e}, cluster, mark, c.excused)
		if want := c.want; (len(got) == 1 && reflect.DeepEqual(got[0], e)) != want || !want && len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// An apiserver that default/kubernetes does not name restarts, or its host is down.
	gone := Endpoint{Report: report(func(r *Report) { r.Revision = 99 })}
	here := Endpoint{Address: "192.0.2.22", Report: report(func(r *Report) { r.Host = "cp-2" })}
	if got := Unconfirmed([]Endpoint{here, gone}, cluster, mark, nil); len(got) != 1 || got[0].Label() != "cp-1" {
		t.Errorf("of two: %+v", got)
	}
	if got := Unconfirmed(nil, cluster, mark, nil); len(got) != 0 {
		t.Errorf("without apiservers: %+v", got)
	}
}

func TestEndpointsAreCalled(t *testing.T) {
	for _, c := range []struct {
		endpoint Endpoint
		label    string
		hostPort string
	}{
		{Endpoint{Address: "192.0.2.21", Port: 6443}, "192.0.2.21", "192.0.2.21:6443"},
		{Endpoint{Address: "2001:db8::21", Port: 6443, Report: &Report{Host: "cp-1"}}, "cp-1 (2001:db8::21)", "[2001:db8::21]:6443"},
		{Endpoint{Report: &Report{Host: "cp-1"}}, "cp-1", ":0"},
		{Endpoint{Address: "192.0.2.21", Port: 1, Report: &Report{Host: "192.0.2.21"}}, "192.0.2.21", "192.0.2.21:1"},
	} {
		if c.endpoint.Label() != c.label || c.endpoint.HostPort() != c.hostPort {
			t.Errorf("%+v is called %q, at %q", c.endpoint, c.endpoint.Label(), c.endpoint.HostPort())
		}
	}
}

// stored reads what a kube-apiserver 1.36.3 has stored; see testdata/registry/README.
func stored(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/registry", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecodeEndpoints(t *testing.T) {
	for name, want := range map[string][]Endpoint{
		"endpoints.pb":     {{Address: "192.0.2.10", Port: 47581}},
		"endpoints.json":   {{Address: "192.0.2.10", Port: 46169}},
		"masterlease.pb":   {{Address: "192.0.2.10"}},
		"masterlease.json": {{Address: "192.0.2.10"}},
	} {
		got, err := decodeEndpoints(stored(t, name))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Several subsets, and one that is not ready: it uses etcd all the same.
	const json = `{"kind":"Endpoints","subsets":[
		{"addresses":[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}],"ports":[{"name":"https","port":6443}]},
		{"notReadyAddresses":[{"ip":"10.0.0.3"}],"ports":[{"name":"https","port":6444}]}]}`
	want := []Endpoint{{"10.0.0.1", 6443, nil}, {"10.0.0.2", 6443, nil}, {"10.0.0.3", 6444, nil}}
	if got, err := decodeEndpoints([]byte(json)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("JSON: %+v, %v", got, err)
	}
	if got, err := decodeEndpoints(inProtobuf(
		subset(6443, subsetAddresses, "10.0.0.1", "10.0.0.2"), subset(6444, subsetNotReady, "10.0.0.3"))); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("protobuf: %+v, %v", got, err)
	}
}

func TestEndpointsThatCannotBeRead(t *testing.T) {
	whole := stored(t, "endpoints.pb")
	for name, value := range map[string]string{
		"encrypted":       "k8s:enc:aescbc:v1:key1:\x01\x02",
		"CBOR":            "\xd9\xd9\xf7\xa0",
		"half":            string(whole[:len(whole)/2]),
		"no object":       "k8s\x00",
		"half, JSON":      `{"subsets":[`,
		"empty":           "",
		"a field too far": "k8s\x00\x12\xff\xff\xff\xff\x0f",
	} {
		_, err := namedEndpoints([]*mvccpb.KeyValue{{Key: []byte(endpointsKey), Value: []byte(value)}}, nil)
		if !errors.Is(err, fail.ErrUnsafe) || !strings.Contains(err.Error(), endpointsKey) {
			t.Errorf("%s: %v", name, err)
		}
		// The keys of the leases are never encrypted.
		got, err := namedEndpoints([]*mvccpb.KeyValue{{Key: []byte(endpointsKey), Value: []byte(value)}},
			[]*mvccpb.KeyValue{{Key: []byte("/registry/masterleases/192.0.2.10"), Value: []byte("k8s:enc:")}})
		if want := []Endpoint{{Address: "192.0.2.10"}}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, with a lease: %+v, %v", name, got, err)
		}
	}
}

// The leases come first: an apiserver that has just started, and is not named yet,
// uses etcd already.
func TestApiserversThatHoldALease(t *testing.T) {
	lease := func(address string) *mvccpb.KeyValue { return &mvccpb.KeyValue{Key: []byte(leasesPrefix + address)} }
	got, err := namedEndpoints([]*mvccpb.KeyValue{{Key: []byte(endpointsKey), Value: stored(t, "endpoints.pb")}},
		[]*mvccpb.KeyValue{lease("192.0.2.10"), lease("192.0.2.11"), lease("2001:db8::1")})
	want := []Endpoint{{"192.0.2.10", 47581, nil}, {"192.0.2.11", 47581, nil}, {"2001:db8::1", 47581, nil}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	// Two that share an address: which of them holds the lease cannot be told.
	shared := `{"kind":"Endpoints","subsets":[{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":6443}]},{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":6444}]}]}`
	got, err = namedEndpoints([]*mvccpb.KeyValue{{Key: []byte(endpointsKey), Value: []byte(shared)}}, []*mvccpb.KeyValue{lease("10.0.0.1")})
	if want := []Endpoint{{"10.0.0.1", 6443, nil}, {"10.0.0.1", 6444, nil}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whatever bytes are stored there, they are read or refused.
func FuzzDecodeEndpoints(f *testing.F) {
	for _, name := range []string{"endpoints.pb", "endpoints.json", "masterlease.pb", "masterlease.json"} {
		f.Add(stored(f, name))
	}
	f.Add(inProtobuf(subset(6443, subsetNotReady, "10.0.0.3")))
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := decodeEndpoints(value)
		if err != nil && got != nil {
			t.Errorf("both %+v and %v", got, err)
		}
		for _, e := range got {
			if e.Port < 0 || e.Port > 65535 {
				t.Errorf("port %d", e.Port)
			}
		}
	})
}
