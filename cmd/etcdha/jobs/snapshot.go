package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// snapshot saves to the stores that have no backup of the slot yet. One that another
// store has is copied from there: it keeps its id and its life of the cluster, and the
// member is not streamed from once more.
func (w *Worker) snapshot(ctx context.Context, run cronjobs.Run) (string, error) {
	cluster, err := snapshot.Connect(ctx, w.etcd, w.Log)
	if err != nil {
		return "", err
	}
	defer cluster.Close()
	s := &slot{Worker: w, cluster: cluster, run: run}
	lacking, err := s.lookFor(ctx)
	if err != nil {
		return "", err
	}
	if lacking = s.copy(ctx, lacking); len(lacking) > 0 {
		if err := s.save(ctx, lacking); err != nil {
			s.failed = append(s.failed, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return s.summary(), s.err()
}

// slot is a snapshot of one slot on its way into all stores.
type slot struct {
	*Worker
	cluster *snapshot.Cluster
	run     cronjobs.Run

	kept   []*kept
	failed []error // of stores, which are named
}

// kept is a store that has a backup of the slot.
type kept struct {
	*vault
	backup *snapshot.Backup
}

// lookFor sorts the stores by whether they have a backup of the slot.
func (s *slot) lookFor(ctx context.Context) (lacking []*vault, err error) {
	var looked []*kept
	looked, s.failed = sorted(ask(ctx, s.Worker, lookWait, s.look))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, k := range looked {
		if k.backup != nil {
			s.kept = append(s.kept, k)
		} else {
			lacking = append(lacking, k.vault)
		}
	}
	return lacking, nil
}

func (s *slot) look(ctx context.Context, on *shelf) (*kept, error) {
	v, err := s.vault(ctx, on)
	if err != nil {
		return nil, err
	}
	v.MayAct = s.run.MayAct
	b, err := s.find(ctx, v)
	return &kept{vault: v, backup: b}, err
}

// maxSkew is more than the clocks of hosts differ that somebody looks after. What is dated
// later was written by a clock that was wrong, and says nothing of when.
const maxSkew = time.Minute

// find returns the newest backup of the slot, nil if there is none. One counts that is as a
// save would make it now. Nothing is read of older ones, which are the most.
func (s *slot) find(ctx context.Context, v *vault) (*snapshot.Backup, error) {
	all, err := v.index(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range slices.Backward(all) {
		began, ok := l.Began()
		if !ok || began.Before(s.run.Slot.Truncate(time.Second)) || began.After(s.Now().Add(maxSkew)) {
			continue
		}
		b, err := v.Read(ctx, l)
		switch {
		case unreadable(err), errors.Is(err, storage.ErrNotExist): // no backup to rely on; or pruned
			continue
		case err != nil:
			return nil, err
		case b.Kind != snapshot.KindOrdinary || b.Started.Before(s.run.Slot) || !s.asConfigured(l, b):
			continue
		}
		if same, err := v.SameLife(ctx, b, furthest(s.cluster)); err != nil || same {
			return b, err
		}
	}
	return nil, nil
}

// unreadable tells whether an error says that reading again changes nothing.
func unreadable(err error) bool {
	return errors.Is(err, fail.ErrVerification) || errors.Is(err, snapshot.ErrNewerFormat)
}

// asConfigured tells whether a backup can be opened by those only who are to open it, and
// is signed if it has to be. Others are made by hand.
func (w *Worker) asConfigured(l snapshot.Listing, b *snapshot.Backup) bool {
	if w.signKey != nil && !l.Signed {
		return false
	}
	if w.seal.Recipients == nil {
		return true
	}
	return b.Encryption != nil && slices.Equal(
		slices.Sorted(slices.Values(b.Encryption.Recipients)), slices.Sorted(slices.Values(w.seal.Recipients.Fingerprints())))
}

// copy brings the backup that a store has into the others, and returns those that
// need one of their own: an interrupted save can have left something in the way, and
// the backup can be damaged wherever it lies.
func (s *slot) copy(ctx context.Context, lacking []*vault) (left []*vault) {
	have := s.kept
	if len(have) == 0 {
		return lacking
	}
	for _, v := range lacking {
		backup, err := s.copyInto(ctx, have, v)
		switch {
		case errors.Is(err, fail.ErrVerification):
			left = append(left, v)
		case err != nil:
			s.failed = append(s.failed, v.failed(err))
		default:
			s.kept = append(s.kept, &kept{vault: v, backup: backup})
		}
	}
	return left
}

// copyInto copies from the first store that can give it. The error is that of the last.
func (s *slot) copyInto(ctx context.Context, have []*kept, v *vault) (*snapshot.Backup, error) {
	var err error
	for _, from := range have {
		var copied snapshot.Copied
		copied, err = from.Copy(ctx, from.backup, v.Store)
		if err == nil {
			if copied.Damaged != nil {
				s.Log.Warn("records of a backup are damaged", "store", from.name, "id", from.backup.ID, "error", copied.Damaged)
			}
			return from.backup, nil
		}
		s.Log.Warn("a backup cannot be copied", "from", from.name, "to", v.name, "error", err)
	}
	return nil, err
}

// save streams from a member into the stores.
func (s *slot) save(ctx context.Context, lacking []*vault) error {
	member, err := s.cluster.Choose(ctx, false)
	if err != nil {
		return err
	}
	o := s.saveOptions(member, lacking)
	if len(s.kept) > 0 {
		o.Lineage = s.kept[0].backup.Cluster.Lineage
	}
	saved, err := snapshot.Save(ctx, o)
	if saved == nil {
		return err
	}
	for i, stored := range saved.Stores {
		if stored.Err != nil {
			s.failed = append(s.failed, lacking[i].failed(stored.Err))
			continue
		}
		s.kept = append(s.kept, &kept{vault: lacking[i], backup: stored.Backup})
	}
	return nil
}

func (w *Worker) saveOptions(m *snapshot.Member, into []*vault) snapshot.SaveOptions {
	o := snapshot.SaveOptions{
		Member: m, Seal: w.seal, SignKey: w.signKey, SpoolDir: w.SpoolDir,
		Now: w.Now, Random: w.Random, Log: w.Log, Version: w.Version,
	}
	for _, v := range into {
		o.Catalogs = append(o.Catalogs, v.Catalog)
	}
	return o
}

// summary is one line about what there is.
func (s *slot) summary() string {
	if len(s.kept) == 0 {
		return ""
	}
	var ids []string
	for _, k := range s.kept {
		if !slices.Contains(ids, k.backup.ID) {
			ids = append(ids, k.backup.ID)
		}
	}
	b := s.kept[0].backup
	return fmt.Sprintf("%s, %s, in %s, verified, live %s", and(ids), humanize.IBytes(uint64(b.DB.Size)), s.where(), b.HashKV.Live)
}

func (s *slot) where() string {
	var names []string
	for _, k := range s.kept {
		names = append(names, k.name)
	}
	return and(names)
}

// err is nil if every store has the backup. It names those that have it, too.
func (s *slot) err() error {
	err := errors.Join(s.failed...)
	if err == nil || len(s.kept) == 0 {
		return err
	}
	return inStore(fmt.Errorf("%s has the backup %s, but: %w", s.where(), s.kept[0].backup.ID, err))
}

// furthest is the status of the member that is furthest ahead: one behind a backup
// would look like another life of the cluster.
func furthest(c *snapshot.Cluster) *pb.StatusResponse {
	return slices.MaxFunc(c.Members, func(a, b *snapshot.Member) int {
		return cmp.Compare(a.Status.RaftIndex, b.Status.RaftIndex)
	}).Status
}

// and joins names as people do.
func and(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
