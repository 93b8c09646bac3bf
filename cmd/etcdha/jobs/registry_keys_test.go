package jobs

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/cronjobs/election"
	"github.com/etcdha/etcdha/membership"
)

func (w *world) registry(instance string) *Registry {
	r := NewRegistry(w.config, RegistryOptions{Instance: instance, LeaseDuration: testLease, RetryPeriod: testRetry, Now: time.Now})
	w.Cleanup(func() { r.Close() })
	return r
}

// What is in etcd is what others are told. What a backup has brought along from another
// cluster is nobody's.
func TestRegistryKeys(t *testing.T) {
	w := newWorld(t, 1)
	lease, err := w.client.Grant(t.Context(), 3600)
	w.must(err)
	for _, key := range []string{"active", "instances/cp-7"} {
		_, err := w.client.Put(t.Context(), "etcdha/daemon/production/"+key, `{"who":"cp-7","clusterID":7}`, clientv3.WithLease(lease.ID))
		w.must(err)
	}
	w.put("etcdha/daemon/production-2/active", `{"who":"cp-8"}`)
	one, two := w.registry("cp-1"), w.registry("cp-2")
	id := w.memberID(0)
	a, err := two.Attending(t.Context())
	w.must(err)
	if want := (election.Attendance{Voters: []uint64{id}, Self: &election.Instance{Name: "cp-2"}}); !reflect.DeepEqual(a, want) {
		t.Errorf("at first: %+v, want %+v", a, want)
	}

	one.local = w.config.Endpoints[0]
	active, err := one.Lead(t.Context())
	w.must(err)
	entry, err := one.Attend(t.Context())
	w.must(err)
	if a, err = two.Attending(t.Context()); err != nil || a.Active != "cp-1" || !reflect.DeepEqual(a.Instances, []election.Instance{{Name: "cp-1", Member: id}}) {
		t.Errorf("with one: %+v, %v", a, err)
	}
	taken, ok := errors.AsType[*election.TakenError](second(two.Lead(t.Context())))
	if !ok || taken.Who != "cp-1" {
		t.Errorf("it is not taken: %v", taken)
	}
	w.must(active.Release(t.Context()))
	w.must(entry.Release(t.Context()))
	if a, err = two.Attending(t.Context()); err != nil || a.Active != "" || len(a.Instances) != 0 {
		t.Errorf("in the end: %+v, %v", a, err)
	}
}

// A CORRUPT alarm forbids etcd to revoke leases. What the dead have left behind stands there as
// long as it lasts, and is nobody's once its lease is over.
func TestRegistryUnderCorruption(t *testing.T) {
	w := newWorld(t, 1)
	holder, other := w.registry("cp-1"), w.registry("cp-2")
	lock, err := holder.Lead(t.Context())
	w.must(err)
	entry, err := holder.Attend(t.Context())
	w.must(err)
	w.alarmOf(pb.AlarmType_CORRUPT, pb.AlarmRequest_ACTIVATE)
	w.until("a renewal is due", func() bool { return lock.Held(testLease-testRetry) != nil })
	w.until("it is renewed all the same", func() bool { return lock.Held(testLease-testRetry) == nil })
	if taken, ok := errors.AsType[*election.TakenError](second(other.Lead(t.Context()))); !ok || taken.Who != "cp-1" {
		t.Errorf("it is not taken: %v", taken)
	}
	freed := make(chan error, 1)
	go func() { freed <- other.Freed(t.Context()) }()
	for _, l := range []election.Lock{lock, entry} { // revoking the lease is refused: it is as if cp-1 was killed
		if err := l.Release(t.Context()); err == nil {
			t.Error("it was released")
		}
	}
	w.until("it is nobody's", func() bool {
		err := second(other.Lead(t.Context()))
		return errors.Is(err, election.ErrAlarmed) && errors.Is(err, membership.ErrAlarmed)
	})
	w.must(<-freed)
	found, err := w.client.Get(t.Context(), registryPrefix, clientv3.WithPrefix())
	if err != nil || found.Count != 2 {
		t.Errorf("there are %d keys, %v", found.Count, err)
	}
	w.until("nobody attends", func() bool {
		a, err := other.Attending(t.Context())
		return err == nil && a.Alarmed && a.Active == "" && len(a.Instances) == 0
	})
	w.alarmOf(pb.AlarmType_CORRUPT, pb.AlarmRequest_DEACTIVATE)
	w.until("etcd revokes the leases, and there is a lock again", func() bool {
		lock, err := other.Lead(t.Context())
		if err == nil {
			w.must(lock.Release(t.Context()))
		}
		return err == nil
	})
}

