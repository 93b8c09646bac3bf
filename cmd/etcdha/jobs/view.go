package jobs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// view is what was seen in a store. What has not changed since is not read again, so
// that a look costs one listing.
type view struct {
	token chan struct{} // one looks at a time, and can be waited for with a context

	mu    sync.Mutex
	store status.Store      // without its backups
	known map[string]*known // by lineage and id; neither it nor its values are ever changed
}

// known is a backup as it was read.
type known struct {
	id, lineage   string
	status.Backup        // without an id if it was never read
	member        string // id of the one that it came from, in hex
	asConfigured  bool

	records int    // that it had then
	newest  string // the last of them in their order
	err     error  // why not all of it could be read
}

// changed tells whether a backup has to be read, again or for the first time: nothing
// in a store is ever overwritten. What could not be read is tried each time.
func (k *known) changed(l snapshot.Listing) bool {
	return k == nil || k.err != nil || k.records != l.Records || k.newest != l.Newest
}

func (k *known) key() string { return k.lineage + "/" + k.id }

func newView(name string) *view {
	v := &view{token: make(chan struct{}, 1), store: status.Store{Name: name}}
	v.token <- struct{}{}
	return v
}

// look reads what is new in a store. With an error comes what was seen before. The
// backups are in the order in which they were begun.
func (w *Worker) look(ctx context.Context, s *shelf) (status.Store, []*known, error) {
	err := w.refresh(ctx, s)
	seen, backups := s.view.last()
	if err != nil {
		seen.Err, seen.Hint = err.Error(), fail.Hint(err)
	}
	return seen, backups, err
}

func (v *view) last() (status.Store, []*known) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := slices.SortedFunc(maps.Values(v.known), func(a, b *known) int {
		return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.key(), b.key()))
	})
	return v.store, slices.DeleteFunc(all, func(k *known) bool { return k.ID == "" })
}

// refresh is not waited for longer than ctx lasts. One that hangs, as a mount can, keeps
// the token, so that there is one at most.
func (w *Worker) refresh(ctx context.Context, s *shelf) error {
	select {
	case <-ctx.Done():
		return silent(ctx)
	case <-s.view.token:
	}
	_, err := within(ctx, 0, func() (struct{}, error) {
		defer func() { s.view.token <- struct{}{} }()
		return struct{}{}, w.read(ctx, s)
	})
	return err
}

// read reads what has changed. It is an error if nothing of it can be read, and if ctx ends
// before all of it is: then what was read stays, so that the next look comes further.
func (w *Worker) read(ctx context.Context, s *shelf) error {
	c, err := w.vault(ctx, s)
	if err != nil {
		return err
	}
	listed, err := c.index(ctx)
	if err != nil {
		return err
	}
	v := s.view
	found := make([]*known, len(listed))
	var group errgroup.Group
	group.SetLimit(smallReads)
	for i, l := range listed {
		found[i] = v.known[l.Lineage+"/"+l.ID]
		if found[i].changed(l) {
			group.Go(func() error {
				return w.Stores.read(ctx, func() {
					if k := w.know(ctx, c, l, found[i]); k.err == nil || ctx.Err() == nil {
						found[i] = k
					}
				})
			})
		}
	}
	err = group.Wait()
	return v.keep(found, err, status.Store{Name: s.config.Name, URL: c.Store.String(), Read: w.Now()})
}

// keep keeps what was found. With the error of a look that was broken off it is not all.
func (v *view) keep(found []*known, brokenOff error, s status.Store) error {
	all := make(map[string]*known, len(found))
	var failed []error
	for _, k := range found {
		if k == nil { // it was not its turn yet
			continue
		}
		all[k.key()] = k
		if k.err != nil {
			failed = append(failed, k.err)
		}
	}
	if brokenOff == nil && len(failed) > 0 && len(failed) == len(found) && errors.Is(failed[0], storage.ErrUnavailable) {
		return failed[0]
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = all
	if brokenOff == nil {
		v.store = s
		v.store.Unread = len(failed)
	}
	return brokenOff
}

// know reads a backup and what its reports say of it. What cannot be read stays as it was.
func (w *Worker) know(ctx context.Context, c *vault, l snapshot.Listing, before *known) *known {
	k := &known{id: l.ID, lineage: l.Lineage, records: l.Records, newest: l.Newest}
	if before == nil {
		before = &known{}
	}
	b, err := c.Read(ctx, l)
	if err != nil {
		k.Backup, k.member, k.asConfigured, k.err = before.Backup, before.member, before.asConfigured, err
		return k
	}
	k.member, k.asConfigured = b.Member.ID, w.asConfigured(l, b)
	k.Backup = status.Backup{
		ID: b.ID, Lineage: b.Cluster.Lineage, Emergency: b.Kind == snapshot.KindEmergency,
		Started: b.Started, Finished: b.Finished, Revision: b.Revision,
		DBSize: b.DB.Size, StoredSize: b.Stored.Size, Member: b.Member.Name,
		Rung: status.Listed, Held: b.Held(),
		Verified: before.Verified, Rehearsed: before.Rehearsed, Rehearsal: before.Rehearsal, RehearsalTime: before.RehearsalTime,
	}
	if before.ID != "" {
		k.Rung = before.Rung
	}
	k.err = k.prove(ctx, c, b)
	return k
}

// prove finds out how well a backup is proven. With an error nothing changes.
func (k *known) prove(ctx context.Context, c *vault, b *snapshot.Backup) error {
	verified, err := c.LatestReport(ctx, b, snapshot.ReportVerification)
	rehearsed, rehearsedErr := c.LatestReport(ctx, b, snapshot.ReportRehearsal)
	if err := errors.Join(err, rehearsedErr); err != nil {
		return err
	}
	k.Rung, k.Verified, k.Rehearsed, k.Rehearsal, k.RehearsalTime = status.Listed, time.Time{}, time.Time{}, nil, time.Time{}
	if verified != nil && verified.Sound() {
		k.Rung = status.Sampled
		if verified.Reached(snapshot.RungStructure) {
			k.Rung, k.Verified = status.Verified, verified.Time
		}
	}
	if rehearsed != nil {
		k.Rehearsal, k.RehearsalTime = stages(rehearsed.Checks), rehearsed.Time
	}
	if rehearsed != nil && rehearsed.Sound() {
		k.Rung, k.Rehearsed = status.Rehearsed, rehearsed.Time
		if rehearsed.Time.After(k.Verified) { // it has climbed the ladder first
			k.Verified = rehearsed.Time
		}
	}
	if damaged(verified, rehearsed) || damaged(rehearsed, verified) {
		k.Rung = status.Failed
	}
	return nil
}

// damaged tells whether a report found damage, and the other one has not disproved it
// since: one that saw only the stored bytes cannot. Names are in the order of time.
func damaged(r, other *snapshot.Report) bool {
	if r == nil || r.Sound() {
		return false
	}
	deep := other != nil && (other.Kind == snapshot.ReportRehearsal || other.Reached(snapshot.RungStructure))
	return !deep || !other.Sound() || other.Name < r.Name
}

func stages(checks snapshot.Checks) []status.Stage {
	var out []status.Stage
	for _, c := range checks {
		out = append(out, status.Stage{Name: c.Name, Verdict: string(c.Verdict), Detail: c.Detail, Seconds: c.Seconds})
	}
	return out
}
