package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// A large object takes no more memory than a few parts.
func TestMemoryOfALargePut(t *testing.T) {
	const (
		size      = 1 << 30
		announced = 8 << 30
		most      = 128 << 20
	)
	server := startServer(t)
	s := open(t, server.URL(bucket, newPrefix()))
	runtime.GC()
	g := &generator{left: size}
	before := g.inUse()
	if err := s.Put(t.Context(), "object", sized{g, announced}); err != nil {
		t.Fatal(err)
	}
	if grown := int64(g.peak) - int64(before); grown > most {
		t.Errorf("the heap has grown by %d MiB, want %d at most", grown>>20, most>>20)
	} else {
		t.Logf("the heap has grown by %d MiB", grown>>20)
	}
	if objects := server.Objects(t, bucket); len(objects) != 1 || aws.ToInt64(objects[0].Size) != size {
		t.Errorf("the bucket holds %v", objects)
	}
}

// generator yields bytes, and looks now and then how much memory is in use.
type generator struct {
	left, read int64
	peak       uint64
}

func (g *generator) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), g.left, 64<<10)
	for i := range p[:n] {
		p[i] = byte(i)
	}
	if g.read += n; g.read%(1<<20) == 0 {
		g.peak = max(g.peak, g.inUse())
	}
	g.left -= n
	return int(n), nil
}

func (g *generator) inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// A Put that was killed leaves parts, which nothing lists. They are swept when
// nothing was added to them for long enough, and only those of this prefix.
func TestLeftoversAreSwept(t *testing.T) {
	server := startServer(t)
	for _, key := range []string{"prefix/killed", "prefix/killed", "prefix/no key", "prefixed/other", "other"} {
		upload, err := server.Client().CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Client().UploadPart(t.Context(), &sdk.UploadPartInput{
			Bucket: upload.Bucket, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(random(1, 1000)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, server.URL(bucket, "prefix"))
	sweeper := s.(storage.Sweeper)
	for before, want := range map[time.Time]int{time.Now().Add(-time.Hour): 0, time.Now().Add(time.Hour): 2} {
		found, err := sweeper.Leftovers(t.Context(), before)
		if err != nil || len(found) != want {
			t.Fatalf("before %v: %v, %v; want %d", before, found, err, want)
		}
		for _, l := range found {
			if l.Name != "killed" || l.Since.After(time.Now().Add(time.Minute)) || l.Since.Before(time.Now().Add(-time.Minute)) {
				t.Errorf("left over: %v", l)
			}
			if err := errors.Join(l.Remove(t.Context()), l.Remove(t.Context())); err != nil { // another may sweep too
				t.Errorf("remove: %v", err)
			}
		}
	}
	if is := server.Uploads(t, bucket); len(is) != 3 {
		t.Errorf("after the sweep there are uploads of %q", is)
	}
	if keys := list(t, s); len(keys) > 0 {
		t.Errorf("the store lists %q", keys)
	}
}

// The rate is that of all uploads together, and a Put that waits for it ends
// with its context.
func TestRateLimit(t *testing.T) {
	server := startServer(t)
	s := open(t, server.URL(bucket, newPrefix(), "rate-limit=100KiB"))
	start := time.Now()
	content := random(1, 60<<10)
	put(t, s, "object", content)
	if took := time.Since(start); took < 450*time.Millisecond { // a tenth of a second's bytes pass at once
		t.Errorf("60 KiB were uploaded within %v", took)
	}
	holds(t, s, "object", content)

	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader(random(1, 10<<10)), cancelling{cancel}, endless{})
	if err := s.Put(ctx, "cancelled", r); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v; want %v", err, context.Canceled)
	}
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Put(soon, "late", endless{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put: %v; want %v", err, context.DeadlineExceeded)
	}
	for _, key := range []string{"cancelled", "late"} {
		absent(t, s, key)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type cancelling struct{ cancel context.CancelFunc }

func (c cancelling) Read([]byte) (int, error) { c.cancel(); return 0, io.EOF }

// A cancelled Put leaves nothing, whatever request it was at.
func TestCancelledAtAnyStep(t *testing.T) {
	server := startServer(t)
	for _, p := range puts {
		for _, step := range p.steps {
			for _, kind := range []s3test.Kind{s3test.Stall, s3test.StallAnswer, s3test.LateRequest} {
				t.Run(p.name+"/"+step.name+"/"+string(kind), func(t *testing.T) {
					t.Parallel()
					prefix := newPrefix()
					proxy := server.NewProxy(t)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					proxy.Plan(s3test.Fault{Kind: kind, Match: step.match, Then: cancel})
					s := open(t, proxy.URL(bucket, prefix, "timeout=10s"))
					if err := s.Put(ctx, "object", sized{bytes.NewReader(random(1, p.size)), int64(p.size)}); !errors.Is(err, context.Canceled) {
						t.Errorf("put: %v; want %v", err, context.Canceled)
					}
					proxy.Wait()
					absent(t, open(t, server.URL(bucket, prefix)), "object")
					if uploads := leaked(t, server, prefix); len(uploads) > 0 {
						t.Errorf("uploads are left of %q", uploads)
					}
				})
			}
		}
	}
}