func second[T any](_ T, err error) error { return err }

// Who does not know yet which member is on its host leaves the list to others.
func TestRegistryWithoutAnAnswerFromItsHost(t *testing.T) {
	w := newWorld(t, 2)
	w.config.Local = w.cluster.Members[1].ClientURL
	r := w.registry("cp-2")
	a, err := r.Attending(t.Context())
	if err != nil || a.Self != nil {
		t.Errorf("before: %+v, %v", a, err)
	}
	r.local = "https://127.0.0.1:1"
	if _, err := r.Attend(t.Context()); err == nil || !strings.Contains(err.Error(), "https://127.0.0.1:1: connection refused") {
		t.Errorf("without an answer: %v", err)
	}
	r.local = w.config.Local
	entry, err := r.Attend(t.Context())
	w.must(err)
	w.must(entry.Release(t.Context()))
	if a, err := r.Attending(t.Context()); err != nil || a.Self == nil || a.Self.Member != w.memberID(1) {
		t.Errorf("after: %+v, %v", a, err)
	}
}

// A lock is seen to be freed by its watch, and by looking where that has broken, as it does
// when revisions are compacted or a member is gone.
func TestRegistryFreed(t *testing.T) {
	w := newWorld(t, 3)
	w.config.Endpoints = w.config.Endpoints[1:]
	holder, waiting := w.registry("cp-1"), w.registry("cp-2")
	w.must(waiting.Freed(t.Context())) // nobody has it

	lock, err := holder.Lead(t.Context())
	w.must(err)
	from, err := waiting.lookAtActive(t.Context())
	w.must(err)
	told := waiting.watch(t.Context(), from)
	w.put("/registry/new", "value")
	w.must(lock.Release(t.Context()))
	w.must(<-told)
	got, err := w.client.Get(t.Context(), "/registry/new")
	w.must(err)
	w.must(second(w.client.Compact(t.Context(), got.Header.Revision)))
	if err := <-waiting.watch(t.Context(), from); !errors.Is(err, errWatch) {
		t.Errorf("a watch from what is compacted: %v", err)
	}

	lock, err = holder.Lead(t.Context())
	w.must(err)
	freed := make(chan struct{})
	go func() {
		defer close(freed)
		for t.Context().Err() == nil && waiting.Freed(t.Context()) != nil { // etcd may be without a leader when it begins
		}
	}()
	w.cluster.KillMember(w.cluster.Members[1]) // through which it is watched, if it is yet
	w.until("a renewal is due", func() bool { return lock.Held(testLease-testRetry) != nil })
	w.until("it is renewed through another member", func() bool { return lock.Held(testLease-testRetry) == nil })
	select {
	case <-freed:
		t.Fatal("it was freed too early")
	default:
	}
	w.must(lock.Release(t.Context()))
	<-freed

	lock, err = holder.Lead(t.Context())
	w.must(err)
	w.cluster.KillMember(w.cluster.Members[2])
	if err := waiting.Freed(t.Context()); err == nil {
		t.Error("without quorum, it was freed")
	}
	if err := lock.Release(t.Context()); err == nil {
		t.Error("without quorum, it was released")
	}
}
