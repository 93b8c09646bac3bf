package dbfile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// boltShape is what a db is like that bbolt writes for anyone but etcd, beside
// etcd's first two buckets.
type boltShape struct {
	name       string
	pageSize   int
	noFreelist bool // kept in memory only, as etcd does
	buckets    int
	depth      int // of nested buckets
	keys       int // a bucket
	value      int // up to this length
	deletes    int // of a hundred keys
}

var boltShapes = []boltShape{
	{name: "empty", pageSize: 4096},
	{name: "one small bucket", pageSize: 4096, buckets: 1, keys: 3, value: 20},
	{name: "inline buckets", pageSize: 4096, buckets: 40, keys: 4, value: 20},
	{name: "many buckets", pageSize: 4096, buckets: 200, keys: 5, value: 300},
	{name: "nested buckets", pageSize: 4096, buckets: 4, depth: 4, keys: 20, value: 200},
	{name: "deep tree", pageSize: 1024, buckets: 1, keys: 2500, value: 60, deletes: 20},
	{name: "overflow pages", pageSize: 4096, buckets: 2, keys: 30, value: 20_000, deletes: 30},
	{name: "after deletes", pageSize: 4096, buckets: 2, keys: 1000, value: 200, deletes: 80},
	{name: "everything deleted", pageSize: 4096, buckets: 2, keys: 400, value: 200, deletes: 100},
	{name: "no freelist", pageSize: 4096, noFreelist: true, buckets: 2, depth: 2, keys: 200, value: 400, deletes: 50},
	{name: "pages of 16 KiB", pageSize: 16384, buckets: 2, depth: 1, keys: 100, value: 900, deletes: 40},
	{name: "pages of 64 KiB", pageSize: 65536, buckets: 2, keys: 250, value: 600, deletes: 40},
	{name: "pages of 64 KiB without freelist", pageSize: 65536, noFreelist: true, buckets: 1, keys: 10, value: 100_000, deletes: 40},
}

// buildBolt writes a db of the given shape in several transactions.
func buildBolt(t testing.TB, s boltShape, seed uint64) []byte {
	path := filepath.Join(t.TempDir(), "bolt")
	db := must1(bolt.Open(path, 0o600, &bolt.Options{PageSize: s.pageSize, NoFreelistSync: s.noFreelist, NoSync: true}))
	rng := seeded(seed)
	must(db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"key", "meta"} { // without which it is no etcd db
			must1(tx.CreateBucket([]byte(name)))
		}
		return nil
	}))
	for b := range s.buckets {
		name := fmt.Appendf(nil, "bucket-%04d", b)
		must(db.Update(func(tx *bolt.Tx) error {
			return s.fill(must1(tx.CreateBucket(name)), s.depth, rng)
		}))
		if s.deletes > 0 {
			must(db.Update(func(tx *bolt.Tx) error {
				return s.thin(tx.Bucket(name), rng)
			}))
		}
	}
	must(db.Close())
	return must1(os.ReadFile(path))
}

func (s boltShape) fill(b *bolt.Bucket, depth int, rng *rand.Rand) error {
	for i := range s.keys {
		value := make([]byte, rng.IntN(s.value))
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		must(b.Put(fmt.Appendf(nil, "key-%06d", i*7%s.keys), value))
	}
	for i := range depth {
		must(s.fill(must1(b.CreateBucket(fmt.Appendf(nil, "nested-%d", i))), depth-1-i, rng))
	}
	return nil
}

func (s boltShape) thin(b *bolt.Bucket, rng *rand.Rand) error {
	for i := range s.keys {
		if rng.IntN(100) < s.deletes {
			must(b.Delete(fmt.Appendf(nil, "key-%06d", i)))
		}
	}
	return nil
}
