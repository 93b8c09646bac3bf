package rehearsal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// A sample is a few keys of each prefix, chosen by the hash of the key, so that
// all records of a key meet and the choice is the same each time.
const (
	samplePerPrefix = 3
	samplePrefixes  = 10_000 // more than there are namespaces and kinds in any cluster
)

// want is what a key has to read back as.
type want struct {
	hash  uint64 // of the key; the smallest are chosen
	alive bool
	kv    dbfile.Record // without its value
	sum   [sha256.Size]byte
}

type sample map[string]map[string]*want // by prefix and key

// prefixOf is the key up to its third slash: "/registry/pods/" and the like.
func prefixOf(key string) string {
	n := 0
	for range 3 {
		i := strings.IndexByte(key[n:], '/')
		if i < 0 {
			break
		}
		n += i + 1
	}
	return key[:n]
}

func (s sample) add(r dbfile.Record) {
	prefix := prefixOf(string(r.Key))
	keys, known := s[prefix]
	if !known {
		if len(s) >= samplePrefixes {
			return
		}
		keys = make(map[string]*want)
		s[prefix] = keys
	}
	key := string(r.Key)
	w := keys[key]
	if w == nil {
		h := fnv.New64a()
		_, _ = h.Write(r.Key) // a hash never fails
		w = &want{hash: h.Sum64()}
		keys[key] = w
		if len(keys) > samplePerPrefix {
			delete(keys, largest(keys))
		}
	}
	w.alive, w.sum = !r.Tombstone, sha256.Sum256(r.Value)
	r.Key, r.Value = nil, nil
	w.kv = r
}

func largest(keys map[string]*want) string {
	var key string
	var most uint64
	for k, w := range keys {
		if w.hash >= most {
			key, most = k, w.hash
		}
	}
	return key
}

// keys reads the sample back at the revision of the snapshot.
func (s *stages) keys(ctx context.Context) (string, error) {
	sampled := make(sample)
	err := s.snap.DB.ForEachRecord(ctx, 0, func(r dbfile.Record) error {
		sampled.add(r)
		return nil
	})
	if err != nil {
		return "", err
	}
	n := 0
	for _, keys := range sampled {
		for key, w := range keys {
			if err := s.readBack(ctx, s.clients[n%len(s.clients)], key, w); err != nil {
				return "", err
			}
			n++
		}
	}
	return fmt.Sprintf("%d keys under %d prefixes read back equal", n, len(sampled)), nil
}

func (s *stages) readBack(ctx context.Context, client *clientv3.Client, key string, w *want) error {
	if key == "" {
		return nil // the marker of an earlier bump is no key that can be read
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := client.Get(ctx, key, clientv3.WithRev(s.snap.Report.CurrentRevision()))
	if err != nil {
		return fmt.Errorf("read %q: %w", key, err)
	}
	switch {
	case !w.alive && len(resp.Kvs) == 0:
		return nil
	case w.alive != (len(resp.Kvs) == 1):
		return fmt.Errorf("key %q: %d values, alive in the snapshot: %t", key, len(resp.Kvs), w.alive)
	}
	kv := resp.Kvs[0]
	if sha256.Sum256(kv.Value) != w.sum || kv.ModRevision != w.kv.ModRevision || kv.CreateRevision != w.kv.CreateRevision ||
		kv.Version != w.kv.Version || kv.Lease != w.kv.Lease {
		return fmt.Errorf("key %q reads back different from the snapshot", key)
	}
	return nil
}

// content compares every live key of the bumped members with the snapshot,
// since HashKV cannot reach behind the bump. Both sides add up a digest a key,
// so that their orders do not matter.
func (s *stages) content(ctx context.Context) (string, error) {
	wantSum, err := s.snapshotContent(ctx)
	if err != nil {
		return "", err
	}
	for i, client := range s.clients {
		got, err := memberContent(ctx, client, s.revision)
		if err != nil {
			return "", s.explain(i, err)
		}
		if got != wantSum {
			return "", fmt.Errorf("%s holds %d keys, the snapshot %d, or their content differs", s.cluster.Members[i].Name, got.keys, wantSum.keys)
		}
	}
	return fmt.Sprintf("%d keys equal on all %d", wantSum.keys, len(s.clients)), nil
}

// contentSum is a digest of a set of key-values.
type contentSum struct {
	keys int64
	sum  [2]uint64
}

func (c *contentSum) add(key, value []byte, revisions ...int64) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %v ", len(key), len(value), revisions)
	_, _ = h.Write(key)
	_, _ = h.Write(value)
	d := h.Sum(nil)
	for i := range c.sum {
		var part uint64
		for _, b := range d[i*8 : i*8+8] {
			part = part<<8 | uint64(b)
		}
		c.sum[i] += part
	}
	c.keys++
}

// snapshotContent adds up the newest put of every key that is alive.
func (s *stages) snapshotContent(ctx context.Context) (contentSum, error) {
	var c contentSum
	err := s.snap.DB.ForEachLive(ctx, func(r dbfile.Record) error {
		if len(r.Key) > 0 {
			c.add(r.Key, r.Value, r.CreateRevision, r.ModRevision, r.Version, r.Lease)
		}
		return nil
	})
	return c, err
}

// pageKeys is how many keys are read at a time: the largest values allowed by
// default make that 96 MiB.
const pageKeys = 64

func memberContent(ctx context.Context, client *clientv3.Client, revision int64) (contentSum, error) {
	var c contentSum
	next := "\x00"
	for {
		pageCtx, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := client.Get(pageCtx, next, clientv3.WithFromKey(), clientv3.WithRev(revision), clientv3.WithLimit(pageKeys), clientv3.WithSerializable())
		cancel()
		if err != nil {
			return c, err
		}
		for _, kv := range resp.Kvs {
			c.addKV(kv)
		}
		if !resp.More {
			return c, nil
		}
		next = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func (c *contentSum) addKV(kv *mvccpb.KeyValue) {
	c.add(kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
}

// history checks that what is before the bump cannot be read, so that every
// watcher has to start anew.
func (s *stages) history(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.clients[0].Get(ctx, "\x00", clientv3.WithRev(max(s.snap.Report.Revision, 1)))
	if err == nil {
		return "", errors.New("a revision from before the bump can still be read")
	}
	if !strings.Contains(err.Error(), "required revision has been compacted") {
		return "", s.explain(0, err)
	}
	return fmt.Sprintf("compacted up to revision %d", s.revision), nil
}
