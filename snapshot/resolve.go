package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// Words that stand for an id.
const (
	Latest          = "latest"
	LatestRehearsed = "latest-rehearsed"
)

// Resolve finds the backup that ref means: an id, a unique prefix of one,
// "latest", "latest-rehearsed", or "@TIME", the newest at or before TIME
// (RFC 3339, or an id's own form). What does not decide is [fail.ErrUsage].
//
// The last three are about one life of a cluster. Where the catalog holds
// several and none is chosen, live is asked for the status of the live cluster;
// it may be nil, or return nil if nothing answers.
func (c *Catalog) Resolve(ctx context.Context, ref string, live func(context.Context) *pb.StatusResponse) (*Backup, error) {
	all, problems, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	var found *Backup
	switch {
	case ref == Latest, ref == LatestRehearsed, strings.HasPrefix(ref, "@"):
		all, err = c.oneLineage(ctx, all, live)
		if err == nil {
			found, err = c.newest(ctx, all, problems, ref)
		}
	default:
		found, err = byPrefix(all, problems, ref)
	}
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fail.WithHint(fail.Usagef("no backup %q of cluster %s in %s", ref, c.Cluster, c.Store),
			"etcdha snapshot list shows what is there; --cluster chooses another cluster")
	}
	return found, nil
}

func byPrefix(all []*Backup, problems []Problem, ref string) (*Backup, error) {
	var matches []*Backup
	for _, b := range all {
		if b.ID == ref {
			return b, nil
		}
		if strings.HasPrefix(b.ID, ref) {
			matches = append(matches, b)
		}
	}
	for _, p := range problems {
		if strings.HasPrefix(p.ID, ref) {
			return nil, fmt.Errorf("backup %s: %w", p.ID, p.Err)
		}
	}
	if len(matches) > 1 {
		var ids []string
		for _, b := range matches {
			ids = append(ids, b.ID)
		}
		return nil, fail.WithHint(fail.Usagef("%q begins %d ids: %s", ref, len(ids), strings.Join(ids, ", ")), "give more of the id")
	}
	if len(matches) == 1 {
		return matches[0], nil
	}
	return nil, nil
}

// newest refuses to step over a newer entry that it cannot read: an older backup
// must not be taken for the latest in silence.
func (c *Catalog) newest(ctx context.Context, all []*Backup, problems []Problem, ref string) (*Backup, error) {
	until := time.Time{}
	if at, ok := strings.CutPrefix(ref, "@"); ok {
		var err error
		if until, err = parseTime(at); err != nil {
			return nil, err
		}
	}
	found, err := c.newestReadable(ctx, all, until, ref == LatestRehearsed)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		at, ok := idTime(p.ID)
		if ok && (until.IsZero() || !at.After(until)) && (found == nil || at.After(found.Started)) {
			return nil, fail.WithHint(fmt.Errorf("backup %s is the newest and cannot be read: %w", p.ID, p.Err), "give the id of an older backup to use that one")
		}
	}
	if found != nil && until.IsZero() && c.Now != nil && found.Started.After(c.Now().Add(maxSkew)) {
		return nil, fail.WithHint(fail.Usagef("the newest backup, %s, is dated in the future: some clock is or was wrong", found.ID),
			"give its id to mean it, or @TIME for the newest at or before a time")
	}
	return found, nil
}

// maxSkew is more than the clocks of two hosts differ that somebody looks after.
const maxSkew = time.Hour

func (c *Catalog) newestReadable(ctx context.Context, all []*Backup, until time.Time, rehearsed bool) (*Backup, error) {
	for _, b := range slices.Backward(all) {
		if b.Kind != KindOrdinary || !until.IsZero() && b.Started.After(until) {
			continue
		}
		if rehearsed {
			r, err := c.LatestReport(ctx, b, ReportRehearsal)
			if err != nil {
				return nil, err
			}
			if r == nil || !r.Passed {
				continue
			}
		}
		return b, nil
	}
	return nil, nil
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, timeFormat} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fail.WithHint(fail.Usagef("%q is no time", s), "for example @2026-11-20T23:52:11Z")
}

// oneLineage keeps the backups of one life of the cluster.
func (c *Catalog) oneLineage(ctx context.Context, all []*Backup, live func(context.Context) *pb.StatusResponse) ([]*Backup, error) {
	newest := newestByLineage(all)
	if len(newest) <= 1 {
		return all, nil
	}
	if live != nil {
		if s := live(ctx); s != nil {
			if lineage := continued(all, s); lineage != "" {
				return slices.DeleteFunc(all, func(b *Backup) bool { return b.Cluster.Lineage != lineage }), nil
			}
		}
	}
	var lines []string
	for _, b := range newest {
		lines = append(lines, fmt.Sprintf("%s/%s (newest %s)", c.Cluster, b.Cluster.Lineage, b.Started.UTC().Format(time.RFC3339)))
	}
	return nil, fail.WithHint(fail.Usagef("the store holds several lives of cluster %s: %s", c.Cluster, strings.Join(lines, ", ")),
		"--cluster NAME/LINEAGE chooses one")
}

