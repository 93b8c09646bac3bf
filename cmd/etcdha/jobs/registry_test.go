package jobs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/cronjobs/election"
)

// Three hosts with a member each. Whoever is active is killed, frozen, and ended; then
// etcd loses its leader. There is always a next one, and never two.
func TestRealElection(t *testing.T) {
	w := newWorld(t, 3)
	begin := time.Now()
	all := []*instance{w.instance("cp-1", 0), w.instance("cp-2", 1), w.instance("cp-3", 2)}
	living := slices.Clone(all)
	active := w.next(begin, living...)
	without := func(i *instance) []*instance {
		return slices.DeleteFunc(slices.Clone(living), func(other *instance) bool { return other == i })
	}
	again := func(i *instance) {
		n := w.instance(i.name, slices.IndexFunc(all[:3], func(other *instance) bool { return other.name == i.name }))
		all, living = append(all, n), append(without(i), n)
	}
	settled := func() { // nobody is about to give way
		preferred := election.Prefer(w.config.Name, []string{"cp-1", "cp-2", "cp-3"})
		at := slices.IndexFunc(living, func(i *instance) bool { return i.name == preferred })
		w.until("the preferred one is active", func() bool { return time.Since(living[at].last().At) < testRetry })
		active = living[at]
	}
	took := func(what string, since time.Time) {
		next := w.next(since, without(active)...)
		first := slices.IndexFunc(next.all(), func(a act) bool { return a.At.After(since) })
		t.Logf("%s: %s after %s", what, next.name, next.all()[first].At.Sub(since).Round(time.Millisecond))
	}

	settled()
	active.kill()
	took("killed", active.last().At)
	again(active)

	settled()
	active.signal(t, syscall.SIGSTOP)
	took("frozen", active.last().At)
	active.signal(t, syscall.SIGCONT)

	settled()
	active.end()
	took("ended", active.last().At)
	again(active)

	settled()
	for _, m := range w.cluster.Members {
		status, err := w.client.Status(t.Context(), m.ClientURL)
		w.must(err)
		if status.Leader == status.Header.MemberId {
			w.cluster.KillMember(m)
			w.must(w.cluster.StartMember(m))
		}
	}
	active.kill()
	took("killed with etcd's leader", active.last().At)

	for _, i := range living {
		if i != active {
			i.end()
		}
	}
	w.oneAtATime(all...)
}

// An alarm allows no lock. The one that there is goes on. When its holder dies, the
// one beside the lowest member id acts without; then the one beside none, and one
// that has come after the alarm last of all. After the alarm there is a lock again.
func TestRealElectionUnderAnAlarm(t *testing.T) {
	w := newWorld(t, 3)
	byID := []int{0, 1, 2} // members, the lowest id first
	slices.SortFunc(byID, func(a, b int) int { return cmp.Compare(w.memberID(a), w.memberID(b)) })
	begin := time.Now()
	first := w.instance("aa", -1)
	w.next(begin, first)
	second, third, beside := w.instance("bb", -1), w.instance("cc", byID[1]), w.instance("dd", byID[0])
	reg := NewRegistry(w.config, RegistryOptions{Instance: "who looks", LeaseDuration: testLease, RetryPeriod: testRetry, Now: time.Now})
	defer reg.Close()
	w.until("all attend", func() bool {
		a, err := reg.Attending(t.Context())
		return err == nil && len(a.Instances) == 4 && len(a.Voters) == 3 && a.Active != "" && !a.Alarmed
	})
	all := []*instance{first, second, third, beside}
	var active *instance
	w.until("the preferred one is active", func() bool {
		a, err := reg.Attending(t.Context())
		i := slices.IndexFunc(all, func(i *instance) bool { return i.name == a.Active })
		if err != nil || i < 0 {
			return false
		}
		active = all[i]
		return a.Active == election.Prefer(w.config.Name, []string{"aa", "bb", "cc", "dd"})
	})

	w.alarm(pb.AlarmRequest_ACTIVATE)
	since := time.Now().Add(2 * testLease)
	if w.next(since, all...); active.last().Unlocked || since.Sub(active.last().At) > 0 {
		t.Errorf("%s does not go on with its lock: %+v", active.name, active.last())
	}
	living := slices.Clone(all)
	for _, want := range []*instance{active, beside, third, first, second} {
		if !slices.Contains(living, want) {
			continue // it was the one with the lock
		}
		if want != active {
			next := w.next(since, living...)
			if next != want || !next.last().Unlocked {
				t.Errorf("%s is active, not %s: %+v", next.name, want.name, next.last())
			}
			t.Logf("%s after %s", next.name, next.last().At.Sub(since).Round(time.Millisecond))
		}
		want.kill()
		since = want.last().At
		living = slices.DeleteFunc(living, func(i *instance) bool { return i == want })
	}

	late, elsewhere := w.instance("late", byID[0]), w.instance("elsewhere", byID[1])
	all = append(all, late, elsewhere)
	if next := w.next(since, late, elsewhere); next != late || !next.last().Unlocked {
		t.Errorf("%s is active: %+v", next.name, next.last())
	}
	w.alarm(pb.AlarmRequest_DEACTIVATE)
	w.until("there is a lock again", func() bool {
		return len(late.all()) > 0 && !late.last().Unlocked || len(elsewhere.all()) > 0 && !elsewhere.last().Unlocked
	})
	late.end()
	elsewhere.end()
	w.oneAtATime(all...)
}

