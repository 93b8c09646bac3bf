package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// verifySample reads the stored bytes of those backups that were looked at longest
// ago, and of the newest.
func (w *Worker) verifySample(ctx context.Context, run cronjobs.Run) (string, error) {
	return w.eachVault(ctx, func(ctx context.Context, v *vault) (string, error) {
		e, all, err := w.examination(ctx, v)
		if err != nil {
			return "", err
		}
		e.look = func(b *snapshot.Backup) (snapshot.Checks, error) { return v.VerifyStored(ctx, b, w.Now) }
		e.all(ctx, e.sample(all, w.cluster.Sample, run))
		return e.summary(len(all), "all as they were stored"), e.err()
	})
}

// sample chooses the newest backup, and of the others some that hold the share of their stored
// bytes, at least one. What was looked at since the slot was chosen by an earlier try.
func (e *examination) sample(all []*snapshot.Backup, share float64, run cronjobs.Run) []*snapshot.Backup {
	if len(all) == 0 {
		return nil
	}
	newest, others := all[len(all)-1], all[:len(all)-1]
	var chosen, rest []*snapshot.Backup
	if e.examined[newest].Before(run.Slot) {
		chosen = append(chosen, newest)
	}
	var total, done int64
	for _, b := range others {
		total += b.Stored.Size
		if e.examined[b].Before(run.Slot) {
			rest = append(rest, b)
		} else {
			done += b.Stored.Size
		}
	}
	e.longestFirst(rest)
	for _, b := range rest {
		if done > 0 && float64(done) >= share*float64(total) {
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
	return w.eachVault(ctx, func(ctx context.Context, v *vault) (string, error) {
		e, all, err := w.examination(ctx, v)
		if err != nil {
			return "", err
		}
		e.look = func(b *snapshot.Backup) (snapshot.Checks, error) { return w.climb(ctx, v, b) }
		left := slices.DeleteFunc(slices.Clone(all), func(b *snapshot.Backup) bool { return e.climbed(ctx, b, run) })
		e.longestFirst(left)
		e.all(ctx, left)
		good := "all sound"
		if e.sealed > 0 {
			good = fmt.Sprintf("%d sound, %d as they were stored and not opened, since no identity fits", e.done-e.sealed, e.sealed)
		}
		return e.summary(len(all), good), e.err()
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

// examination looks at backups in one store.
type examination struct {
	*Worker
	vault *vault
	look  func(*snapshot.Backup) (snapshot.Checks, error)

	// examined is when somebody last looked at the stored bytes of a backup; zero: never.
	// Every report has read them.
	examined map[*snapshot.Backup]time.Time

	done   int
	sealed int // of them, those of which only the stored bytes are proven
	bytes  int64
	failed []error
}

// examination is one of the backups that are listed now. What is listed and cannot be read
// counts as damaged, or as what it is.
func (w *Worker) examination(ctx context.Context, v *vault) (*examination, []*snapshot.Backup, error) {
	if _, err := v.index(ctx); err != nil {
		return nil, nil, err
	}
	all, problems, err := v.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	e := &examination{Worker: w, vault: v, examined: make(map[*snapshot.Backup]time.Time)}
	for _, p := range problems {
		e.failed = append(e.failed, fmt.Errorf("backup %s: %w", p.ID, p.Err))
	}
	for _, b := range all {
		if e.examined[b], err = v.Examined(ctx, b, snapshot.ReportVerification, snapshot.ReportRehearsal); err != nil {
			return nil, nil, err
		}
	}
	return e, all, nil
}

// longestFirst puts those first that nobody has looked at for longest. Those that
// nobody ever has looked at come before them, the oldest first.
func (e *examination) longestFirst(backups []*snapshot.Backup) {
	slices.SortStableFunc(backups, func(a, b *snapshot.Backup) int { return e.examined[a].Compare(e.examined[b]) })
}

// climbed tells whether the ladder was climbed since the slot and held, as far as there
// are identities.
func (e *examination) climbed(ctx context.Context, b *snapshot.Backup, run cronjobs.Run) bool {
	if e.examined[b].Before(run.Slot) {
		return false
	}
	r, err := e.vault.LatestReport(ctx, b, snapshot.ReportVerification, snapshot.ReportRehearsal)
	switch {
	case err != nil || r == nil || r.Time.Before(run.Slot) || r.Time.After(e.Now()) || !r.Passed:
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
	if slices.ContainsFunc(checks, func(c snapshot.Check) bool { return c.Name == snapshot.RungStructure && c.Verdict == snapshot.NotAsked }) {
		e.sealed++
	}
	return e.vault.Conclude(ctx, b, snapshot.Report{Kind: snapshot.ReportVerification, Time: e.Now(), Checks: checks, Etcdha: e.Version})
}

// summary says how many were looked at, and that they are good unless something failed.
func (e *examination) summary(of int, good string) string {
	text := fmt.Sprintf("%d of %s, %s read", e.done, english.Plural(of, "backup", ""), humanize.IBytes(uint64(e.bytes)))
	if len(e.failed) > 0 {
		return text
	}
	return text + ", " + good
}

func (e *examination) err() error { return errors.Join(e.failed...) }
