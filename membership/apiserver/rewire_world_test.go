package apiserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// Times of the stand-in for kubelet, as the real one's.
const (
	noticeTime    = 20 * time.Second
	terminateTime = 30 * time.Second
	startTime     = 8 * time.Second
)

// node is a control-plane node that is simulated but for its files: a kubelet
// that runs what its manifests say, processes, and a clock that moves when
// somebody sleeps. All of it can be saved, so that it goes on after the process that
// simulates it was killed.
type node struct {
	Dir       string
	Clock     time.Time
	LookedAt  time.Time // when kubelet looked at its files
	Running   []simulated
	NextPID   int
	Seen      string // list that kubelet runs
	Broken    []string
	BadCert   []string // servers that refuse the certificate
	Clusters  map[string]uint64
	Learners  []string
	DownOther bool
	LockedAt  time.Time // by somebody who was killed, perhaps
	Locked    string
	LockOwner string
	Withdrawn []string // servers whose members are
	LockedIn  uint64   // id of the cluster that is locked; 0 is that of the servers
	Restarts  int
	Downtime  int // seconds without a process that answers

	t       testing.TB
	point   func(*node, string) // called wherever the process may be killed
	stages  []string
	waits   []string
	lockCtx context.Context // that the lock was taken with
	busy    map[int64]bool  // seconds in which its apiserver restarts
}

// simulated is a process of a kube-apiserver.
type simulated struct {
	Process
	Ready time.Time
	Ends  time.Time // zero: not asked to end
}

const manifestText = `apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=192.0.2.10
    - --secure-port=6443
    - --etcd-servers=%s # the members
    image: registry.example/kube-apiserver:v1.36.3
    name: kube-apiserver
`

var (
	three = []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"}
	five  = append(slices.Clone(three), "https://10.0.0.4:2379", "https://10.0.0.5:2379")
)

func newNode(t testing.TB, servers []string) *node {
	t.Helper()
	n := &node{Dir: t.TempDir(), Clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), NextPID: 4711, t: t, Clusters: make(map[string]uint64)}
	for _, s := range five {
		n.Clusters[s] = 0xc1
	}
	if err := os.Mkdir(n.manifests(), 0o755); err != nil {
		t.Fatal(err)
	}
	n.rewrite(servers)
	n.pass(time.Minute)
	n.Restarts, n.Downtime = 0, 0
	return n
}

func (n *node) manifests() string { return filepath.Join(n.Dir, "manifests") }
func (n *node) path() string      { return filepath.Join(n.manifests(), "kube-apiserver.yaml") }
func (n *node) copies() string    { return filepath.Join(n.Dir, "copies") }

func (n *node) file() *etcdservers.File {
	n.t.Helper()
	f, err := etcdservers.Read(os.DirFS("/"), n.path())
	if err != nil {
		n.t.Fatal(err)
	}
	return f
}

