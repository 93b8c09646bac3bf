package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

// keptRecords is how many records of each job stay: four days of an hourly one.
const keptRecords = 100

// pruneRounds is how often a plan is made anew that something has come between: a
// verification that goes on beside adds reports, which can change what may go.
const pruneRounds = 3

// prune removes what no rule keeps, what killed runs have left, and old records.
func (w *Worker) prune(ctx context.Context, run cronjobs.Run) (string, error) {
	if err := w.cluster.Keep.Check(); err != nil {
		return "", fail.As(fail.ErrUsage, fmt.Errorf("keep: %w", err))
	}
	if err := run.MayAct(); err != nil {
		return "", err
	}
	return w.eachVault(ctx, func(ctx context.Context, v *vault) (string, error) {
		if _, err := v.index(ctx); err != nil {
			return "", err
		}
		p := &pruning{Worker: w, vault: v, run: run}
		err := p.backups(ctx)
		for round := 1; errors.Is(err, snapshot.ErrChanged) && round < pruneRounds; round++ {
			err = p.backups(ctx)
		}
		err = errors.Join(err, p.records(ctx))
		return p.summary(), err
	})
}

// pruning is a prune of one store.
type pruning struct {
	*Worker
	vault *vault
	run   cronjobs.Run

	left, removed, leftovers, old int
	others                        []snapshot.OtherLineage
}

func (p *pruning) backups(ctx context.Context) error {
	plan, err := p.vault.PlanPrune(ctx, p.cluster.Keep, p.Now())
	if err != nil {
		return err
	}
	p.left, p.others = len(plan.Decisions), plan.Others
	for _, problem := range plan.Problems {
		p.Log.Warn("not pruned: it cannot be read", "store", p.vault.name, "id", problem.ID, "error", problem.Err)
	}
	reasons := make(map[string]string)
	for _, d := range plan.Remove() {
		reasons[d.Backup.ID] = cmp.Or(strings.Join(d.Reasons, ", "), "no rule keeps it")
	}
	return plan.ApplyAll(ctx, snapshot.ApplyOptions{MayAct: p.run.MayAct, Done: func(name string, err error) {
		reason, backup := reasons[name]
		switch {
		case err != nil:
		case backup:
			p.removed, p.left = p.removed+1, p.left-1
			p.Log.Info("a backup was removed", "store", p.vault.name, "id", name, "reason", reason)
		default:
			p.leftovers++
			p.Log.Info("a leftover was removed", "store", p.vault.name, "name", name)
		}
	}})
}

// records removes those of each job but the newest.
func (p *pruning) records(ctx context.Context) error {
	for _, job := range config.JobNames {
		all, err := p.vault.JobRecords(ctx, string(job))
		if err != nil {
			return err
		}
		for _, r := range all[:max(0, len(all)-keptRecords)] {
			if err := p.run.MayAct(); err != nil {
				return err
			}
			if err := p.vault.RemoveJobRecord(ctx, r); err != nil {
				return fmt.Errorf("remove record: %w", err)
			}
			p.old++
		}
	}
	return nil
}

func (p *pruning) summary() string {
	words := []string{fmt.Sprintf("%s removed, %d left", english.Plural(p.removed, "backup", ""), p.left)}
	if p.leftovers > 0 {
		words = append(words, english.Plural(p.leftovers, "leftover", "")+" removed")
	}
	if p.old > 0 {
		words = append(words, english.Plural(p.old, "old record", "")+" removed")
	}
	for _, o := range p.others {
		words = append(words, fmt.Sprintf("%s of the life %s not touched", english.Plural(o.Backups, "backup", ""), o.Lineage))
	}
	return strings.Join(words, ", ")
}
