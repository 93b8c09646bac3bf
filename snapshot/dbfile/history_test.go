package dbfile_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/coreos/go-semver/semver"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// history drives a member through the life that Kubernetes gives it.
type history struct {
	*member
	rng      *rand.Rand
	keys     int // that exist or existed
	maxValue int
	leases   []lease.LeaseID
	index    uint64 // of raft
}

func newHistory(m *member, rng *rand.Rand) *history {
	return &history{member: m, rng: rng, keys: 5 + rng.IntN(40), maxValue: 600}
}

// live makes steps random changes: transactions of puts and deletes, deletes
// of ranges, leases, compactions, commits, and sometimes a defragmentation.
func (h *history) live(steps int) {
	for range steps {
		switch n := h.rng.IntN(100); {
		case n < 60:
			h.write(1)
		case n < 75:
			h.write(1 + h.rng.IntN(min(6, h.keys)))
		case n < 90:
			h.delete(h.key(h.rng.IntN(h.keys)))
		case n < 92:
			i := h.rng.IntN(h.keys)
			h.kv.DeleteRange([]byte(h.key(i)), []byte(h.key(i+3)))
		case n < 94:
			h.grant()
		case n < 97:
			h.compact(1 + h.rng.Int64N(h.revision()))
		case n < 99:
			h.kv.Commit()
		default:
			must(h.be.Defrag())
		}
	}
	h.applied()
}

func (h *history) key(i int) string {
	kinds := []string{"pods", "leases", "secrets", "configmaps"}
	return fmt.Sprintf("/registry/%s/default/object-%04d", kinds[i%len(kinds)], i)
}

// write changes n different keys in one transaction.
func (h *history) write(n int) {
	tx := h.kv.Write(traceutil.TODO())
	defer tx.End()
	for _, i := range h.rng.Perm(h.keys)[:n] {
		if n > 1 && h.rng.IntN(4) == 0 {
			tx.DeleteRange([]byte(h.key(i)), nil)
			continue
		}
		tx.Put([]byte(h.key(i)), kubeValue(h.rng, h.rng.IntN(h.maxValue)), h.someLease())
	}
}

func (h *history) grant() {
	id := lease.LeaseID(h.rng.Int64N(1<<62) + 1)
	must1(h.le.Grant(id, 3600+h.rng.Int64N(3600)))
	h.leases = append(h.leases, id)
}

func (h *history) someLease() lease.LeaseID {
	if len(h.leases) == 0 || h.rng.IntN(3) > 0 {
		return lease.NoLease
	}
	return h.leases[h.rng.IntN(len(h.leases))]
}

// compactable returns a random revision that can be compacted at.
func (h *history) compactable(t testing.TB) int64 {
	h.write(1)
	compacted := inspect(t, h.snapshot()).CompactRevision
	return compacted + 1 + h.rng.Int64N(h.revision()-compacted)
}

// applied records how far raft has come, as every apply does.
func (h *history) applied() {
	h.index += 1 + h.rng.Uint64N(1000)
	tx := h.be.BatchTx()
	tx.LockInsideApply()
	defer tx.Unlock()
	schema.UnsafeUpdateConsistentIndexForce(tx, h.index, 2)
}

// furnish adds what a cluster keeps beside its keys.
func (m *member) furnish() {
	members := schema.NewMembershipBackend(nop, m.be)
	members.MustCreateBackendBuckets()
	for i := range 3 {
		members.MustSaveMemberToBackend(&membership.Member{
			ID: types.ID(0x1000 + i),
			RaftAttributes: membership.RaftAttributes{
				PeerURLs:  []string{fmt.Sprintf("https://192.0.2.%d:2380", 10+i)},
				IsLearner: i == 2,
			},
			Attributes: membership.Attributes{
				Name:       fmt.Sprintf("control-plane-%d", i),
				ClientURLs: []string{fmt.Sprintf("https://192.0.2.%d:2379", 10+i)},
			},
		})
	}
	members.MustDeleteMemberFromBackend(0x2000)
	members.MustSaveClusterVersionToBackend(semver.New("3.6.0"))

	alarms := schema.NewAlarmBackend(nop, m.be)
	alarms.CreateAlarmBucket()
	alarms.MustPutAlarm(&etcdserverpb.AlarmMember{MemberID: 0x1001, Alarm: etcdserverpb.AlarmType_NOSPACE})

	auth := schema.NewAuthBackend(nop, m.be)
	auth.CreateAuthBuckets()

	tx := m.be.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	schema.UnsafeSetStorageVersion(tx, semver.New("3.6.0"))
	schema.UnsafeUpdateConsistentIndexForce(tx, 4711, 7)
}

// kubeValue returns a value of about n bytes as kube-apiserver writes them.
func kubeValue(rng *rand.Rand, n int) []byte {
	prefixes := []string{
		"k8s\x00\n\x0c\n\x02v1\x12\x06Secret\x12", // protobuf
		`{"kind":"CustomThing","apiVersion":"example.com/v1","spec":"`,
		"k8s:enc:aescbc:v1:key1:",
		"k8s:enc:secretbox:v1:key2:",
		"k8s:enc:kms:v2:vault:",
		"",
	}
	v := []byte(prefixes[rng.IntN(len(prefixes))])
	for len(v) < n {
		v = binary.LittleEndian.AppendUint64(v, rng.Uint64())
	}
	return v
}
