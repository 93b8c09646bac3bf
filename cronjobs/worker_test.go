package cronjobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// worker is one of a cluster in the world.
type worker struct {
	*node
	cluster string
}

var errCut = errors.New("the instance was killed")

func (wk *worker) Do(ctx context.Context, r Run) (string, error) {
	a := &act{cluster: wk.cluster, instance: wk.name, run: r, from: time.Now()}
	wk.w.mu.Lock()
	wk.w.acts = append(wk.w.acts, a)
	do := wk.w.do
	wk.w.mu.Unlock()
	summary, err := "", error(nil)
	if do != nil {
		cut, cancel := context.WithCancel(ctx)
		stop := make(chan struct{})
		go func() {
			defer cancel()
			select {
			case <-wk.dead:
			case <-stop:
			}
		}()
		summary, err = do(cut, wk.cluster, r)
		close(stop)
	}
	if wk.killed() {
		err = errCut
	}
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	a.to, a.err = time.Now(), err
	return summary, err
}

func (wk *worker) Last(_ context.Context, job config.JobName) (*status.Record, error) {
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	wk.w.asked[job]++
	if wk.w.last != nil {
		if err := wk.w.last(wk.cluster); err != nil {
			return nil, err
		}
	}
	return wk.w.newest[wk.cluster+"/"+string(job)], nil
}

func (wk *worker) Add(ctx context.Context, r status.Record) error {
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	if wk.killed() {
		return errCut
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	kept, err := true, error(nil)
	if wk.w.add != nil {
		kept, err = wk.w.add(r)
	}
	if !kept {
		return err
	}
	if !wk.w.keep(r) {
		return errors.Join(err, ErrRecorded)
	}
	return err
}

// keep puts a record into the store, and is false if there is one for its slot. w.mu is held.
func (w *world) keep(r status.Record) bool {
	job := r.Cluster + "/" + string(r.Job)
	newest := w.newest[job]
	if newest != nil && !r.Slot.After(newest.Slot) && slices.ContainsFunc(w.kept, func(old keptRecord) bool {
		return old.Cluster == r.Cluster && old.Job == r.Job && old.Slot.Equal(r.Slot)
	}) {
		return false
	}
	w.kept = append(w.kept, keptRecord{r, time.Now()})
	if newest == nil || r.Slot.After(newest.Slot) {
		w.newest[job] = &r
	}
	return true
}

func (wk *worker) Observe(context.Context) status.Cluster {
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	wk.w.looks[wk.cluster] = append(wk.w.looks[wk.cluster], time.Now())
	return status.Cluster{ID: "c1", Observed: time.Now(), Quorum: true}
}

func (wk *worker) Local(context.Context) (*LocalMember, error) {
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	return wk.w.member()
}

func (wk *worker) LastEmergency(_ context.Context, member uint64) (*status.Backup, error) {
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	for _, b := range slices.Backward(wk.w.emergencies) {
		if b.Member == fmt.Sprint(member) {
			return &b, nil
		}
	}
	return nil, nil
}

func (wk *worker) SaveEmergency(ctx context.Context) (string, error) {
	if wk.w.save != nil {
		return wk.w.save(ctx)
	}
	m, err := wk.Local(ctx)
	if err != nil {
		return "", err
	}
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	b := status.Backup{ID: fmt.Sprintf("e%d", len(wk.w.emergencies)+1), Member: fmt.Sprint(m.ID), Started: time.Now(), Emergency: true}
	wk.w.emergencies = append(wk.w.emergencies, b)
	return b.ID, nil
}

func (wk *worker) Close() {
	wk.w.mu.Lock()
	defer wk.w.mu.Unlock()
	wk.w.open[wk.cluster]--
}
