package snapshot

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

// target is a save on its way into one store. Its goroutine alone writes it
// until the uploads are waited for.
type target struct {
	Stored
	lineage string
	prefix  string
}

// errNoneLeft ends a stream that nobody wants any more.
var errNoneLeft = errors.New("every store has failed")

// openTargets finds out where the backup will lie in each store. A store that
// does not answer is a failed target; only if all fail is that an error here.
func (s *save) openTargets(ctx context.Context) error {
	if len(s.Catalogs) == 0 {
		return nil
	}
	status := s.Member.Status
	var err error
	if s.id, err = newID(s.started, status.Header.Revision, s.Random); err != nil {
		return err
	}
	var asking sync.WaitGroup
	for _, c := range s.Catalogs {
		t := &target{Stored: Stored{Catalog: c}}
		s.targets = append(s.targets, t)
		asking.Go(func() { t.lineage, t.Err = c.carriedOn(ctx, status, s.Emergency, s.Log) })
	}
	asking.Wait()
	if err := s.beginLineages(status); err != nil {
		return err
	}
	for _, t := range s.targets {
		t.prefix = backupPrefix(t.Catalog.Cluster, t.lineage, s.id)
	}
	if s.file == nil && s.remaining() == 0 {
		return s.failed()
	}
	return nil
}

// beginLineages gives the stores that know nothing of this life of the cluster
// the lineage that it has in another one, or in the options, or a new one for all of them.
func (s *save) beginLineages(status *pb.StatusResponse) error {
	lineage := s.Lineage
	for _, t := range s.targets {
		if t.lineage != "" {
			lineage = t.lineage
			break
		}
	}
	if lineage == "" {
		var err error
		if lineage, err = newLineage(status.Header.ClusterId, s.Random); err != nil {
			return err
		}
	}
	for _, t := range s.targets {
		if t.lineage == "" {
			t.lineage = lineage
		}
	}
	return nil
}

// remaining counts the targets that have not failed.
func (s *save) remaining() int {
	n := 0
	for _, t := range s.targets {
		if t.Err == nil {
			n++
		}
	}
	return n
}

// failed is the error of the stores that failed.
func (s *save) failed() error {
	var errs []error
	for _, t := range s.targets {
		if t.Err != nil {
			errs = append(errs, fmt.Errorf("store %s: %w", t.Catalog.Store, t.Err))
		}
	}
	return errors.Join(errs...)
}

// startUploads lets each store follow the spool. When none is left, and there
// is no file, the stream ends as well.
func (s *save) startUploads(ctx context.Context, cancel context.CancelCauseFunc) *sync.WaitGroup {
	var uploads sync.WaitGroup
	var mu sync.Mutex
	left := s.remaining()
	for _, t := range s.targets {
		if t.Err != nil {
			continue
		}
		uploads.Go(func() {
			if t.Err = s.keep(ctx, t); t.Err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 && s.file == nil {
				cancel(errNoneLeft)
			}
		})
	}
	return &uploads
}

// keep puts the sealed snapshot into a store as the spool grows, reads it back,
// and writes the manifest. The spool ends only when the snapshot is verified,
// so that nothing else is ever stored.
func (s *save) keep(ctx context.Context, t *target) error {
	reader, err := seal.NewReader(ctx, s.spool.Follow(ctx), roomFor(s.Member.Status.DbSize), s.Seal)
	if err != nil {
		return err
	}
	defer reader.Close()
	sealed := &sealedReader{Reader: reader}
	name := dataName(s.Seal.Format())
	if err := t.Catalog.Store.Put(ctx, path.Join(t.prefix, name), sealed); err != nil {
		return err
	}
	if !sealed.ended {
		return errPutEarly
	}
	b := &Backup{Manifest: s.manifest(t), prefix: t.prefix}
	b.Stored = StoredObject{Name: name, Sum: sealed.Sum()}
	start := s.Now()
	if t.Check, err = t.Catalog.readBack(ctx, b); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	end := s.Now()
	t.Check.Seconds = end.Sub(start).Seconds()
	b.Finished = end.UTC()
	if err := t.Catalog.commit(ctx, b, s.SignKey); err != nil {
		return fmt.Errorf("commit backup %s: %w", b.ID, err)
	}
	t.Backup = b
	return nil
}

// errPutEarly says that a store returned from a Put with success before the
// snapshot was there to be kept, let alone verified.
var errPutEarly = errors.New("the store took the snapshot for complete before its end")

// sealedReader knows whether it was read to its end.
type sealedReader struct {
	*seal.Reader
	ended bool
}

func (s *sealedReader) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.ended = s.ended || err == io.EOF //nolint:errorlint // a wrapped one is a failure
	return n, err
}

// readBack proves that a store returns what it was given, down to the plain
// bytes where they can be had.
func (c *Catalog) readBack(ctx context.Context, b *Backup) (Check, error) {
	quiet := *c
	quiet.Progress = nil
	opened, sealed := Check{Name: RungStored, Verdict: Match, Detail: "read back and opened to the same bytes"},
		Check{Name: RungStored, Verdict: Match, Detail: "read back, SHA-256 as it was sent; encrypted"}
	if !quiet.CanOpen(b) {
		return sealed, quiet.CheckStored(ctx, b)
	}
	err := quiet.Fetch(ctx, b, io.Discard)
	if errors.Is(err, seal.ErrNoIdentity) { // of another key; the stored bytes were compared
		return sealed, nil
	}
	return opened, err
}

// commit makes the backup exist: its signature first, its manifest last.
func (c *Catalog) commit(ctx context.Context, b *Backup, key ed25519.PrivateKey) error {
	data, err := encodeRecord(b.Manifest)
	if err != nil {
		return err
	}
	if key == nil {
		return c.putManifest(ctx, b, data, nil)
	}
	return c.putManifest(ctx, b, data, ed25519.Sign(key, data))
}

// putManifest puts a manifest behind its signature, if it has one, and makes
// sure that its data is still there. It asks MayAct when all that takes time is done.
func (c *Catalog) putManifest(ctx context.Context, b *Backup, manifest, signature []byte) error {
	if signature != nil {
		if err := c.putSame(ctx, path.Join(b.prefix, signatureName), signature); err != nil {
			return err
		}
	}
	if c.MayAct != nil {
		if err := c.MayAct(); err != nil {
			return err
		}
	}
	if err := c.putSame(ctx, path.Join(b.prefix, manifestName), manifest); err != nil {
		return err
	}
	return c.checkNotSwept(ctx, b)
}

// manifest says everything but how the snapshot is stored.
func (s *save) manifest(t *target) *Manifest {
	m := newManifest(s.verified.Report)
	m.ID = s.id
	if s.Emergency {
		m.Kind = KindEmergency
	}
	status := s.Member.Status
	m.Cluster = ClusterRef{Name: t.Catalog.Cluster, ID: fmt.Sprintf("%x", status.Header.ClusterId), Lineage: t.lineage}
	m.Member = MemberRef{ID: s.Member.IDString(), Name: s.Member.Name, Version: status.Version}
	m.Started = s.started.UTC()
	m.HashKV.Live, m.HashKV.Reason = s.live.verdict, s.live.detail
	m.DB = seal.Sum{SHA256: hex.EncodeToString(s.received.digest[:]), Size: s.received.size - dbfile.DigestSize}
	m.Compression = s.Seal.Format().Compression
	if s.Seal.Recipients != nil {
		m.Encryption = &Encryption{Format: encryptionFormat, Recipients: s.Seal.Recipients.Fingerprints()}
	}
	m.Etcdha = s.Version
	return m
}
