package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

// SaveOptions say what to save and where. File, Catalog or both are needed.
type SaveOptions struct {
	Member *Member

	File      string // gets byte for byte what the member streams; "" for none
	NoClobber bool   // refuse to replace File

	Catalog   *Catalog // nil for none
	Emergency bool     // mark the backup as one of a lone survivor

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
	if o.File == "" && o.Catalog == nil {
		return fail.WithHint(fail.Usagef("nowhere to save to"), "give a FILE, or --store, or both")
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
	Backup *Backup // nil without a catalog
	Size   int64   // bytes of the snapshot, digest trailer included
	*Verification
}

// Save streams a snapshot from a member, verifies it, and only then gives it
// its name: the file by a rename, the backup by its manifest. Whatever fails,
// the file that was there stays, and no half backup is listed.
func Save(ctx context.Context, o SaveOptions) (*Saved, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &save{SaveOptions: o, started: o.Now()}
	defer s.cleanUp()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if o.Catalog == nil {
		if err := s.stream(ctx); err != nil {
			return nil, err
		}
		return s.commit(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends an upload that is still waiting
	upload := make(chan error, 1)
	go func() { upload <- s.upload(ctx, cancel) }()
	err := s.stream(ctx)
	s.spool.End(err) // the upload ends with this error, or stores its object
	if err != nil {
		cancel() // a store that hangs must not keep us
	}
	if uploadErr := <-upload; uploadErr != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = uploadErr // it came first and ended the stream
	}
	if err != nil {
		return nil, err
	}
	return s.commit(ctx)
}

type save struct {
	SaveOptions
	started time.Time
	file    *atomicfile.File // nil without File
	spool   *Spool
	id      string
	lineage string

	received *streamed
	verified *Verification
	live     liveResult
	stored   seal.Sum
}

// prepare checks what can be checked before the member is made to work.
func (s *save) prepare(ctx context.Context) error {
	need := roomFor(s.Member.Status.DbSize)
	if s.File != "" {
		if err := s.openFile(need); err != nil {
			return err
		}
	} else {
		if err := diskspace.Check(s.SpoolDir, need, spoolHint); err != nil {
			return err
		}
		var err error
		if s.spool, err = NewSpool(s.SpoolDir); err != nil {
			return err
		}
	}
	if s.Catalog == nil {
		return nil
	}
	var err error
	if s.lineage, err = s.Catalog.lineage(ctx, s.Member.Status, s.Emergency, s.Random); err != nil {
		return err
	}
	s.id, err = newID(s.started, s.Member.Status.Header.Revision, s.Random)
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
	s.spool = newSpool(s.file.File, fileHint)
	return nil
}

func (s *save) cleanUp() {
	if s.file != nil {
		s.file.Abort()
	} else if s.spool != nil {
		_ = s.spool.Close() // it has no name
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
	return s.verified.Checks.Err()
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
	case s.LiveHash == LiveOff || s.LiveHash == LiveAuto && s.Catalog == nil:
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

// upload puts the sealed snapshot into the store as the spool grows. The spool
// ends only when the snapshot is verified, so that nothing else is stored.
// A failure ends the stream too.
func (s *save) upload(ctx context.Context, failed context.CancelFunc) error {
	sealed, err := seal.NewReader(ctx, s.spool.Follow(ctx))
	if err != nil {
		failed()
		return err
	}
	defer sealed.Close()
	key := path.Join(backupPrefix(s.Catalog.Cluster, s.lineage, s.id), storedName)
	if err := s.Catalog.Store.Put(ctx, key, sealed); err != nil {
		failed()
		return err
	}
	s.stored = sealed.Sum()
	return nil
}

// commit gives the snapshot its names. The file is the last, so that it stays
// as it was if the store fails.
func (s *save) commit(ctx context.Context) (*Saved, error) {
	if err := ctx.Err(); err != nil { // an interrupt that a live comparison took for no answer
		return nil, err
	}
	out := &Saved{Size: s.received.size, Verification: s.verified}
	if s.Catalog != nil {
		if err := s.commitBackup(ctx, out); err != nil {
			return nil, err
		}
	}
	if s.file != nil {
		if err := s.commitFile(); err != nil {
			return nil, fmt.Errorf("save %s: %w", s.File, err)
		}
	}
	return out, nil
}

// commitBackup reads the stored object back and writes the manifest.
func (s *save) commitBackup(ctx context.Context, out *Saved) error {
	b := &Backup{Manifest: s.manifest(), prefix: backupPrefix(s.Catalog.Cluster, s.lineage, s.id)}
	start := s.Now()
	if err := s.Catalog.Fetch(ctx, b, io.Discard); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	end := s.Now()
	stored := Check{Name: RungStored, Verdict: Match, Detail: "read back and decompressed to the same bytes", Seconds: end.Sub(start).Seconds()}
	out.Checks = append(Checks{stored}, out.Checks...)
	b.Finished = end.UTC()
	if err := s.Catalog.putJSON(ctx, path.Join(b.prefix, manifestName), b.Manifest); err != nil {
		return fmt.Errorf("commit backup %s: %w", b.ID, err)
	}
	out.Backup = b
	return nil
}

func (s *save) commitFile() error {
	if s.NoClobber {
		return s.file.CommitNew()
	}
	return s.file.Commit()
}

func (s *save) manifest() *Manifest {
	m := newManifest(s.verified.Report)
	m.ID = s.id
	if s.Emergency {
		m.Kind = KindEmergency
	}
	status := s.Member.Status
	m.Cluster = ClusterRef{Name: s.Catalog.Cluster, ID: fmt.Sprintf("%x", status.Header.ClusterId), Lineage: s.lineage}
	m.Member = MemberRef{ID: s.Member.IDString(), Name: s.Member.Name, Version: status.Version}
	m.Started = s.started.UTC()
	m.HashKV.Live, m.HashKV.Reason = s.live.verdict, s.live.detail
	m.DB = seal.Sum{SHA256: hex.EncodeToString(s.received.digest[:]), Size: s.received.size - dbfile.DigestSize}
	m.Stored = StoredObject{Name: storedName, Sum: s.stored}
	m.Etcdha = s.Version
	return m
}