// newestByLineage returns the newest backup of each lineage, given all in order.
func newestByLineage(all []*Backup) []*Backup {
	var newest []*Backup
	for _, b := range all {
		newest = slices.DeleteFunc(newest, func(n *Backup) bool { return n.Cluster.Lineage == b.Cluster.Lineage })
		newest = append(newest, b)
	}
	return newest
}

// continued returns the lineage that the cluster with status s carries on, or
// "". A cluster id is not unique: a cluster restored or made again with the
// same names, URLs and token has the same one. It is the same life only if its
// raft log has not gone back behind the newest backup.
//
// Emergency backups do not count: a survivor may be behind.
func continued(all []*Backup, s *pb.StatusResponse) string {
	ordinary := slices.DeleteFunc(slices.Clone(all), func(b *Backup) bool { return b.Kind != KindOrdinary })
	b := newestOf(ordinary, s.Header.ClusterId)
	if b == nil || s.RaftTerm < b.RaftTerm || s.RaftIndex < b.RaftIndex {
		return "" // an older life with this id is no nearer
	}
	return b.Cluster.Lineage
}

// newestOf returns the newest backup of a cluster id, given all in order, or nil.
func newestOf(all []*Backup, clusterID uint64) *Backup {
	for _, b := range slices.Backward(all) {
		if b.Cluster.ID == fmt.Sprintf("%x", clusterID) {
			return b
		}
	}
	return nil
}

// SameLife tells whether the live cluster with status s is in the life that b
// is of, so that their contents can be compared.
func (c *Catalog) SameLife(ctx context.Context, b *Backup, s *pb.StatusResponse) (bool, error) {
	everything := *c
	everything.Lineage = ""
	newest, err := everything.newestOrdinary(ctx, s.Header.ClusterId)
	return err == nil && continued(newest, s) == b.Cluster.Lineage, err
}

// newestOrdinary returns the newest ordinary backup of a cluster id, and those of its
// second. Nothing is read of older ones, which are the most; what is damaged is passed over.
func (c *Catalog) newestOrdinary(ctx context.Context, clusterID uint64) ([]*Backup, error) {
	all, err := c.Index(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Listing) int { return a.began().Compare(b.began()) })
	var found []*Backup
	for _, l := range slices.Backward(all) {
		if !strings.HasPrefix(l.Lineage, fmt.Sprintf("%x-", clusterID)) {
			continue
		}
		if len(found) > 0 && l.began().Before(found[0].Started.Truncate(time.Second)) {
			break
		}
		b, err := c.Read(ctx, l)
		switch {
		case errors.Is(err, fail.ErrVerification), errors.Is(err, ErrNewerFormat), errors.Is(err, storage.ErrNotExist):
		case err != nil:
			return nil, err
		case b.Kind == KindOrdinary:
			found = append(found, b)
		}
	}
	slices.SortFunc(found, byStart)
	return found, nil
}

// carriedOn returns the lineage in this store that a new backup of the cluster
// with status s belongs to, or "" if it begins one. An emergency backup belongs
// to the newest life there is: that the survivor is behind it does not make it
// another cluster.
func (c *Catalog) carriedOn(ctx context.Context, s *pb.StatusResponse, emergency bool, log *slog.Logger) (string, error) {
	everything := *c
	everything.Lineage, everything.VerifyKeys = "", nil // unsigned backups are of this life too
	all, problems, err := everything.List(ctx)
	if err != nil {
		return "", err
	}
	newest := newestOf(all, s.Header.ClusterId)
	if emergency && newest != nil {
		return newest.Cluster.Lineage, nil
	}
	if p := newerProblem(problems, newest, s.Header.ClusterId); p != nil {
		log.Warn("a new lineage begins: the newest backup cannot be read, and may be of another life", "id", p.ID, "lineage", p.Lineage, "error", p.Err)
		return "", nil
	}
	return continued(all, s), nil
}

// newerProblem is an entry of the cluster that is newer than all that can be
// read: nobody knows how far its raft log was, so that none can be carried on.
func newerProblem(problems []Problem, newest *Backup, clusterID uint64) *Problem {
	for _, p := range problems {
		at, ok := idTime(p.ID)
		if ok && strings.HasPrefix(p.Lineage, fmt.Sprintf("%x-", clusterID)) && (newest == nil || at.After(newest.Started)) {
			return &p
		}
	}
	return nil
}

func newLineage(clusterID uint64, random io.Reader) (string, error) {
	suffix, err := randomHex(random, 4)
	return fmt.Sprintf("%x-%s", clusterID, suffix), err
}
