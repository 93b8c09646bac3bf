package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/restore/rehearsal"
	"github.com/etcdha/etcdha/snapshot"
)

// rehearse restores the newest backup of every store: that of a remote one is the one
// that matters when this host is gone.
func (w *Worker) rehearse(ctx context.Context, run cronjobs.Run) (string, error) {
	return w.eachVault(ctx, func(ctx context.Context, v *vault) (string, error) {
		if _, err := v.index(ctx); err != nil {
			return "", err
		}
		b, err := w.latest(ctx, v)
		if err != nil {
			return "", err
		}
		switch id, err := w.rehearsed(ctx, v, b, run.Slot); {
		case err != nil:
			return "", err
		case id != "":
			return id + " was restored by an earlier try", nil
		}
		began := w.Now()
		if err := w.restore(ctx, v, b); err != nil {
			return "", fmt.Errorf("backup %s: %w", b.ID, err)
		}
		return fmt.Sprintf("%s restored and compared in %.1f s", b.ID, w.Now().Sub(began).Seconds()), nil
	})
}

// rehearsed returns the id of a backup that was rehearsed with success since the slot: the
// latest, or one of its life that is no older than the slot. "" if there is none.
func (w *Worker) rehearsed(ctx context.Context, v *vault, latest *snapshot.Backup, slot time.Time) (string, error) {
	all, err := v.Index(ctx)
	if err != nil {
		return "", err
	}
	for _, l := range slices.Backward(all) {
		began, ok := l.Began()
		counts := ok && l.Lineage == latest.Cluster.Lineage && (l.ID == latest.ID || !began.Before(slot))
		if !counts || l.ReportedAt(snapshot.ReportRehearsal).Before(slot) {
			continue
		}
		b, err := v.Read(ctx, l)
		if err != nil {
			continue // if it is the newest, it fails there
		}
		r, err := v.LatestReport(ctx, b, snapshot.ReportRehearsal)
		if err == nil && r != nil && r.Passed && !r.Time.Before(slot) && !r.Time.After(w.Now()) {
			return b.ID, nil
		}
	}
	return "", nil
}

// latest is the newest backup of the life that the cluster is in. The cluster is asked
// only where a store has several.
func (w *Worker) latest(ctx context.Context, v *vault) (*snapshot.Backup, error) {
	var silent error
	b, err := v.Resolve(ctx, snapshot.Latest, func(ctx context.Context) *pb.StatusResponse {
		cluster, err := snapshot.Connect(ctx, w.etcd, w.Log)
		if err != nil {
			silent = err
			return nil
		}
		defer cluster.Close()
		return furthest(cluster)
	})
	if err != nil && silent != nil {
		err = fmt.Errorf("there are several lives of the cluster, and it does not say which it is in: %w", silent)
	}
	return b, err
}

// restore rehearses one backup and keeps a report.
func (w *Worker) restore(ctx context.Context, v *vault, b *snapshot.Backup) error {
	found, spool, err := v.VerifyBackup(ctx, b, w.SpoolDir, w.Now)
	if err != nil {
		return err
	}
	size := int64(0)
	if spool != nil {
		defer spool.Close()
		size = spool.Size()
	}
	checks, logs, err := rehearsal.RunVerified(ctx, found, spool, size, w.rehearsal())
	w.keepLogs(v, logs)
	if err != nil {
		return err
	}
	return v.Conclude(ctx, b, snapshot.Report{Kind: snapshot.ReportRehearsal, Time: w.Now(), Checks: checks, Etcdha: w.Version})
}

// keepLogs gives the logs of members that failed names by which those of the next failed
// rehearsal replace them: else they would fill the spool directory in the end.
func (w *Worker) keepLogs(v *vault, logs []string) {
	for _, name := range logs {
		member := name[strings.LastIndexByte(name, '-')+1:] // as m1.log
		kept := filepath.Join(filepath.Dir(name), "etcdha-rehearsal-"+w.cluster.Name+"-"+v.name+"-"+member)
		if err := os.Rename(name, kept); err != nil {
			kept = name
		}
		w.Log.Info("member log kept", "file", kept)
	}
}

func (w *Worker) rehearsal() rehearsal.Options {
	r := w.cluster.Rehearsal
	command := w.Etcd
	if r.Etcd != "" {
		command = []string{r.Etcd}
	}
	return rehearsal.Options{
		Members: r.Members, Command: command, Dir: w.SpoolDir, Kubernetes: r.Kubernetes,
		Now: w.Now, Random: w.Random, Log: w.Log,
	}
}
