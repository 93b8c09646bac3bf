// Package apiserver keeps kube-apiservers on the members of their etcd: it
// decides which servers belong in --etcd-servers, changes the file that carries
// them, and sees the apiserver through its restart.
//
// What always holds: one apiserver of a cluster restarts at a time, and only
// while another one is ready, if there is another one; the new list was tried
// with the apiserver's own certificates before the file is touched; at any
// moment the old or the new file is in place, whole; a restart that does not
// come to a ready apiserver is taken back; who is killed on the way leaves a
// record, by which the next call goes on.
//
// Package etcdservers knows the files. Members and locks come from a [Cluster];
// what apiservers and operators tell each other lies in etcd below [Prefix].
package apiserver

import (
	"context"
	"errors"
	"time"
)

// Prefix is where etcdha keeps what it knows in etcd.
const Prefix = "etcdha/"

// Topology is where an apiserver finds its etcd.
type Topology string

const (
	// Stacked: the list names the member on the apiserver's own host, and nothing
	// else. kubeadm writes https://127.0.0.1:2379.
	Stacked Topology = "stacked"
	// External: the list names members anywhere.
	External Topology = "external"
)

// Member is a member of etcd as far as apiservers are concerned.
type Member struct {
	ID         uint64
	Name       string   // "" until it has started for the first time
	ClientURLs []string // none until it has started
	Learner    bool
	Healthy    bool   // it answers, follows the leader and has caught up
	Trouble    string // why it is not healthy
	Withdrawn  bool   // it is marked: about to be removed
}

// Label is what people call the member.
func (m Member) Label() string {
	if m.Name == "" {
		return formatID(m.ID)
	}
	return m.Name
}

// Membership is what was observed of the members.
type Membership struct {
	ClusterID uint64
	Members   []Member // in order of ids
	// Revision is etcd's when the marks were read.
	Revision int64
}

// Cluster observes an etcd and locks it.
type Cluster interface {
	// Observe returns the members with their marks. It fails without quorum.
	Observe(ctx context.Context) (*Membership, error)
	// Lock makes the caller the only one who restarts an apiserver. It waits until
	// whoever has the lock has released it, or has died; wait is told who that is.
	Lock(ctx context.Context, h Holder, wait func(holder string)) (Lock, error)
}

// Lock is held until it is released, or, after a crash, until its lease ends.
type Lock interface {
	// Held is an error unless nobody else can act before d has passed from now.
	Held(d time.Duration) error
	Release(ctx context.Context) error
}

// Server is what an etcd server says of itself, asked with an apiserver's own
// certificate and CA.
type Server struct {
	ClusterID uint64
	MemberID  uint64
	Learner   bool
	Leader    bool // it knows a leader
}

// Dialer asks etcd servers as the apiserver would.
type Dialer interface {
	// Ask asks the server at a client URL. It reads through the quorum, since that is
	// what the apiserver needs.
	Ask(ctx context.Context, server string) (Server, error)
}

// Process is a running kube-apiserver.
type Process struct {
	PID   int
	Start uint64 // in clock ticks since boot: with PID it names a process for good
	Args  []string
}

// Host is the machine that an apiserver runs on.
type Host interface {
	// APIServers are the processes of kube-apiservers, those in containers as well.
	APIServers(ctx context.Context) ([]Process, error)
	// Addresses are the host's own, without loopback.
	Addresses() ([]string, error)
}

// Prober asks apiservers for their health.
type Prober interface {
	// Ready asks https://address/readyz, of which the check of etcd is one. An error
	// says why it is not ready, and is an [ErrNotReady] then, or why nobody can tell.
	Ready(ctx context.Context, address string) error
}

// ErrNotReady marks that an apiserver does not serve: nobody listens at its address,
// or it says itself that a check fails.
var ErrNotReady = errors.New("the apiserver is not ready")
