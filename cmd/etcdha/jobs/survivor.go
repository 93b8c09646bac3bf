package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/snapshot"
)

// local is the member on this host. It is asked every few seconds, so that its
// connection is kept.
type local struct {
	endpoint string
	client   *membership.EtcdClient

	mu   sync.Mutex
	last cronjobs.LocalMember // without its leader
}

func newLocal(c etcdclient.Config, endpoint string, now func() time.Time) *local {
	return &local{endpoint: endpoint, client: membership.Connect(c, now)}
}

// Local implements [cronjobs.Survivor].
func (w *Worker) Local(ctx context.Context) (*cronjobs.LocalMember, error) {
	if w.local == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	m, err := w.local.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the member on this host: %w", err)
	}
	return m, nil
}

func (l *local) ask(ctx context.Context) (*cronjobs.LocalMember, error) {
	s, err := l.client.Status(ctx, l.endpoint)
	if err != nil {
		return nil, err
	}
	m := &cronjobs.LocalMember{ID: uint64(s.MemberID), Name: l.name(ctx, uint64(s.MemberID)), Leader: uint64(s.Leader)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = *m
	return m, nil
}

// name is asked for once: the name of an id never changes. It is for people, so that
// its absence is no error.
func (l *local) name(ctx context.Context, id uint64) string {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	if last.ID == id && last.Name != "" {
		return last.Name
	}
	list, err := l.client.Members(ctx, l.endpoint, false)
	if err != nil {
		return ""
	}
	i := slices.IndexFunc(list.Members, func(m membership.Listed) bool { return uint64(m.ID) == id })
	if i < 0 {
		return ""
	}
	return list.Members[i].Name
}

// localID is the id of the member on this host, as it said last, 0 if there is none.
func (w *Worker) localID(ctx context.Context) uint64 {
	if w.local == nil {
		return 0
	}
	if m, err := w.Local(ctx); err == nil {
		return m.ID
	}
	w.local.mu.Lock()
	defer w.local.mu.Unlock()
	return w.local.last.ID
}

// LastEmergency implements [cronjobs.Survivor]. It is an error if no store can be read.
func (w *Worker) LastEmergency(ctx context.Context, member uint64) (*status.Backup, error) {
	var newest *status.Backup
	err := w.anyShelf(ctx, func(all []*known) {
		for _, k := range all {
			if k.Started.After(w.Now().Add(maxSkew)) {
				continue // or it would say for long that none is due
			}
			if k.Emergency && k.member == fmt.Sprintf("%x", member) && (newest == nil || k.Started.After(newest.Started)) {
				newest = &k.Backup
			}
		}
	})
	return newest, err
}

// lookWait is how long a look into a store may take for those who wait for it: less than
// they do. What was read by then need not be read again.
const lookWait = 25 * time.Second

// anyShelf looks into every store, and is an error only if none can be read: what
// others have counts.
func (w *Worker) anyShelf(ctx context.Context, see func([]*known)) error {
	seen, failed := sorted(ask(ctx, w, lookWait, func(ctx context.Context, s *shelf) ([]*known, error) {
		_, all, err := w.look(ctx, s)
		return all, err
	}))
	if len(seen) == 0 {
		return inStore(errors.Join(failed...))
	}
	for _, all := range seen {
		see(all)
	}
	for _, err := range failed {
		w.Log.Warn("a store cannot be read", "error", err)
	}
	return nil
}

// SaveEmergency implements [cronjobs.Survivor].
func (w *Worker) SaveEmergency(ctx context.Context) (string, error) {
	config := w.etcd
	config.Endpoints = []string{w.cluster.Local}
	cluster, err := snapshot.Connect(ctx, config, w.Log)
	if err != nil {
		return "", err
	}
	defer cluster.Close()
	member, err := cluster.Choose(ctx, true)
	if err != nil {
		return "", err
	}
	vaults, lost := w.vaults(ctx)
	if len(vaults) == 0 {
		return "", inStore(errors.Join(lost...))
	}
	o := w.saveOptions(member, vaults)
	o.Emergency = true
	saved, err := snapshot.Save(ctx, o)
	if saved == nil {
		return "", errors.Join(append(lost, err)...)
	}
	for _, failed := range append(lost, err) {
		if failed != nil {
			w.Log.Warn("a store has not got the emergency backup", "error", failed)
		}
	}
	i := slices.IndexFunc(saved.Stores, func(s snapshot.Stored) bool { return s.Backup != nil })
	return saved.Stores[i].Backup.ID, nil
}
