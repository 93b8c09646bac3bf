package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// soakWrites is a client that writes the same keys over and over, and compacts what
// was before, so that the db stays as it is for hours.
type soakWrites struct {
	mu    sync.Mutex
	acked []ack // thinned out, in order
	count int
}

// ack is a write that was acknowledged.
type ack struct {
	at       time.Time
	revision int64
}

const (
	soakKeys    = 4000 // of 2 KiB that cannot be compressed: two parts of an upload
	soakHistory = 400  // revisions that stay
	ackStep     = 100 * time.Millisecond
)

// rewrite fills the site, and goes on until the test ends.
func (s *site) rewrite() *soakWrites {
	s.t.Helper()
	w := &soakWrites{}
	rnd := rand.New(rand.NewPCG(3, 4))
	for first := 0; first < soakKeys; first += 100 {
		var ops []clientv3.Op
		for i := range 100 {
			ops = append(ops, clientv3.OpPut(soakKey(first+i), noise(rnd, 2<<10)))
		}
		eventually(s.t, "the cluster is filled", func() bool {
			ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
			defer cancel()
			_, err := s.client("m1").Txn(ctx).Then(ops...).Commit()
			return err == nil
		})
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	var writing sync.WaitGroup
	writing.Go(func() { w.run(ctx, s, rnd) })
	s.t.Cleanup(func() { cancel(); writing.Wait() })
	return w
}

func soakKey(i int) string { return fmt.Sprintf("/registry/pods/ns/pod-%05d", i%soakKeys) }

func (w *soakWrites) run(ctx context.Context, s *site, rnd *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		hosts := s.running()
		if len(hosts) == 0 {
			time.Sleep(writePause)
			continue
		}
		w.write(ctx, s.client(hosts[i%len(hosts)]), i, noise(rnd, 2<<10))
		time.Sleep(2 * writePause)
	}
}

// write writes once, and now and then compacts. What fails does so because a member was
// told to.
func (w *soakWrites) write(ctx context.Context, client *clientv3.Client, i int, value string) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	resp, err := client.Put(ctx, soakKey(i), value)
	if err != nil {
		return
	}
	w.mu.Lock()
	w.count++
	if now := time.Now(); len(w.acked) == 0 || now.Sub(w.acked[len(w.acked)-1].at) >= ackStep {
		w.acked = append(w.acked, ack{now, resp.Header.Revision})
	}
	w.mu.Unlock()
	if i%soakHistory == 0 {
		_, _ = client.Compact(ctx, max(1, resp.Header.Revision-soakHistory))
	}
}

// before is the newest revision that was acknowledged before a moment, as far as is remembered.
func (w *soakWrites) before(moment time.Time) (revision int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.acked {
		if !a.at.Before(moment) {
			break
		}
		revision = a.revision
	}
	return revision
}

func (w *soakWrites) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}
