package command

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// The demonstration writes what the API server of a small cluster would.
const (
	demoPods   = 300
	demoEvents = 200
	demoPod    = "/registry/pods/default/web-7"
)

type demoWriter struct {
	client *clientv3.Client
}

// fill writes objects, leases, deletes and a compaction.
func (w *demoWriter) fill(ctx context.Context) (summary string, err error) {
	for i := range demoPods {
		if err := w.put(ctx, fmt.Sprintf("/registry/pods/default/web-%d", i), "Pod", 1200); err != nil {
			return "", err
		}
	}
	for i := range demoPods / 10 {
		if err := w.put(ctx, fmt.Sprintf("/registry/secrets/default/token-%d", i), "Secret", 400); err != nil {
			return "", err
		}
		if err := w.put(ctx, fmt.Sprintf("/registry/leases/kube-node-lease/node-%d", i), "Lease", 150); err != nil {
			return "", err
		}
	}
	if _, err := w.client.Put(ctx, "/registry/example.com/widgets/default/one", `{"apiVersion":"example.com/v1","kind":"Widget"}`); err != nil {
		return "", err
	}
	lease, err := w.client.Grant(ctx, int64(time.Hour/time.Second))
	if err != nil {
		return "", err
	}
	for i := range demoEvents {
		if err := w.put(ctx, fmt.Sprintf("/registry/events/default/web.%04x", i), "Event", 300, clientv3.WithLease(lease.ID)); err != nil {
			return "", err
		}
	}
	deleted, err := w.client.Delete(ctx, "/registry/pods/default/web-2", clientv3.WithPrefix())
	if err != nil {
		return "", err
	}
	if _, err := w.client.Compact(ctx, deleted.Header.Revision-demoEvents/2, clientv3.WithCompactPhysical()); err != nil {
		return "", err
	}
	// Changes after the compaction are what makes a hash hard to get right.
	for i := range demoPods / 10 {
		if err := w.put(ctx, fmt.Sprintf("/registry/leases/kube-node-lease/node-%d", i), "Lease", 150); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d pods, %d events on a lease, Secrets, node leases, one custom resource; %d deleted; history compacted",
		demoPods, demoEvents, deleted.Deleted), nil
}

// put writes a value that begins as Kubernetes' protobuf encoding does.
func (w *demoWriter) put(ctx context.Context, key, kind string, size int, opts ...clientv3.OpOption) error {
	value := "k8s\x00\n\x0b\n\x02v1\x12\x05" + kind + strings.Repeat(key, size/len(key)+1)[:size]
	_, err := w.client.Put(ctx, key, value, opts...)
	return err
}

// keepWriting updates node leases, as kubelets do, until stop is called, which
// returns how many writes were acknowledged.
func (w *demoWriter) keepWriting(ctx context.Context) (stop func() (int64, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var acknowledged atomic.Int64
	done := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			err := w.put(ctx, fmt.Sprintf("/registry/leases/kube-node-lease/node-%d", i%(demoPods/10)), "Lease", 150)
			if ctx.Err() != nil {
				done <- nil
				return
			}
			if err != nil {
				done <- err
				return
			}
			acknowledged.Add(1)
		}
	}()
	return func() (int64, error) {
		cancel()
		return acknowledged.Load(), <-done
	}
}
