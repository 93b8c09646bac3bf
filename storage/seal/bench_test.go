package seal_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/etcdha/etcdha/storage/seal"
)

// snapshotLike returns about as much redundancy as a db of Kubernetes has:
// pages with leading pointers, keys that differ at their ends, values with
// names, labels, and random identifiers, and free pages.
func snapshotLike(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := []string{"pods", "secrets", "configmaps", "leases", "events", "endpointslices"}
	var db bytes.Buffer
	for id := uint64(0); db.Len() < n; id++ {
		page := make([]byte, 0, 4096)
		page = binary.LittleEndian.AppendUint64(page, id)
		for len(page) < 3700 && r.IntN(20) > 0 {
			kind, name := kinds[r.IntN(len(kinds))], fmt.Sprintf("web-%d-%x", r.IntN(300), r.Uint32())
			page = binary.BigEndian.AppendUint64(page, id<<8|uint64(len(page)))
			page = fmt.Appendf(page, "/registry/%s/namespace-%d/%s\x12k8s\x00\n\x0c\n\x02v1\x12\x03%s", kind, r.IntN(40), name, kind)
			page = fmt.Appendf(page, "%s\x1a\x00\"\x08default*%08x-%04x-%016x2\x008\x00B\x08\b%xz\x00", name, r.Uint32(), r.Uint32()&0xffff, r.Uint64(), r.Uint32())
			page = fmt.Appendf(page, "Z\x0bapp.kubernetes.io/name\x12%s\x8a\x01kube-controller-manager\x12\x06Update\x1a\x02v1\"\x08FieldsV1", name[:6])
		}
		db.Write(page[:min(len(page), 4096)])
		db.Write(make([]byte, 4096-min(len(page), 4096)))
	}
	return db.Bytes()[:n]
}

func BenchmarkSeal(b *testing.B) {
	plain := snapshotLike(64 << 20)
	all := sealers(b)
	level := func(level int) sealer { return sealer{options: seal.Options{Level: level}} }
	for _, c := range []struct {
		name string
		s    sealer
	}{
		{"none", all[""]}, {"zstd", all[".zst"]}, {"zstd+age", all[".zst.age"]}, {"none+age", all[".age"]},
		{"zstd level 3", level(3)}, {"zstd level 6", level(6)}, {"zstd level 10", level(10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			var stored int64
			for b.Loop() {
				r := c.s.reader(b, bytes.NewReader(plain))
				var err error
				if stored, err = io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
			b.ReportMetric(float64(len(plain))/float64(stored), "ratio")
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	plain := snapshotLike(64 << 20)
	for suffix, s := range sealers(b) {
		stored := s.sealed(b, plain)
		b.Run("db"+suffix, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.Copy(io.Discard, s.open(b, bytes.NewReader(stored))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
