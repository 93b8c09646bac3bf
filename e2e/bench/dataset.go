package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// The comparison is about a data set of at least this size.
const (
	requiredKeys = 1_000_000
	requiredSize = 1 << 30 // bytes of db
)

// dataSet is what the member holds in the end.
type dataSet struct {
	keys     int64 // live
	dbSize   int64 // bytes
	revision int64
	version  string // of etcd
}

// Beside its live keys, which are written once, the data set has what a used
// cluster has: keys that are gone, keys written again, a compaction, and some
// of both after it, so that its history is not the same as its content. Each
// is a share of the live keys: one in shareless.
const shareless = 20

const (
	writers        = 8       // transactions on their way: etcd batches them into one commit
	maxPerTxn      = 100     // puts in one; etcd allows 128
	maxRequest     = 1 << 20 // bytes in one; etcd allows half as many again
	recordOverhead = 256     // bytes that key, record and page cost besides the value
)

// fill writes the data set.
func (m *member) fill(ctx context.Context, o *options) (*dataSet, error) {
	live, share := o.keys, o.keys/shareless
	perTxn := max(1, min(maxPerTxn, maxRequest/(o.valueSize+recordOverhead)))
	put := func(generation uint64) func(int) clientv3.Op {
		return func(i int) clientv3.Op {
			return clientv3.OpPut(key(i), string(value(generation, i, o.valueSize)))
		}
	}
	remove := func(i int) clientv3.Op { return clientv3.OpDelete(key(i)) }
	for _, step := range []struct {
		what     string
		from, to int
		op       func(int) clientv3.Op
	}{
		{"writing", 0, live + 2*share, put(0)},
		{"overwriting", 0, share, put(1)},
		{"deleting", live, live + share, remove},
		{"compacting", 0, 0, nil},
		{"overwriting", share / 2, share / 2 * 3, put(2)},
		{"deleting", live + share, live + 2*share, remove},
	} {
		var err error
		if step.op == nil {
			o.progress("%s", step.what)
			err = m.compact(ctx)
		} else {
			o.progress("%s %d keys", step.what, step.to-step.from)
			err = m.write(ctx, step.from, step.to, perTxn, step.op)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return m.dataSet(ctx)
}

// write does op for every number in [from, to).
func (m *member) write(ctx context.Context, from, to, perTxn int, op func(int) clientv3.Op) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for first := from; first < to && ctx.Err() == nil; first += perTxn {
		g.Go(func() error {
			ops := make([]clientv3.Op, 0, perTxn)
			for i := first; i < min(first+perTxn, to); i++ {
				ops = append(ops, op(i))
			}
			_, err := m.client.Txn(ctx).Then(ops...).Commit()
			return err
		})
	}
	return g.Wait()
}

// compact drops the whole history and waits until it is gone.
func (m *member) compact(ctx context.Context) error {
	status, err := m.client.Status(ctx, m.endpoint())
	if err != nil {
		return err
	}
	_, err = m.client.Compact(ctx, status.Header.Revision, clientv3.WithCompactPhysical())
	return err
}

func (m *member) dataSet(ctx context.Context) (*dataSet, error) {
	count, err := m.client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return nil, err
	}
	status, err := m.client.Status(ctx, m.endpoint())
	if err != nil {
		return nil, err
	}
	return &dataSet{
		keys: count.Count, dbSize: status.DbSize, revision: status.Header.Revision, version: status.Version,
	}, nil
}

// kinds are objects of which large clusters have many.
var kinds = []struct{ kind, resource string }{
	{"Pod", "pods"},
	{"Event", "events"},
	{"ReplicaSet", "replicasets"},
	{"Secret", "secrets"},
	{"ConfigMap", "configmaps"},
	{"Endpoints", "services/endpoints"},
}

// key is where Kubernetes would keep object i.
func key(i int) string {
	return fmt.Sprintf("/registry/%s/team-%03d/web-%08x-%07d", kinds[i%len(kinds)].resource, i%500, uint32(i)*2654435761, i)
}

// phrases repeat from object to object; what lies between them does not.
var phrases = []string{
	"\n\x12app.kubernetes.io/name\x12\x04web",
	"\n\x1bapp.kubernetes.io/component\x12\x08frontend",
	`{"f:metadata":{"f:labels":{".":{},"f:app":{}},"f:ownerReferences":{}}}`,
	`"kubernetes.io/config.source":"api","kubernetes.io/limit-ranger":"plugin set"`,
	"\x1a\x07default\"\x00*$",
	"kube-controller-manager\x12\x06Update\x1a\x02v1",
	"registry.example.com/team/web:",
	"/var/run/secrets/kubernetes.io/serviceaccount",
}

// value begins as Kubernetes' protobuf encoding does and then mixes what
// compresses with what does not, to about half. It is the same in every run.
func value(generation uint64, i, size int) []byte {
	random := rand.New(rand.NewPCG(generation, uint64(i))) //nolint:gosec // data, not a secret
	v := make([]byte, 0, size+128)
	v = append(v, "k8s\x00\n\x0b\n\x02v1\x12\x05"+kinds[i%len(kinds)].kind...)
	for len(v) < size {
		v = append(v, phrases[random.IntN(len(phrases))]...)
		v = fmt.Appendf(v, "%016x%016x", random.Uint64(), random.Uint64())
	}
	return v[:size]
}
