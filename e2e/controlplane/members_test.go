//go:build linux

package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// operator does what the people or the automation of a site do for etcd: where
// the member list has a member that was never started, it starts its etcd with
// kubeadm's manifest, and where a host's member is not in the list any more, it
// takes the manifest and the data away.
type operator struct {
	s      *site
	client *clientv3.Client

	mu   sync.Mutex
	life map[string]uint64 // id of the member that each host has
}

// operate begins to do so, until the test ends.
func (s *site) operate() *operator {
	s.t.Helper()
	o := &operator{s: s, client: s.etcdClient(), life: make(map[string]uint64)}
	eventually(s.t, "the members are known", func() bool {
		list, err := o.list(s.t.Context())
		for _, m := range list {
			o.life[o.hostOf(m).name] = m.ID
		}
		return err == nil && !slices.ContainsFunc(list, func(m *pb.Member) bool { return m.Name == "" })
	})
	ctx, cancel := context.WithCancel(s.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if list, err := o.list(ctx); err == nil {
				o.follow(list)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	s.t.Cleanup(func() { cancel(); done.Wait() })
	return o
}

// etcdClient asks all hosts that may have a member.
func (s *site) etcdClient() *clientv3.Client {
	s.t.Helper()
	first := s.cps[0]
	pair, err := tls.LoadX509KeyPair(first.path(pki+"/etcd/healthcheck-client.crt"), first.path(pki+"/etcd/healthcheck-client.key"))
	check(s.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(first.read(pki + "/etcd/ca.crt")))
	client, err := clientv3.New(clientv3.Config{
		Endpoints: clientURLs(s.hosts()...), Logger: zap.NewNop(), DialTimeout: requestLimit,
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
	})
	check(s.t, err)
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// list is the cluster's own list of members.
func (o *operator) list(ctx context.Context) ([]*pb.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	resp, err := o.client.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	return resp.Members, nil
}

// names are the names of the members, in order; an unstarted one is its host's with a question mark.
func (o *operator) names() []string {
	list, _ := o.list(o.s.t.Context())
	var names []string
	for _, m := range list {
		switch {
		case m.Name == "":
			names = append(names, o.hostOf(m).name+"?")
		case m.IsLearner:
			names = append(names, m.Name+" learns")
		default:
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (o *operator) hostOf(m *pb.Member) *host {
	for _, h := range o.s.hosts() {
		if slices.Contains(m.PeerURLs, h.peerURL()) {
			return h
		}
	}
	panic(fmt.Sprintf("no host for the member %v", m))
}

// follow does on the hosts what the list asks for.
func (o *operator) follow(list []*pb.Member) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var initial []string
	ids := make(map[string]uint64)
	for _, m := range list {
		h := o.hostOf(m)
		ids[h.name] = m.ID
		initial = append(initial, h.peer())
	}
	for _, h := range o.s.hosts() {
		if id, had := o.life[h.name]; had && ids[h.name] != id {
			h.removeEtcd()
			delete(o.life, h.name)
		}
	}
	for _, m := range list {
		h := o.hostOf(m)
		if _, runs := o.life[h.name]; !runs && m.Name == "" {
			h.startEtcd(strings.Join(initial, ","), "existing")
			o.life[h.name] = m.ID
		}
	}
}

// removeEtcd takes the member of a host away, with its data.
func (h *host) removeEtcd() {
	if err := os.Remove(h.path(etcdManifest)); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Error(err)
	}
	err := wait(h.t.Context(), patience, func() bool {
		return !slices.ContainsFunc(h.runs(), func(r Run) bool { return r.Container == "etcd" && r.Ended.IsZero() })
	})
	if err != nil {
		h.t.Errorf("%s: etcd does not end: %v", h.name, err)
	}
	if err := os.RemoveAll(h.path(filepath.Join("/var/lib/etcd", "member"))); err != nil {
		h.t.Error(err)
	}
}

// target is a file for member apply that names these hosts.
func target(t *testing.T, members ...*host) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("members:\n")
	for _, h := range members {
		fmt.Fprintf(&b, "- {name: %s, peerURLs: [%q]}\n", h.name, h.peerURL())
	}
	return b.String()
}
