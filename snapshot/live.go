package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// LiveHash says whether a save asks the live member for its HashKV.
type LiveHash string

const (
	LiveAuto LiveHash = "auto" // where it is short
	LiveOn   LiveHash = "on"
	LiveOff  LiveHash = "off"
)

// A member applies nothing while it computes HashKV, half a second a GB of
// records when its db is in memory. autoHashBytes keeps that to a second.
const (
	hashBytesPerSecond = 2 << 30
	autoHashBytes      = 1 * hashBytesPerSecond
)

// hashTimeout is generous: a member that computes with a cold page cache is
// slow, and giving up does not stop it.
const hashTimeout = 5 * time.Minute

// liveResult is what a member said of the records that a snapshot holds.
type liveResult struct {
	verdict Verdict
	detail  string
}

// compareLive asks m for its HashKV at the revision of the snapshot, and
// computes the same from the file with the compact revision that m returns.
func compareLive(ctx context.Context, m *Member, db *dbfile.File, report *dbfile.Report) liveResult {
	revision := report.CurrentRevision()
	resp, err := m.hashKV(ctx, revision, hashTimeout)
	// Before its first compaction a member says -1.
	if err == nil && max(resp.CompactRevision, 0) < report.CompactRevision && m.Status.Header.Revision == revision {
		// Answered from the cache of compaction hashes. Revision 0 goes past
		// it, to what is now the newest.
		resp, err = m.hashKV(ctx, 0, hashTimeout)
		if err == nil && hashedRevision(resp) != revision {
			return liveResult{NotComparable, fmt.Sprintf("%s has gone on to revision %d", m, resp.Header.Revision)}
		}
	}
	if err != nil {
		return liveResult{NotComparable, notHashed(m, revision, err)}
	}
	want, err := db.HashKV(ctx, revision, resp.CompactRevision)
	switch {
	case errors.Is(err, dbfile.ErrNotComparable):
		return liveResult{NotComparable, fmt.Sprintf("%s hashed from compact revision %d, the snapshot has %d", m, resp.CompactRevision, report.CompactRevision)}
	case err != nil:
		return liveResult{NotComparable, err.Error()}
	case want != resp.Hash:
		return liveResult{Mismatch, fmt.Sprintf("HashKV at revision %d is %08x here, %08x on %s", revision, want, resp.Hash, m)}
	}
	return liveResult{Match, fmt.Sprintf("HashKV %08x at revision %d, same on %s", want, revision, m)}
}

// hashedRevision is the revision of an answer. etcd 3.5 does not say it; the
// header's was read after the hash, so that it can only be later.
func hashedRevision(resp *pb.HashKVResponse) int64 {
	if resp.HashRevision == 0 {
		return resp.Header.Revision
	}
	return resp.HashRevision
}

func notHashed(m *Member, revision int64, err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "required revision has been compacted"):
		return fmt.Sprintf("revision %d is compacted away on %s", revision, m)
	case strings.Contains(text, "required revision is a future revision"):
		return fmt.Sprintf("%s has not reached revision %d", m, revision)
	}
	return etcdclient.Explain(m.Endpoint, err).Error()
}

// Live compares a snapshot with live members: with the one it came from, or,
// where that is not known (source 0), with the first endpoint; with all, every
// other member too, one at a time and the leader last.
func (c *Cluster) Live(ctx context.Context, db *dbfile.File, report *dbfile.Report, source uint64, all bool, now func() time.Time) Checks {
	var checks Checks
	if all || source != 0 && c.Member(source) == nil {
		for _, name := range c.Discover(ctx) {
			if all {
				checks = append(checks, Check{Name: RungLive, Verdict: NotComparable, Detail: name + " does not answer"})
			}
		}
	}
	members := c.Members
	if !all {
		m := c.Members[0]
		if source != 0 {
			m = c.Member(source)
		}
		if m == nil {
			return Checks{{Name: RungLive, Verdict: NotComparable, Detail: fmt.Sprintf("member %x, which it came from, does not answer", source)}}
		}
		members = []*Member{m}
	}
	members = slices.Clone(members)
	slices.SortStableFunc(members, func(a, b *Member) int { return rank(a) - rank(b) })
	for _, m := range members {
		start := now()
		r := compareLive(ctx, m, db, report)
		checks = append(checks, Check{Name: RungLive, Verdict: r.verdict, Detail: r.detail, Seconds: now().Sub(start).Seconds()})
	}
	return checks
}
