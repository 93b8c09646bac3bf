package snapshot

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

// SaveOptions say what to save and where. File, Catalogs or both are needed.
type SaveOptions struct {
	Member *Member

	File      string // gets byte for byte what the member streams; "" for none
	NoClobber bool   // refuse to replace File

	Catalogs  []*Catalog         // each gets a backup with the same id
	Seal      seal.Options       // how it is stored there
	SignKey   ed25519.PrivateKey // signs the manifests; nil for none
	Emergency bool               // mark the backup as one of a lone survivor
	Lineage   string             // of stores that know nothing of this life of the cluster; "" begins one

	SpoolDir     string        // "" is the temporary directory; not used with File
	LiveHash     LiveHash      // default LiveAuto
	StallTimeout time.Duration // default DefaultStallTimeout

	Now      func() time.Time
	Random   io.Reader // for ids
	Log      *slog.Logger
	Progress func(done, total int64) // bytes; may be nil
	Version  string                  // of etcdha, for the manifest
}

func (o *SaveOptions) fill() error {
	if o.File == "" && len(o.Catalogs) == 0 {
		return fail.WithHint(fail.Usagef("nowhere to save to"), "give a FILE, or --store, or both")
	}
	if err := o.Seal.Check(); err != nil {
		return fail.As(fail.ErrUsage, err)
	}
	if o.LiveHash == "" {
		o.LiveHash = LiveAuto
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.SpoolDir == "" {
		o.SpoolDir = os.TempDir()
	}
	return nil
}

// Saved is what a save has kept.
type Saved struct {
	File   bool     // FILE has its name
	Stores []Stored // what became of each catalog, in their order
	Size   int64    // bytes of the snapshot, digest trailer included
	Checks Checks
	Report *dbfile.Report
}

// Stored is what became of a save in one store.
type Stored struct {
	Catalog *Catalog
	Backup  *Backup // nil if it failed
	Check   Check   // of what was read back
	Err     error
}

// Save streams a snapshot from a member, verifies it, and only then gives it
// its names: the file by a rename, a backup by its manifest. Whatever fails,
// the file that was there stays, and no half backup is listed.
//
// Each store, and the file, is on its own: one that fails harms no other. Its
// error comes back with a Saved that tells what was kept; without a Saved,
// nothing was.
func Save(ctx context.Context, o SaveOptions) (*Saved, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &save{SaveOptions: o, started: o.Now()}
	defer s.cleanUp()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // ends an upload that is still waiting
	if err := s.openTargets(ctx); err != nil {
		return nil, err
	}
	uploads := s.startUploads(ctx, cancel)
	err := s.stream(ctx)
	s.spool.End(err) // the uploads end with this error, or store their objects
	if err != nil {
		cancel(err) // a store that hangs must not keep us
		uploads.Wait()
		if errors.Is(context.Cause(ctx), errNoneLeft) {
			err = s.failed()
		}
		return nil, err
	}
	fileErr := s.commitFile()
	uploads.Wait()
	return s.saved(fileErr)
}

type save struct {
	SaveOptions
	started time.Time
	file    *atomicfile.File // nil without File
	spool   *Spool           // of its own, or a second handle of the file
	id      string
	targets []*target

	received *streamed
	verified *Verification
	live     liveResult
}

// prepare checks what can be checked before the member is made to work.
func (s *save) prepare(ctx context.Context) error {
	need := roomFor(s.Member.Status.DbSize)
	if s.File != "" {
		return s.openFile(need)
	}
	if err := diskspace.Check(s.SpoolDir, need, spoolHint); err != nil {
		return err
	}
	var err error
	s.spool, err = NewSpool(s.SpoolDir)
	return err
}

// roomFor allows a db to grow by a sixteenth while it is streamed.
func roomFor(dbSize int64) int64 { return dbSize + dbSize/16 + dbfile.DigestSize }

func (s *save) openFile(need int64) error {
	fi, err := os.Lstat(s.File)
	switch {
	case err == nil && s.NoClobber:
		return fail.WithHint(fmt.Errorf("save %s: %w", s.File, fs.ErrExist), "--no-clobber keeps the file that is there")
	case err == nil && !fi.Mode().IsRegular():
		return fail.Usagef("save %s: not a regular file", s.File)
	}
	if err := diskspace.Check(filepath.Dir(s.File), need, fileHint); err != nil {
		return err
	}
	if s.file, err = atomicfile.Create(s.File); err != nil {
		return fmt.Errorf("save %s: %w", s.File, err)
	}
	if s.spool, err = spoolInto(s.file.File); err != nil {
		return fmt.Errorf("save %s: %w", s.File, err)
	}
	return nil
}

func (s *save) cleanUp() {
	if s.file != nil {
		s.file.Abort()
	}
	if s.spool != nil {
		_ = s.spool.Close() // what it held has its name, or none
	}
}

// stream receives the snapshot and climbs the ladder.
func (s *save) stream(ctx context.Context) error {
	var err error
	if s.received, err = receive(ctx, s.Member, s.spool, s.StallTimeout, s.Progress); err != nil {
		return err
	}
	synced := s.syncEarly()
	s.verified, err = inspected(ctx, s.spool, s.received.size, s.Now)
	if err := errors.Join(err, <-synced); err != nil {
		return err
	}
	if err := s.verified.Checks.Err(); err != nil {
		return err
	}
	s.compareLive(ctx)
	if err := s.verified.Checks.Err(); err != nil {
		return err
	}
	return ctx.Err() // an interrupt that a live comparison took for no answer
}

// syncEarly keeps the disk busy while the pages are checked, so that the commit
// of a file only waits for what is left. Its error must be heard: the system
// tells a failed write to one sync only.
func (s *save) syncEarly() <-chan error {
	synced := make(chan error, 1)
	if s.file == nil {
		synced <- nil
		return synced
	}
	go func() { synced <- s.file.Sync() }()
	return synced
}

func (s *save) compareLive(ctx context.Context) {
	inUse := s.verified.Report.SizeInUse
	switch {
	case s.LiveHash == LiveOff || s.LiveHash == LiveAuto && len(s.Catalogs) == 0:
		s.live = liveResult{NotAsked, "not wanted"}
		return
	case s.LiveHash == LiveAuto && inUse > autoHashBytes:
		s.live = liveResult{NotAsked, fmt.Sprintf("%d MiB would stop %s from applying for about %.1f s", inUse>>20, s.Member, float64(inUse)/hashBytesPerSecond)}
		s.Log.Info("live hash left out", "reason", s.live.detail)
	default:
		start := s.Now()
		s.live = compareLive(ctx, s.Member, s.verified.DB, s.verified.Report)
		s.verified.Checks = append(s.verified.Checks,
			Check{Name: RungLive, Verdict: s.live.verdict, Detail: s.live.detail, Seconds: s.Now().Sub(start).Seconds()})
		return
	}
	s.verified.Checks = append(s.verified.Checks, Check{Name: RungLive, Verdict: s.live.verdict, Detail: s.live.detail})
}

// commitFile gives the file its name, if there is one. Stores that are slow go
// on reading the spool.
func (s *save) commitFile() error {
	if s.file == nil {
		return nil
	}
	commit := s.file.Commit
	if s.NoClobber {
		commit = s.file.CommitNew
	}
	if err := commit(); err != nil {
		return fmt.Errorf("save %s: %w", s.File, err)
	}
	return nil
}

// saved tells what was kept, with the errors of what was not.
func (s *save) saved(fileErr error) (*Saved, error) {
	out := &Saved{File: s.file != nil && fileErr == nil, Size: s.received.size, Checks: s.verified.Checks, Report: s.verified.Report}
	kept := out.File
	for _, t := range s.targets {
		out.Stores = append(out.Stores, t.Stored)
		kept = kept || t.Backup != nil
	}
	err := errors.Join(fileErr, s.failed())
	if !kept {
		return nil, err
	}
	return out, err
}
