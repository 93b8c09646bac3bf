package apiserver

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/internal/fail"
)

var morning = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// A mark, a report that comes after it, and the end of the mark, in a real etcd that
// holds what a real kube-apiserver has stored.
func TestRegistry(t *testing.T) {
	e := startEtcd(t, "one")
	r := NewRegistry(ways{e.endpoint: e}.conn, []string{"http://127.0.0.1:1", e.endpoint}, "")
	if found, err := r.Endpoints(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("without Kubernetes: %+v, %v", found, err)
	}
	if marks, revision, err := r.Withdrawals(t.Context()); err != nil || len(marks) != 0 || revision == 0 {
		t.Errorf("at first: %+v at %d, %v", marks, revision, err)
	}
	put(t, e, "/registry/"+endpointsKey, string(stored(t, "endpoints.pb")))
	put(t, e, "/registry/"+leasesPrefix+"192.0.2.10", string(stored(t, "masterlease.pb")))
	if found, err := r.Endpoints(t.Context()); err != nil || !reflect.DeepEqual(found, []Endpoint{{"192.0.2.10", 47581, nil}}) {
		t.Errorf("with Kubernetes: %+v, %v", found, err)
	}

	m3 := Withdrawal{ID: 0x133fa8dea51b8a15, Name: "m3", Who: "ops@cp-1", Since: morning}
	if err := r.Withdraw(t.Context(), m3, Withdrawal{ID: 7, Name: "m4", Since: morning}); err != nil {
		t.Fatal(err)
	}
	if value := get(t, e, "etcdha/withdrawn/133fa8dea51b8a15"); value != `{"name":"m3","who":"ops@cp-1","since":"2026-11-21T03:00:00Z"}` {
		t.Errorf("the mark is %s", value)
	}
	put(t, e, "etcdha/withdrawn/8", "not JSON") // it marks all the same
	put(t, e, "etcdha/withdrawn/m9", "{}")      // it does not: that is no id
	marks, revision, err := r.Withdrawals(t.Context())
	if err != nil || len(marks) != 3 || marks[2].ID != 8 {
		t.Fatalf("marks %+v, %v", marks, err)
	}
	m3.Revision = marks[0].Revision
	if !reflect.DeepEqual(marks[0], m3) || m3.Revision == 0 || m3.Revision != marks[1].Revision || revision <= m3.Revision {
		t.Errorf("the first mark is %+v, read at %d", marks[0], revision)
	}

	report := Report{Host: "cp-1", Addresses: []string{"192.0.2.10"}, File: "/etc/kubernetes/manifests/kube-apiserver.yaml", Topology: External,
		Servers: []string{"https://192.0.2.1:2379"}, ClusterID: clusterID(t, e), Members: []uint64{0xa1, 1<<64 - 1}, Agent: true, At: morning, Revision: revision}
	if err := r.Report(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	found, err := r.Endpoints(t.Context())
	if err != nil || len(found) != 1 || found[0].Report == nil {
		t.Fatalf("with a report: %+v, %v", found, err)
	}
	if !reflect.DeepEqual(*found[0].Report, report) {
		t.Errorf("got  %+v\nwant %+v", *found[0].Report, report)
	}
	if left := Unconfirmed(found, report.ClusterID, m3, nil); len(left) != 0 {
		t.Errorf("it has not confirmed: %+v", left)
	}
	// Marked anew, the member has to be confirmed anew.
	if err := r.Withdraw(t.Context(), m3); err != nil {
		t.Fatal(err)
	}
	if marks, _, err = r.Withdrawals(t.Context()); err != nil || len(Unconfirmed(found, report.ClusterID, marks[0], nil)) != 1 {
		t.Errorf("marked anew: %+v, %v", marks, err)
	}
	if err := r.Readmit(t.Context(), m3.ID, 7, 8, 9); err != nil {
		t.Fatal(err)
	}
	if marks, _, err = r.Withdrawals(t.Context()); err != nil || len(marks) != 0 {
		t.Errorf("in the end: %+v, %v", marks, err)
	}
}

// Who has left for good is forgotten, and nobody else.
func TestRegistryForgets(t *testing.T) {
	e := startEtcd(t, "one")
	r := NewRegistry(ways{e.endpoint: e}.conn, []string{e.endpoint}, "")
	id := clusterID(t, e)
	for _, host := range []string{"cp-1", "cp-2"} {
		if err := r.Report(t.Context(), Report{Host: host, File: "/a.yaml", ClusterID: id, Members: []uint64{1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Forget(t.Context(), Report{Host: "cp-1", File: "/a.yaml"}); err != nil {
		t.Fatal(err)
	}
	if found, err := r.Endpoints(t.Context()); err != nil || len(found) != 1 || found[0].Label() != "cp-2" {
		t.Errorf("%+v, %v", found, err)
	}
}

// Several clusters of Kubernetes may share an etcd, each below its prefix.
func TestRegistryReadsBelowThePrefix(t *testing.T) {
	e := startEtcd(t, "one")
	put(t, e, "/registry/"+leasesPrefix+"192.0.2.10", "")
	put(t, e, "/second/"+leasesPrefix+"192.0.2.20", "")
	for prefix, want := range map[string][]Endpoint{
		"": {{Address: "192.0.2.10"}}, "/registry": {{Address: "192.0.2.10"}},
		"/second": {{Address: "192.0.2.20"}}, "second/": {{Address: "192.0.2.20"}}, "/third": nil,
	} {
		r := NewRegistry(ways{e.endpoint: e}.conn, []string{e.endpoint}, prefix)
		found, err := r.Endpoints(t.Context())
		if err != nil || !reflect.DeepEqual(found, want) {
			t.Errorf("%q: %+v, %v", prefix, found, err)
		}
		if kept, err := r.Kubernetes(t.Context()); err != nil || kept != (want != nil) {
			t.Errorf("%q: Kubernetes is kept there: %v, %v", prefix, kept, err)
		}
	}
}

func clusterID(t *testing.T, e *etcd) uint64 {
	t.Helper()
	members, err := e.client.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return members.Header.ClusterId
}

func put(t *testing.T, e *etcd, key, value string) {
	t.Helper()
	if _, err := e.client.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, e *etcd, key string) string {
	t.Helper()
	r, err := e.client.Get(t.Context(), key)
	if err != nil || len(r.Kvs) != 1 {
		t.Fatalf("%s: %v, %v", key, r, err)
	}
	return string(r.Kvs[0].Value)
}

// A removal begins at the endpoint of the member that goes. What takes the mark back
// has to find another way.
func TestRegistryFindsOtherMembers(t *testing.T) {
	e := startEtcd(t, "one")
	other := *e
	w := ways{"http://m1.example:2379": &other}
	r := NewRegistry(w.conn, []string{"http://m1.example:2379"}, "")
	if err := r.Withdraw(t.Context(), Withdrawal{ID: 7, Name: "m1"}); err != nil {
		t.Fatal(err)
	}
	members, err := e.client.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other.closed = true
	if err := r.Readmit(t.Context(), 7); !errors.Is(err, errClosed) {
		t.Errorf("nobody is there: %v", err)
	}
	w[members.Members[0].ClientURLs[0]] = e // what the member calls itself
	if err := r.Readmit(t.Context(), 7); err != nil {
		t.Errorf("through another member: %v", err)
	}
	if marks, _, err := r.Withdrawals(t.Context()); err != nil || len(marks) != 0 {
		t.Errorf("%+v, %v", marks, err)
	}
}

// An endpoint of another cluster is not told anything.
func TestRegistryKeepsToOneCluster(t *testing.T) {
	one, two := startEtcd(t, "one"), startEtcd(t, "two")
	r := NewRegistry(ways{one.endpoint: one, two.endpoint: two}.conn, []string{one.endpoint, two.endpoint}, "")
	if _, _, err := r.Withdrawals(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.closed = true
	err := r.Withdraw(t.Context(), Withdrawal{ID: 7, Name: "m1"})
	if err == nil || !strings.Contains(err.Error(), two.endpoint+": is of cluster ") || !errors.Is(err, errClosed) {
		t.Errorf("error %v", err)
	}
	if r, err := two.client.Get(t.Context(), "etcdha/withdrawn/7"); err != nil || r.Count != 0 {
		t.Errorf("the other cluster has %v, %v", r, err)
	}
}

func TestRegistryInAnAlarm(t *testing.T) {
	e := startEtcd(t, "one")
	r := NewRegistry(ways{e.endpoint: e}.conn, []string{e.endpoint}, "")
	if err := r.Withdraw(t.Context(), Withdrawal{ID: 7, Name: "m1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := pb.NewMaintenanceClient(e.client.ActiveConnection()).Alarm(t.Context(), &pb.AlarmRequest{
		Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NOSPACE}); err != nil {
		t.Fatal(err)
	}
	if err := r.Withdraw(t.Context(), Withdrawal{ID: 8, Name: "m2"}); !errors.Is(err, ErrAlarmed) {
		t.Errorf("a mark: %v", err)
	}
	if marks, _, err := r.Withdrawals(t.Context()); err != nil || len(marks) != 1 {
		t.Errorf("marks can be read: %+v, %v", marks, err)
	}
	if err := r.Readmit(t.Context(), 7); err != nil {
		t.Errorf("a mark can be taken back: %v", err)
	}
}

func TestReportsThatCannotBe(t *testing.T) {
	e := startEtcd(t, "one")
	r := NewRegistry(ways{e.endpoint: e}.conn, []string{e.endpoint}, "")
	for host, file := range map[string]string{"": "/a", "a/b": "/a", "a": "b"} {
		if err := r.Report(t.Context(), Report{Host: host, File: file}); !errors.Is(err, fail.ErrUsage) {
			t.Errorf("host %q, file %q: %v", host, file, err)
		}
	}
	put(t, e, "etcdha/apiserver/cp-1", "not JSON")
	if _, err := r.Endpoints(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "read etcdha/apiserver/cp-1: ") {
		t.Errorf("a report that nobody can read: %v", err)
	}
}