func (w *world) memberID(member int) uint64 {
	w.Helper()
	status, err := w.client.Status(w.Context(), w.cluster.Members[member].ClientURL)
	w.must(err)
	return status.Header.MemberId
}

func (w *world) alarm(action pb.AlarmRequest_AlarmAction) {
	w.Helper()
	w.alarmOf(pb.AlarmType_NOSPACE, action)
}

func (w *world) alarmOf(alarm pb.AlarmType, action pb.AlarmRequest_AlarmAction) {
	w.Helper()
	_, err := pb.NewMaintenanceClient(w.client.ActiveConnection()).Alarm(w.Context(), &pb.AlarmRequest{
		Action: action, Alarm: alarm, MemberID: w.memberID(0),
	})
	w.must(err)
}

// A fleet of clusters spreads over instances that come one after the other, and over those
// that are left.
func TestRealElectionsSpread(t *testing.T) {
	w := newWorld(t, 1)
	const clusters = 60
	var mu sync.Mutex
	active := map[string]string{}
	start := func(name string) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for n := range clusters {
			p := participant{Name: name, Cluster: w.config, Lease: testLease, RenewDeadline: testRenew, RetryPeriod: testRenew / 2} // they are many
			p.Cluster.Name = fmt.Sprintf("cluster-%d", n)
			running.Go(func() {
				p.elector().Run(ctx, func(ctx context.Context, _ election.Term) {
					mu.Lock()
					if other := active[p.Cluster.Name]; other != "" {
						t.Errorf("%s: %s and %s are active", p.Cluster.Name, other, name)
					}
					active[p.Cluster.Name] = name
					mu.Unlock()
					<-ctx.Done()
					mu.Lock()
					active[p.Cluster.Name] = ""
					mu.Unlock()
				})
			})
		}
		return func() { cancel(); running.Wait() }
	}
	spread := func(names ...string) {
		t.Helper()
		count := map[string]int{}
		w.until(fmt.Sprintf("%v have what they are to have", names), func() bool {
			mu.Lock()
			defer mu.Unlock()
			clear(count)
			for n := range clusters {
				cluster := fmt.Sprintf("cluster-%d", n)
				if active[cluster] == election.Prefer(cluster, names) {
					count[active[cluster]]++
				}
			}
			total := 0
			for _, c := range count {
				total += c
			}
			return total == clusters
		})
		for _, name := range names {
			if count[name] < clusters/len(names)/2 {
				t.Errorf("%d for %s", count[name], name)
			}
		}
		t.Log(count)
	}
	first := start("a")
	spread("a")
	second := start("b")
	spread("a", "b")
	third := start("c")
	spread("a", "b", "c")
	first()
	spread("b", "c")
	second()
	third()
}
