package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// writeSize is two blobs of the stream: they are hashed and written while they
// are still in the processor's cache, which costs a fifth less than a MiB at a
// time. queued bounds what may wait for a slow disk, in writes.
const (
	writeSize = 64 << 10
	queued    = 64
)

// DefaultStallTimeout is how long a stream may make no progress. A member
// reads pages as fast as its disk does; a minute of nothing is no slowness.
const DefaultStallTimeout = time.Minute

// ErrStalled says that a member sent nothing, or nothing but empty blobs, for
// the stall timeout.
var ErrStalled = errors.New("the stream makes no progress")

// streamed is what a complete stream was.
type streamed struct {
	digest [sha256.Size]byte // of the db, equal to the trailer
	size   int64             // bytes, trailer included
}

// receive writes the member's snapshot stream to w, which gets exactly what
// the member sent, and compares its SHA-256 with the trailer.
func receive(ctx context.Context, m *Member, w io.Writer, stall time.Duration, progress func(done, total int64)) (*streamed, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(stall, func() { cancel(ErrStalled) })
	defer watchdog.Stop()

	stream, err := m.maintenance().Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return nil, streamError(ctx, m, err)
	}
	d := newDigester(w)
	out := &streamed{}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			_, _ = d.finish()
			return nil, streamError(ctx, m, err)
		}
		if len(resp.Blob) == 0 {
			continue
		}
		watchdog.Stop() // a disk that is slow to write is not the member's fault
		if err := d.write(resp.Blob); err != nil {
			break // finish returns it
		}
		watchdog.Reset(stall)
		out.size += int64(len(resp.Blob))
		progress(out.size, out.size+int64(resp.RemainingBytes))
	}
	trailer, err := d.finish()
	if err != nil {
		return nil, err
	}
	out.digest = trailer.computed
	return out, trailer.check(out.size)
}

// streamError says what ended the stream: the watchdog, the caller, or etcd.
func streamError(ctx context.Context, m *Member, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	} else {
		err = etcdclient.Explain(m.Endpoint, err)
	}
	return fmt.Errorf("snapshot of %s: %w", m, err)
}

// trailerCheck holds what the stream says about itself.
type trailerCheck struct {
	sent, computed [sha256.Size]byte
}

func (t *trailerCheck) check(size int64) error {
	if size%dbPageMultiple != sha256.Size {
		return fail.Verificationf("the stream of %d bytes ends without a digest: it was cut off", size)
	}
	if t.sent != t.computed {
		return fail.Verificationf("SHA-256 of the stream is %x, the member sent %x", t.computed, t.sent)
	}
	return nil
}

// dbPageMultiple divides every page size; see [dbfile.DigestSize].
const dbPageMultiple = 512

// digester hashes and writes beside the receiving, and keeps the last 32 bytes
// out of the hash, as they are the trailer. Blobs are handed over as they are:
// every response of the stream has a buffer of its own.
type digester struct {
	blobs chan []byte
	done  chan struct{}
	err   error // set before done is closed
	check trailerCheck
}

func newDigester(w io.Writer) *digester {
	d := &digester{blobs: make(chan []byte, queued*writeSize/(32<<10)), done: make(chan struct{})}
	go d.run(w)
	return d
}

func (d *digester) run(w io.Writer) {
	defer close(d.done)
	h := sha256.New()
	buf := make([]byte, 0, writeSize+2*dbfile.DigestSize)
	// flush hashes all but the last 32 bytes, which may be the trailer, and
	// keeps those at the start of buf.
	flush := func() error {
		n := max(0, len(buf)-dbfile.DigestSize)
		_, _ = h.Write(buf[:n]) // a hash never fails
		_, err := w.Write(buf[:n])
		buf = buf[:copy(buf, buf[n:])]
		return err
	}
	for blob := range d.blobs {
		if len(buf)+len(blob) > writeSize {
			if d.err = flush(); d.err != nil {
				return
			}
		}
		buf = append(buf, blob...)
	}
	if d.err = flush(); d.err != nil {
		return
	}
	_, d.err = w.Write(buf)
	copy(d.check.sent[:], buf)
	d.check.computed = [sha256.Size]byte(h.Sum(nil))
}

// write hands over a blob. It fails once writing has failed.
func (d *digester) write(blob []byte) error {
	select {
	case <-d.done:
		return d.err
	case d.blobs <- blob:
		return nil
	}
}

// finish waits until everything is written.
func (d *digester) finish() (*trailerCheck, error) {
	close(d.blobs)
	<-d.done
	return &d.check, d.err
}
