package command

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// source is a snapshot that a command was given: a file, or a backup.
type source struct {
	name    string
	file    string
	catalog *snapshot.Catalog
	backup  *snapshot.Backup
}

// sourceArg opens the only argument of a command that has --write-out.
func sourceArg(c *cli.Context, log *slog.Logger) (*source, error) {
	arg, err := oneArg(c, "FILE|ID")
	if err != nil {
		return nil, err
	}
	if err := checkWriteOut(c); err != nil {
		return nil, err
	}
	return openSource(c, arg, log)
}

// openSource finds out what arg means: an existing file first, else a backup
// in the store.
func openSource(c *cli.Context, arg string, log *slog.Logger) (*source, error) {
	urls := c.StringSlice("store")
	if len(urls) > 1 {
		_, err := oneStore(c)
		return nil, err
	}
	fi, err := os.Stat(arg)
	switch {
	case err == nil && !fi.Mode().IsRegular():
		return nil, fail.Usagef("%s is not a file", arg)
	case err == nil:
		return &source{name: arg, file: arg}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case len(urls) == 0:
		return nil, fail.WithHint(fail.Usagef("no file %s", arg), "to mean a backup by its id, give --store or set ETCDHA_STORE")
	}
	catalog, err := openCatalog(c)
	if err != nil {
		return nil, err
	}
	catalog.Progress = newProgress(c, "fetch")
	b, err := catalog.Resolve(c.Context, arg, liveOf(c, log))
	if err != nil {
		return nil, err
	}
	return &source{name: b.ID, catalog: catalog, backup: b}, nil
}

// liveTimeout is short: the live cluster is asked only to choose between the
// lives of a cluster, and in a disaster it will not answer.
const liveTimeout = 2 * time.Second

// liveOf returns how to ask the live cluster of the flags for its status.
func liveOf(c *cli.Context, log *slog.Logger) func(context.Context) *pb.StatusResponse {
	return func(ctx context.Context) *pb.StatusResponse {
		config, err := connection(c, log)
		if err != nil {
			return nil
		}
		config.CommandTimeout = min(config.CommandTimeout, liveTimeout)
		cluster, err := snapshot.Connect(ctx, config, slog.New(slog.DiscardHandler))
		if err != nil {
			log.Info("the live cluster does not answer", "error", err)
			return nil
		}
		defer cluster.Close()
		return cluster.Members[0].Status
	}
}

// input is the source for a restore.
func (s *source) input(progress func(done, total int64)) (restore.Input, error) {
	if s.backup != nil {
		return restore.Input{
			Size:  s.backup.DB.Size + dbfile.DigestSize,
			Write: func(ctx context.Context, w io.Writer) error { return s.catalog.Fetch(ctx, s.backup, w) },
		}, nil
	}
	fi, err := os.Stat(s.file)
	if err != nil {
		return restore.Input{}, err
	}
	return restore.Input{Size: fi.Size(), Write: func(ctx context.Context, w io.Writer) error {
		f, err := os.Open(s.file)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, &progressReader{ctx: ctx, r: f, total: fi.Size(), progress: progress})
		return err
	}}, nil
}

// opened is a verified source with its plain bytes at hand. Close it.
type opened struct {
	*snapshot.Verification
	plain io.ReaderAt
	size  int64
	close func() error
}

// verify climbs the ladder and keeps the plain snapshot open.
func (s *source) verify(ctx context.Context, spoolDir string) (*opened, error) {
	if s.backup != nil {
		v, spool, err := s.catalog.VerifyBackup(ctx, s.backup, spoolDir, now)
		if err != nil || spool == nil {
			return &opened{Verification: v, close: func() error { return nil }}, err
		}
		return &opened{Verification: v, plain: spool, size: spool.Size(), close: spool.Close}, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	v, err := snapshot.Verify(ctx, f, fi.Size(), now)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &opened{Verification: v, plain: f, size: fi.Size(), close: f.Close}, nil
}
