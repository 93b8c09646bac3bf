// Package rehearsal restores a backup for real and compares the result: data
// directories from the stored object, a throwaway etcd cluster of child
// processes on them, and every member held against the snapshot.
//
// Nothing of it touches the live cluster, and nothing of it stays.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/restore"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// Snapshot is a verified plain snapshot.
type Snapshot struct {
	io.ReaderAt
	Size   int64 // bytes, digest trailer included
	DB     *dbfile.File
	Report *dbfile.Report
}

// Options say how to rehearse.
type Options struct {
	Members    int                                             // 1, 3 or 5
	Command    []string                                        // runs etcd; flags are appended
	Dir        string                                          // for the data directories; "" is the temporary directory
	Kubernetes bool                                            // rehearse the bumped restore too
	Keep       func(context.Context, *throwaway.Cluster) error // called while the cluster runs; may be nil

	BootTimeout time.Duration // default DefaultBootTimeout
	Now         func() time.Time
	Random      io.Reader
	Log         *slog.Logger
	OnCheck     func(snapshot.Check) // called after each stage
}

// DefaultBootTimeout is generous: a member reads its whole db when it starts,
// from whatever disk it is on.
const DefaultBootTimeout = 10 * time.Minute

// stageFailed ends a rehearsal whose checks say why.
var errStageFailed = errors.New("stage failed")

type rehearsal struct {
	Options
	snap   Snapshot
	checks snapshot.Checks
	logs   []string
}

// Run rehearses a snapshot. A difference, or a cluster that does not come up,
// is a check with the verdict Mismatch; an error is something that kept the
// rehearsal from being done, such as no room. Members' logs of a failed
// rehearsal are kept; their names are in logs.
func Run(ctx context.Context, snap Snapshot, o Options) (checks snapshot.Checks, logs []string, err error) {
	if o.Members != 1 && o.Members != 3 && o.Members != 5 {
		return nil, nil, fail.Usagef("--members must be 1, 3 or 5")
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if o.BootTimeout == 0 {
		o.BootTimeout = DefaultBootTimeout
	}
	r := &rehearsal{Options: o, snap: snap}
	for _, dir := range throwaway.Sweep(o.Dir) {
		o.Log.Info("removed what a killed rehearsal had left", "dir", dir)
	}
	if err := diskspace.Check(o.Dir, r.room(), "--spool-dir names another directory, with more room"); err != nil {
		return nil, nil, err
	}
	err = r.run(ctx)
	if errors.Is(err, errStageFailed) {
		err = nil
	}
	return r.checks, r.logs, err
}

// RunVerified rehearses a snapshot of which v is known, whose plain bytes are in plain.
// The checks of both come back, those of v first. One that is damaged is not
// restored; one that cannot be read, for want of an identity, is an error.
func RunVerified(ctx context.Context, v *snapshot.Verification, plain io.ReaderAt, size int64, o Options) (snapshot.Checks, []string, error) {
	if o.OnCheck != nil {
		for _, check := range v.Checks {
			o.OnCheck(check)
		}
	}
	if v.Checks.ContentErr() != nil {
		return v.Checks, nil, nil
	}
	if err := v.Readable(); err != nil {
		return nil, nil, err
	}
	checks, logs, err := Run(ctx, Snapshot{ReaderAt: plain, Size: size, DB: v.DB, Report: v.Report}, o)
	return append(v.Checks, checks...), logs, err
}

// walAllowance is what a member's log takes: a segment of 64 MiB, and the one
// that etcd makes ahead.
const walAllowance = 2 * 64 << 20

func (r *rehearsal) room() int64 {
	clusters := int64(1)
	if r.Kubernetes && r.Keep != nil { // beside the first
		clusters = 2
	}
	return clusters * int64(r.Members) * (r.snap.Size + r.snap.Size/8 + walAllowance)
}

// quota is above the db, whatever its size, so that writes are possible.
func (r *rehearsal) quota() int64 {
	const etcdDefault = 2 << 30
	return max(etcdDefault, 2*r.snap.Size)
}

// run does all stages. A cluster that is kept runs on while the bumped restore
// is rehearsed, and is handed over at the end.
func (r *rehearsal) run(ctx context.Context) error {
	bumped := func() error {
		if !r.Kubernetes {
			return nil
		}
		return r.cluster(ctx, true, nothing)
	}
	if r.Keep == nil {
		if err := r.cluster(ctx, false, nothing); err != nil {
			return err
		}
		return bumped()
	}
	return r.cluster(ctx, false, func(c *throwaway.Cluster) error {
		if err := bumped(); err != nil {
			return err
		}
		return r.Keep(ctx, c)
	})
}

func nothing(*throwaway.Cluster) error { return nil }

// cluster restores, boots and checks one cluster, and discards it after the
// function then. The logs of one that fails a stage are kept.
func (r *rehearsal) cluster(ctx context.Context, bumped bool, then func(*throwaway.Cluster) error) (err error) {
	token, err := restore.NewToken("", "", r.Random)
	if err != nil {
		return err
	}
	c, err := throwaway.New(throwaway.Options{
		Parent: r.Dir, Members: r.Members, Command: r.Command, Token: token,
		Quota: r.quota(), Now: r.Now,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s := &stages{rehearsal: r, cluster: c, token: token, bumped: bumped}
	defer s.close()
	if err := s.run(ctx); err != nil {
		if !errors.Is(err, errStageFailed) {
			return err
		}
		logs, logErr := c.KeepLogs(r.Dir)
		r.logs = append(r.logs, logs...)
		return errors.Join(err, logErr)
	}
	return then(c)
}

// stage runs one stage and records it. An error from fn that neither the
// context nor this host has caused is what the rehearsal has found out.
func (r *rehearsal) stage(ctx context.Context, name string, fn func() (detail string, err error)) error {
	start := r.Now()
	detail, err := fn()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	check := snapshot.Check{Name: name, Verdict: snapshot.Match, Detail: detail, Seconds: r.Now().Sub(start).Seconds()}
	switch {
	case errors.Is(err, throwaway.ErrHost):
		return fmt.Errorf("%s: %w", name, err)
	case errors.Is(err, dbfile.ErrNotComparable):
		check.Verdict, check.Detail, err = snapshot.NotComparable, err.Error(), nil
	case err != nil:
		check.Verdict, check.Detail = snapshot.Mismatch, err.Error()
	}
	r.checks = append(r.checks, check)
	if r.OnCheck != nil {
		r.OnCheck(check)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, errStageFailed)
	}
	return nil
}
