package apiserver

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Withdrawal marks a member that is about to be removed. Marks are named by
// member ids, so that after a restore, which gives new ids, old ones mean nothing.
type Withdrawal struct {
	ID       uint64
	Name     string
	Who      string
	Since    time.Time
	Revision int64 // of etcd, at which it was marked
}

// Report is what an apiserver's host last said of it, once the process was seen
// to be ready with these servers.
type Report struct {
	Host      string   `json:"host"`      // its name
	Addresses []string `json:"addresses"` // that the apiserver may have announced itself with
	File      string   `json:"file"`
	Topology  Topology `json:"topology"`
	Servers   []string `json:"servers"`
	// Members are those that the servers belong to.
	ClusterID uint64    `json:"clusterID"`
	Members   []uint64  `json:"members"`
	Agent     bool      `json:"agent"` // it follows by itself
	At        time.Time `json:"at"`
	// Revision is etcd's when the members were observed: the host has seen marks up to there.
	Revision int64 `json:"revision"`
}

// Followed tells whether the apiserver's agent lives, as far as its report says: one
// that has missed two renewals has ended.
func (r *Report) Followed(now time.Time) bool { return r.Agent && now.Sub(r.At) < agentStale }

// agentStale allows one missed renewal.
const agentStale = 2 * renewal

// Endpoint is an apiserver that default/kubernetes names, with the report of its
// host, if there is one; or one that is known by its report only.
type Endpoint struct {
	Address string // IP; "" if only its report is known
	Port    int    // 0 if it is not known
	Report  *Report
}

// Label is what people call the apiserver.
func (e Endpoint) Label() string {
	switch {
	case e.Report == nil:
		return e.Address
	case e.Address == "" || e.Address == e.Report.Host:
		return e.Report.Host
	}
	return e.Report.Host + " (" + e.Address + ")"
}

// HostPort is where the apiserver answers, for one that has an address and a port.
func (e Endpoint) HostPort() string { return net.JoinHostPort(e.Address, strconv.Itoa(e.Port)) }

// Called tells whether that is the name or an address of the apiserver's host.
func (e Endpoint) Called(host string) bool {
	if host == e.Address && host != "" || e.Report != nil && strings.EqualFold(host, e.Report.Host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	return sameIP(ip, e.Address) || e.Report != nil && slices.ContainsFunc(e.Report.Addresses, func(a string) bool { return sameIP(ip, a) })
}

func sameIP(ip netip.Addr, address string) bool {
	other, err := netip.ParseAddr(address)
	return err == nil && ip.Unmap().WithZone("") == other.Unmap().WithZone("")
}

// Registry is what apiservers and operators tell each other, in etcd.
type Registry interface {
	// Withdraw marks members. A member that is marked already is marked anew.
	Withdraw(ctx context.Context, marks ...Withdrawal) error
	// Readmit takes marks away.
	Readmit(ctx context.Context, ids ...uint64) error
	// Withdrawals are the marks that there are, and the revision at which they were read.
	Withdrawals(ctx context.Context) ([]Withdrawal, int64, error)
	// Report replaces the report of the host and file.
	Report(ctx context.Context, r Report) error
	// Forget takes away the report of a host and file.
	Forget(ctx context.Context, r Report) error
	// Endpoints are the apiservers of the cluster: those that default/kubernetes
	// names in the etcd itself, and those that have reported of this cluster. One
	// that nobody can read is an unsafe error.
	Endpoints(ctx context.Context) ([]Endpoint, error)
	// Kubernetes tells whether anything of Kubernetes is kept in that etcd.
	Kubernetes(ctx context.Context) (bool, error)
}

// Unconfirmed returns those of the apiservers that have not been seen, since the
// mark was made, to do without the member. Those that are excused by host name
// or address are left out. It is pure.
//
// Who has reported counts, whether default/kubernetes names it or not: an
// apiserver that restarts, or whose host is down, is not named either, and comes
// back with the list that it had.
func Unconfirmed(endpoints []Endpoint, clusterID uint64, mark Withdrawal, excused []string) []Endpoint {
	var out []Endpoint
	for _, e := range endpoints {
		if !slices.ContainsFunc(excused, e.Called) && !e.confirms(clusterID, mark) {
			out = append(out, e)
		}
	}
	return out
}

// confirms tells whether the apiserver was seen without the member since the mark. A
// report that names no member at all confirms nothing.
func (e Endpoint) confirms(clusterID uint64, mark Withdrawal) bool {
	r := e.Report
	return r != nil && r.Revision >= mark.Revision && r.ClusterID == clusterID && len(r.Members) > 0 && !slices.Contains(r.Members, mark.ID)
}
