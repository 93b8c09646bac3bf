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
	s := &slot{Worker: w, cluster: cluster, began: run.Slot}
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
	began   time.Time

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
	vaults, lost := s.vaults(ctx)
	s.failed = lost
	for _, v := range vaults {
		b, err := s.find(ctx, v)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			s.failed = append(s.failed, v.failed(err))
		case b != nil:
			s.kept = append(s.kept, &kept{vault: v, backup: b})
		default:
			lacking = append(lacking, v)
		}
	}
	return lacking, nil
}

// find returns the newest backup of the slot, nil if there is none. Nothing is read
// of older ones, which are the most.
func (s *slot) find(ctx context.Context, v *vault) (*snapshot.Backup, error) {
	all, err := v.Index(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range slices.Backward(all) {
		if began, ok := l.Began(); !ok || began.Before(s.began.Truncate(time.Second)) {
			continue
		}
		b, err := v.Read(ctx, l)
		if err != nil || b.Kind != snapshot.KindOrdinary || b.Started.Before(s.began) {
			continue // what cannot be read is no backup to rely on
		}
		if same, err := v.SameLife(ctx, b, furthest(s.cluster)); err != nil || same {
			return b, err
		}
	}
	return nil, nil
}

// copy brings the backup that one store has into the others, and returns those that
// need one of their own: an interrupted save can have left something in the way, and
// the backup can be damaged where it lies.
func (s *slot) copy(ctx context.Context, lacking []*vault) (left []*vault) {
	if len(s.kept) == 0 {
		return lacking
	}
	from := s.kept[0]
	for _, v := range lacking {
		_, err := from.Copy(ctx, from.backup, v.Store)
		switch {
		case errors.Is(err, fail.ErrVerification):
			s.Log.Warn("a backup cannot be copied", "from", from.name, "to", v.name, "error", err)
			left = append(left, v)
		case err != nil:
			s.failed = append(s.failed, v.failed(err))
		default:
			s.kept = append(s.kept, &kept{vault: v, backup: from.backup})
		}
	}
	return left
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
