package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

const (
	followedFile = "/etc/kubernetes/manifests/kube-apiserver.yaml"
	plainFile    = "/etc/kubernetes/apiserver.env"
)

// followed is a control-plane node in memory, with a clock of its own: an etcd with
// its marks and reports, one apiserver and its manifest, and a follower.
type followed struct {
	t        *testing.T
	clock    time.Time
	later    []event // in order
	log      bytes.Buffer
	follower *Follower
	options  FollowOptions
	looking  func() // before each look

	members  []Member
	noQuorum error
	revision int64
	marks    map[uint64]int64 // revision of the mark, by member
	reports  []Report
	holder   string // who else has the lock

	files    fstest.MapFS
	plain    bool // the list is in an environment file, which is quicker to read
	listed   []string
	running  []string          // servers of the process
	names    map[string]uint64 // whom a name leads to
	slowly   time.Duration     // that systemctl takes, where the apiserver is a unit
	notReady error
	left     func() // what a killed rewiring has left to end
	restarts []restart
	attempts int
	fails    func(servers []string) error // why a rewiring fails
}

type event struct {
	at time.Time
	do func()
}

type restart struct {
	at      time.Time
	servers []string
}

// newFollowed is a node whose apiserver uses the members m1, m2 and m3.
func newFollowed(t *testing.T) *followed {
	n := &followed{
		t: t, clock: time.Unix(1_700_000_000, 0), marks: make(map[uint64]int64), revision: 100,
		files: make(fstest.MapFS), looking: func() {},
	}
	for id := range uint64(3) {
		n.members = append(n.members, voter(id+1))
	}
	n.write(urls(1, 2, 3))
	n.running = urls(1, 2, 3)
	n.options = FollowOptions{
		FS: n.files, File: followedFile, Host: "cp1", Open: n.open,
		Now: func() time.Time { return n.clock }, Sleep: n.sleep, Log: slog.New(slog.NewTextHandler(&n.log, nil)),
	}
	n.start()
	return n
}

// start starts an agent that remembers nothing.
func (n *followed) start() {
	n.follower = NewFollower(n.options)
	n.follower.enter = func(s *Site) site { return &followedSite{n, s} }
}

// newPlain is one with an environment file, for tests of many looks.
func newPlain(t *testing.T) *followed {
	n := newFollowed(t)
	n.plain, n.options.File = true, plainFile
	n.write(urls(1, 2, 3))
	n.start()
	return n
}

// voter is a healthy voting member.
func voter(id uint64) Member {
	return Member{ID: id, Name: fmt.Sprintf("m%d", id), ClientURLs: urls(id), Healthy: true}
}

func urls(ids ...uint64) []string {
	var all []string
	for _, id := range ids {
		all = append(all, fmt.Sprintf("https://10.0.0.%d:2379", id))
	}
	return all
}

// write changes the manifest.
func (n *followed) write(servers []string) {
	n.listed = servers
	if n.plain {
		n.files[plainFile[1:]] = &fstest.MapFile{Data: fmt.Appendf(nil, "OPTS=\"--secure-port=6443 --etcd-servers=%s\"\n", strings.Join(servers, ","))}
		return
	}
	n.files[followedFile[1:]] = &fstest.MapFile{Data: fmt.Appendf(nil, `apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - name: kube-apiserver
    image: registry.k8s.io/kube-apiserver:v1.36.3
    command:
    - kube-apiserver
    - --advertise-address=10.0.0.11
    - --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
    - --etcd-servers=%s
    - --secure-port=6443
    - --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
    - --tls-private-key-file=/etc/kubernetes/pki/apiserver.key
`, strings.Join(servers, ","))}
}

// servers are those of the manifest.
func (n *followed) servers() []string {
	n.t.Helper()
	f, err := etcdservers.Read(n.files, n.options.File)
	if err != nil {
		n.t.Fatal(err)
	}
	return f.Servers
}

// at makes something happen.
func (n *followed) at(after time.Duration, do func()) {
	n.later = append(n.later, event{n.clock.Add(after), do})
	slices.SortStableFunc(n.later, func(a, b event) int { return a.at.Compare(b.at) })
}

// run follows for a while.
func (n *followed) run(d time.Duration) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	defer cancel()
	n.at(d, cancel)
	if err := n.follower.Run(ctx); err != nil {
		n.t.Fatalf("Run: %v", err)
	}
}

func (n *followed) sleep(ctx context.Context, d time.Duration) error {
	n.pass(ctx, d)
	return ctx.Err()
}

// pass lets time pass, and happen what was to happen, until ctx ends.
func (n *followed) pass(ctx context.Context, d time.Duration) {
	end := n.clock.Add(d)
	for len(n.later) > 0 && !n.later[0].at.After(end) {
		next := n.later[0]
		n.later = n.later[1:]
		n.clock = next.at
		if next.do(); ctx.Err() != nil {
			return
		}
	}
	n.clock = end
}

func (n *followed) member(id uint64) *Member {
	n.t.Helper()
	i := slices.IndexFunc(n.members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		n.t.Fatalf("there is no m%d", id)
	}
	return &n.members[i]
}

func (n *followed) remove(id uint64) {
	n.members = slices.DeleteFunc(n.members, func(m Member) bool { return m.ID == id })
}

// withdraw marks a member, anew if it is marked.
func (n *followed) withdraw(id uint64) {
	n.revision++
	n.marks[id] = n.revision
}

func (n *followed) open(context.Context, *etcdservers.File) (*Local, error) {
	n.looking()
	return &Local{
		Cluster: followedCluster{n}, Registry: followedRegistry{n: n}, Dialer: followedDialer{n},
		Addresses: []string{"10.0.0.11"}, Announced: []string{"10.0.0.11"}, Secure: true,
		Left: func() (bool, error) { return n.left != nil, nil },
		Site: func(context.Context) (*Site, error) {
			return &Site{Cluster: followedCluster{n}, Restart: n.systemctl}, nil
		},
		Close: func() {},
	}, nil
}
