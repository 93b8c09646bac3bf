package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// fill writes what makes snapshots hard: every kind of value, values larger
// than a page and than a stream's blob, deletes and recreations, leases, a
// compaction with changes after it, a defragmentation.
func (c *cluster) fill(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(key, value string, opts ...clientv3.OpOption) {
		t.Helper()
		if _, err := c.client.Put(ctx, key, value, opts...); err != nil {
			t.Fatalf("put %s: %v", key, err)
		}
	}
	for i := range 400 {
		put(fmt.Sprintf("/registry/pods/ns-%d/pod-%d", i%7, i), "k8s\x00"+noise(rnd, 200+i))
		put(fmt.Sprintf("/registry/secrets/ns/s-%d", i%50), "k8s:enc:aescbc:v1:key1:"+noise(rnd, 100))
		put(fmt.Sprintf("/registry/example.com/widgets/w-%d", i%20), `{"kind":"Widget"}`)
	}
	for i := range 3 {
		put(fmt.Sprintf("/registry/configmaps/ns/large-%d", i), "k8s\x00"+noise(rnd, 1<<20+i))
	}
	long, err := c.client.Grant(ctx, 3600)
	if err != nil {
		t.Fatal(err)
	}
	short, err := c.client.Grant(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		put(fmt.Sprintf("/registry/events/ns/long-%d", i), "k8s\x00event", clientv3.WithLease(long.ID))
		put(fmt.Sprintf("/registry/events/ns/short-%d", i), "k8s\x00event", clientv3.WithLease(short.ID))
	}
	deleted, err := c.client.Delete(ctx, "/registry/pods/ns-3/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	put("/registry/pods/ns-3/pod-3", "k8s\x00again")
	if _, err := c.client.Compact(ctx, deleted.Header.Revision-5, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		put(fmt.Sprintf("/registry/pods/ns-1/pod-%d", i), "k8s\x00changed after the compaction")
	}
	if _, err := c.client.Defragment(ctx, c.Members[len(c.Members)-1].ClientURL); err != nil {
		t.Fatal(err)
	}
}

func noise(rnd *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return string(b)
}

// enableAuth turns authentication on: from here on only root may do anything,
// which the test's client certificate is.
func (c *cluster) enableAuth(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if _, err := c.client.UserAdd(ctx, "root", "the-root-password"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.UserGrantRole(ctx, "root", "root"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.AuthEnable(ctx); err != nil {
		t.Fatal(err)
	}
}

// raiseNoSpace raises the alarm that a member raises at its quota.
func (c *cluster) raiseNoSpace(t *testing.T) {
	t.Helper()
	maintenance := pb.NewMaintenanceClient(c.client.ActiveConnection())
	status, err := maintenance.Status(t.Context(), &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = maintenance.Alarm(t.Context(), &pb.AlarmRequest{
		Action: pb.AlarmRequest_ACTIVATE, MemberID: status.Header.MemberId, Alarm: pb.AlarmType_NOSPACE,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// writeInBackground keeps writing until the returned function is called, which
// fails the test if a write did.
func (c *cluster) writeInBackground(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		for i := 0; ; i++ {
			_, err := c.client.Put(ctx, fmt.Sprintf("/registry/leases/node-%d", i%10), time.Now().String())
			if i == 0 {
				close(started)
			}
			if ctx.Err() != nil {
				done <- nil
				return
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	<-started
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a write failed meanwhile: %v", err)
		}
	}
}
