package jobs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

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

func (w *Worker) refresh(ctx context.Context, s *shelf) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.view.token:
	}
	defer func() { s.view.token <- struct{}{} }()
	c, err := w.vault(ctx, s)
	if err != nil {
		return err
	}
	found, err := s.view.read(ctx, c)
	if err != nil {
		return err
	}
	v := s.view
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = found
	v.store = status.Store{Name: s.config.Name, URL: c.Store.String(), Read: w.Now()}
	for _, k := range found {
		if k.err != nil {
			v.store.Unread++
		}
	}
	return nil
}

// parallelReads of small objects hide the round trips of a remote store.
const parallelReads = 8

// read reads what has changed. It is an error if nothing of it can be read.
func (v *view) read(ctx context.Context, c *vault) (map[string]*known, error) {
	listed, err := c.Index(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]*known, len(listed))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, l := range listed {
		found[i] = v.known[l.Lineage+"/"+l.ID]
		if found[i].changed(l) {
			group.Go(func() error {
				found[i] = know(reading, c, l, found[i])
				return reading.Err()
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := make(map[string]*known, len(listed))
	var failed []error
	for _, k := range found {
		all[k.key()] = k
		if k.err != nil {
			failed = append(failed, k.err)
		}
	}
	if len(failed) > 0 && len(failed) == len(found) && errors.Is(failed[0], storage.ErrUnavailable) {
		return nil, failed[0]
	}
	return all, nil
}

// know reads a backup and what its reports say of it. One that cannot be read stays as it was.
func know(ctx context.Context, c *vault, l snapshot.Listing, before *known) *known {
	k := &known{id: l.ID, lineage: l.Lineage, records: l.Records, newest: l.Newest}
	b, err := c.Read(ctx, l)
	if err != nil {
		if before != nil {
			k.Backup, k.member = before.Backup, before.member
		}
		k.err = err
		return k
	}
	k.member = b.Member.ID
	k.Backup = status.Backup{
		ID: b.ID, Lineage: b.Cluster.Lineage, Emergency: b.Kind == snapshot.KindEmergency,
		Started: b.Started, Finished: b.Finished, Revision: b.Revision,
		DBSize: b.DB.Size, StoredSize: b.Stored.Size, Member: b.Member.Name,
		Rung: status.Listed, Held: b.Held(),
	}
	k.err = k.prove(ctx, c, b)
	return k
}

// prove finds out how well a backup is proven.
func (k *known) prove(ctx context.Context, c *vault, b *snapshot.Backup) error {
	verified, err := c.LatestReport(ctx, b, snapshot.ReportVerification)
	rehearsed, rehearsedErr := c.LatestReport(ctx, b, snapshot.ReportRehearsal)
	if err := errors.Join(err, rehearsedErr); err != nil {
		return err
	}
	if verified != nil && verified.Sound() {
		k.Rung = status.Sampled
		if verified.Reached(snapshot.RungStructure) {
			k.Rung, k.Verified = status.Verified, verified.Time
		}
	}
	if rehearsed != nil {
		k.Rehearsal = stages(rehearsed.Checks)
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
