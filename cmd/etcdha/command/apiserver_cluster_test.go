package command

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/quorum"
)

// realEtcd starts a cluster and opens it as an apiserver's host does.
func realEtcd(t *testing.T, members int) (*throwaway.Cluster, *etcdCluster) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := throwaway.New(throwaway.Options{Parent: t.TempDir(), Members: members, Command: []string{self, memberCommand}, Token: "apiservers", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(c.Start(ctx), c.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	cluster := openCluster(c.Config(), "")
	t.Cleanup(cluster.Close)
	return c, cluster
}

// What an apiserver's host sees of its etcd: members, their marks, who is down, and the lock.
func TestClusterOfAnApiserver(t *testing.T) {
	real, cluster := realEtcd(t, 3)
	seen, err := cluster.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Members) != 3 || seen.ClusterID == 0 || seen.Revision == 0 {
		t.Fatalf("%+v", seen)
	}
	for _, m := range seen.Members {
		if !m.Healthy || m.Trouble != "" || m.Withdrawn || m.Learner || len(m.ClientURLs) == 0 {
			t.Errorf("%+v", m)
		}
	}

	u := newUsers(cluster.registry, nil, io.Discard)
	leaves := membership.Listed{ID: quorum.ID(seen.Members[0].ID), Name: seen.Members[0].Name}
	if err := u.Withdraw(t.Context(), seen.ClusterID, []membership.Listed{leaves}); err != nil {
		t.Errorf("no Kubernetes is kept there: %v", err)
	}
	report := apiserver.Report{Host: "cp-1", File: "/a.yaml", Addresses: []string{"192.0.2.21"}, Topology: apiserver.External, Agent: true,
		ClusterID: seen.ClusterID, Members: []uint64{seen.Members[0].ID, seen.Members[1].ID}, At: time.Now()}
	if err := cluster.registry.Report(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	err = u.Withdraw(t.Context(), seen.ClusterID, []membership.Listed{leaves})
	if used, is := errors.AsType[*membership.StillUsed](err); !is || !slices.Equal(used.Hosts, []string{"cp-1"}) || len(used.Type) != 0 {
		t.Errorf("error %v", err)
	}
	before := seen.Revision
	if seen, err = cluster.Observe(t.Context()); err != nil || !seen.Members[0].Withdrawn || seen.Members[1].Withdrawn || seen.Revision <= before {
		t.Errorf("with a mark: %+v, %v", seen, err)
	}
	report.Members, report.Revision = report.Members[1:], seen.Revision
	if err := cluster.registry.Report(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	if err := u.Withdraw(t.Context(), seen.ClusterID, []membership.Listed{leaves}); err != nil {
		t.Errorf("confirmed: %v", err)
	}
	if err := u.Readmit(t.Context(), []quorum.ID{leaves.ID}); err != nil {
		t.Error(err)
	}

	lock, err := cluster.Lock(t.Context(), apiserver.Holder{Who: "cp-1"}, func(holder string) { t.Errorf("it waits for %s", holder) })
	if err != nil {
		t.Fatal(err)
	}
	second := openCluster(real.Config(), "")
	defer second.Close()
	brief, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var holders []string
	if _, err := second.Lock(brief, apiserver.Holder{Who: "cp-2"}, func(holder string) { holders = append(holders, holder) }); err == nil || len(holders) == 0 || !strings.HasPrefix(holders[0], "cp-1, since 20") {
		t.Errorf("the second waits for %q: %v", holders, err)
	}
	if err := errors.Join(lock.Held(time.Second), lock.Release(t.Context())); err != nil {
		t.Error(err)
	}

	real.KillMember(real.Members[2])
	if seen, err = cluster.Observe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range seen.Members {
		if dead := m.Name == real.Members[2].Name; m.Withdrawn || m.Healthy == dead || (m.Trouble == "") == dead {
			t.Errorf("one is dead: %+v", m)
		}
	}
	real.KillMember(real.Members[1])
	if seen, err := cluster.Observe(t.Context()); err == nil {
		t.Errorf("without quorum: %+v", seen)
	}
}