// rewrite gives the file other servers, as a person would.
func (n *node) rewrite(servers []string) {
	n.t.Helper()
	if err := os.WriteFile(n.path(), fmt.Appendf(nil, manifestText, strings.Join(servers, ",")), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// site is the node as a command sees it.
func (n *node) site() *Site {
	return &Site{
		Host: n, Prober: n, Dialer: n, Cluster: n, Own: "127.0.0.1:6443", Others: []string{"192.0.2.11:6443"},
		Copies: n.copies(), Who: "a test", Now: func() time.Time { return n.Clock }, Sleep: n.sleep, Reporter: n,
	}
}

func (n *node) reach(point string) {
	if n.point != nil {
		n.point(n, point)
	}
}

// Ready implements [Prober].
func (n *node) Ready(_ context.Context, address string) error {
	n.reach("ready")
	if address != "127.0.0.1:6443" && n.DownOther {
		return errors.New(address + ": connection refused")
	}
	if address != "127.0.0.1:6443" {
		return nil
	}
	return n.answers()
}

// APIServers implements [Host].
func (n *node) APIServers(context.Context) ([]Process, error) {
	n.reach("processes")
	all := []Process{{PID: 99, Start: 1, Args: []string{"kube-apiserver", "--advertise-address=192.0.2.11", "--secure-port=6443", "--etcd-servers=https://10.9.9.9:2379"}}}
	for _, p := range n.Running {
		all = append(all, p.Process)
	}
	return all, nil
}

// Addresses implements [Host].
func (n *node) Addresses() ([]string, error) { return []string{"192.0.2.10"}, nil }

// Ask implements [Dialer]. It is called at the same time for several servers.
func (n *node) Ask(_ context.Context, server string) (Server, error) {
	switch id, ok := n.Clusters[server]; {
	case slices.Contains(n.BadCert, server):
		return Server{}, errors.New(server + ": the server refuses this client certificate")
	case !ok:
		return Server{}, errors.New(server + ": connection refused")
	default:
		return Server{ClusterID: id, MemberID: memberAt(server), Leader: true, Learner: slices.Contains(n.Learners, server)}, nil
	}
}

// memberAt is the id of a member.
func memberAt(server string) uint64 {
	sum := sha256.Sum256([]byte(server))
	return binary.BigEndian.Uint64(sum[:])
}

// Observe implements [Cluster].
func (n *node) Observe(context.Context) (*Membership, error) {
	m := &Membership{ClusterID: n.LockedIn}
	for _, server := range slices.Sorted(maps.Keys(n.Clusters)) {
		m.ClusterID = cmp.Or(m.ClusterID, n.Clusters[server])
		m.Members = append(m.Members, Member{
			ID: memberAt(server), Name: parseServer(server).host, ClientURLs: []string{server}, Healthy: true,
			Withdrawn: slices.Contains(n.Withdrawn, server), Learner: slices.Contains(n.Learners, server),
		})
	}
	return m, nil
}

// Lock implements [Cluster].
func (n *node) Lock(ctx context.Context, h Holder, wait func(string)) (Lock, error) {
	n.reach("lock")
	for n.Locked != "" && n.LockOwner != h.Owner && n.Clock.Before(n.LockedAt.Add(LockTTL)) {
		wait(n.Locked)
		n.reach("lock waits")
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n.pass(time.Second)
	}
	n.lockCtx = ctx
	n.Locked, n.LockOwner, n.LockedAt = h.Who, h.Owner, n.Clock
	n.reach("locked")
	return &simulatedLock{n}, ctx.Err()
}

type simulatedLock struct{ n *node }

func (l *simulatedLock) Held(time.Duration) error {
	l.n.reach("held")
	if l.n.Locked == "" {
		return errors.New("the lock is lost")
	}
	return nil
}

func (l *simulatedLock) Release(ctx context.Context) error {
	l.n.reach("release")
	l.n.Locked = ""
	return ctx.Err()
}

// Doing, Waiting and Done implement [Reporter].
func (n *node) Doing(stage string) { n.stages = append(n.stages, stage); n.reach("doing " + stage) }
func (n *node) Done(result string) { n.stages = append(n.stages, "= "+result); n.reach("done") }
func (n *node) Waiting(why string) {
	if len(n.waits) == 0 || n.waits[len(n.waits)-1] != why {
		n.waits = append(n.waits, why)
	}
}

// save and load carry a node from one process to another.
func (n *node) save() {
	data, err := json.Marshal(n)
	if err == nil {
		err = os.WriteFile(filepath.Join(n.Dir, "node.json"), data, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

func loadNode(t testing.TB, dir string) *node {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "node.json"))
	n := &node{t: t}
	if err == nil {
		err = json.Unmarshal(data, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantFile fails unless the file is whole and has the list, and nothing else is
// in the directory of the manifests.
func (n *node) wantFile(servers []string) {
	n.t.Helper()
	data, err := os.ReadFile(n.path())
	if want := fmt.Sprintf(manifestText, strings.Join(servers, ",")); string(data) != want || err != nil {
		n.t.Errorf("the file is %v\n%s\nwant\n%s", err, data, want)
	}
	entries, err := os.ReadDir(n.manifests())
	if err != nil || len(entries) != 1 {
		n.t.Errorf("the directory of the manifests holds %v, %v", entries, err)
	}
}

// wantServing fails unless one process runs, with the list, and is ready.
func (n *node) wantServing(servers []string) {
	n.t.Helper()
	if err := n.answers(); err != nil || len(n.Running) != 1 || !slices.Equal(serversOf(n.Running[0].Process), servers) {
		n.t.Errorf("%v: %+v runs, want %q", err, n.Running, servers)
	}
}

// wantNothingLeft fails if there is a record of a change.
func (n *node) wantNothingLeft() {
	n.t.Helper()
	left, err := filepath.Glob(filepath.Join(n.copies(), "*change.json"))
	if err != nil || len(left) > 0 {
		n.t.Errorf("left behind: %q, %v", left, err)
	}
}

// noProcesses is a host on which no apiserver is to be seen.
type noProcesses struct{ Host }

func (noProcesses) APIServers(context.Context) ([]Process, error) { return nil, nil }
