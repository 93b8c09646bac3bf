package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// eachVault does something in one store after the other, and says in which what was
// done and what has failed. One that fails keeps it from no other.
func (w *Worker) eachVault(ctx context.Context, do func(*vault) (summary string, err error)) (string, error) {
	vaults, failed := w.vaults(ctx)
	var done []string
	for _, v := range vaults {
		summary, err := do(v)
		if ctx.Err() != nil { // which the store would call something else
			return "", errors.Join(append(failed, v.failed(err), ctx.Err())...)
		}
		if err != nil {
			failed = append(failed, v.failed(err))
		} else {
			done = append(done, v.name+": "+summary)
		}
	}
	return strings.Join(done, "; "), errors.Join(failed...)
}

// verifySample reads the stored bytes of those backups that were looked at longest
// ago, and of the newest.
func (w *Worker) verifySample(ctx context.Context, run cronjobs.Run) (string, error) {
	return w.eachVault(ctx, func(v *vault) (string, error) {
		all, problems, err := v.List(ctx)
		if err != nil {
			return "", err
		}
		e := &examination{Worker: w, vault: v, look: func(b *snapshot.Backup) (snapshot.Checks, error) {
			return v.VerifyStored(ctx, b, w.Now)
		}}
		e.unreadable(problems)
		e.all(ctx, sample(all, w.cluster.Sample, run))
		return fmt.Sprintf("%s, %s read, all as they were stored", e.backups(len(all)), humanize.IBytes(uint64(e.bytes))), e.err()
	})
}

// sample chooses backups that hold the share of all stored bytes, less what was looked
// at since the slot: an earlier try of the same run has done its part.
func sample(all []*snapshot.Backup, share float64, run cronjobs.Run) []*snapshot.Backup {
	var total, done int64
	var rest []*snapshot.Backup
	for _, b := range all {
		total += b.Stored.Size
		if examined(b).Before(run.Slot) {
			rest = append(rest, b)
		} else {
			done += b.Stored.Size
		}
	}
	var chosen []*snapshot.Backup
	if n := len(rest); n > 0 && rest[n-1] == all[len(all)-1] {
		chosen, rest = append(chosen, rest[n-1]), rest[:n-1]
		done += chosen[0].Stored.Size
	}
	longestFirst(rest)
	for _, b := range rest {
		if float64(done) >= share*float64(total) {
			break
		}
		chosen = append(chosen, b)
		done += b.Stored.Size
	}
	return chosen
}

// verify climbs the whole ladder for every backup that it was not climbed for since
// the slot, by an earlier try or by hand.
func (w *Worker) verify(ctx context.Context, run cronjobs.Run) (string, error) {
	return w.eachVault(ctx, func(v *vault) (string, error) {
		all, problems, err := v.List(ctx)
		if err != nil {
			return "", err
		}
		e := &examination{Worker: w, vault: v, look: func(b *snapshot.Backup) (snapshot.Checks, error) {
			return w.climb(ctx, v, b)
		}}
		e.unreadable(problems)
		left := slices.DeleteFunc(slices.Clone(all), func(b *snapshot.Backup) bool { return e.climbed(ctx, b, run) })
		longestFirst(left)
		e.all(ctx, left)
		return fmt.Sprintf("%s, %s read, all sound", e.backups(len(all)), humanize.IBytes(uint64(e.bytes))), e.err()
	})
}

// climb climbs the ladder, and lets the room that it took go again.
func (w *Worker) climb(ctx context.Context, v *vault, b *snapshot.Backup) (snapshot.Checks, error) {
	found, spool, err := v.VerifyBackup(ctx, b, w.SpoolDir, w.Now)
	if err != nil {
		return nil, err
	}
	if spool != nil {
		err = spool.Close()
	}
	return found.Checks, err
}

// examined is when somebody last looked at the stored bytes of a backup; zero: never.
// Every report has read them.
func examined(b *snapshot.Backup) time.Time {
	return b.ReportedAt(snapshot.ReportVerification, snapshot.ReportRehearsal)
}

// longestFirst puts those first that nobody has looked at for longest. Those that
// nobody ever has looked at come before them, the oldest first.
func longestFirst(backups []*snapshot.Backup) {
	slices.SortStableFunc(backups, func(a, b *snapshot.Backup) int { return examined(a).Compare(examined(b)) })
}

// examination looks at backups in one store.
type examination struct {
	*Worker
	vault *vault
	look  func(*snapshot.Backup) (snapshot.Checks, error)

	done   int
	bytes  int64
	failed []error
}

// unreadable counts what is listed and cannot be read as damaged, or as what it is.
func (e *examination) unreadable(problems []snapshot.Problem) {
	for _, p := range problems {
		e.failed = append(e.failed, fmt.Errorf("backup %s: %w", p.ID, p.Err))
	}
}

// climbed tells whether the ladder was climbed since the slot and held, as far as there
// are identities.
func (e *examination) climbed(ctx context.Context, b *snapshot.Backup, run cronjobs.Run) bool {
	if examined(b).Before(run.Slot) {
		return false
	}
	r, err := e.vault.LatestReport(ctx, b, snapshot.ReportVerification, snapshot.ReportRehearsal)
	switch {
	case err != nil || r == nil || r.Time.Before(run.Slot) || !r.Passed:
		return false // what was found damaged is looked at again, so that it is named again
	case r.Kind == snapshot.ReportRehearsal || r.Reached(snapshot.RungStructure):
		return true
	}
	return !e.vault.CanOpen(b)
}

// tooMany unavailable objects in a row are a store that is unavailable. One alone that
// cannot be had must not keep anybody from looking at the others.
const tooMany = 3

// all looks at backups one after the other, and keeps a report of each. It goes on
// behind those that are damaged, and ends with ctx.
func (e *examination) all(ctx context.Context, backups []*snapshot.Backup) {
	unavailable := 0
	for _, b := range backups {
		if ctx.Err() != nil || unavailable == tooMany {
			return
		}
		err := e.one(ctx, b)
		if unavailable++; !errors.Is(err, storage.ErrUnavailable) {
			unavailable = 0
		}
		if err != nil {
			e.failed = append(e.failed, fmt.Errorf("backup %s: %w", b.ID, err))
		}
	}
}

func (e *examination) one(ctx context.Context, b *snapshot.Backup) error {
	checks, err := e.look(b)
	if err != nil || checks.Err() != nil {
		if gone, goneErr := e.vault.Gone(ctx, b); goneErr == nil && gone { // by a prune, which goes on beside
			return nil
		}
	}
	if err != nil {
		return err
	}
	e.done++
	e.bytes += b.Stored.Size
	return e.vault.Conclude(ctx, b, snapshot.Report{Kind: snapshot.ReportVerification, Time: e.Now(), Checks: checks, Etcdha: e.Version})
}

// backups says how many were looked at.
func (e *examination) backups(of int) string {
	return fmt.Sprintf("%d of %s", e.done, english.Plural(of, "backup", ""))
}

func (e *examination) err() error { return errors.Join(e.failed...) }
