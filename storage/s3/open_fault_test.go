package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

var get = s3test.Matching(http.MethodGet, "GetObject")

// Whatever breaks while an object is read, it comes back as it was put, or
// reading it is an error.
func TestOpenOutlivesAnyFault(t *testing.T) {
	server := startServer(t)
	prefix, content := newPrefix(), random(1, 3<<20)
	put(t, open(t, server.URL(bucket, prefix)), "object", content)
	for _, kind := range s3test.Kinds {
		for _, times := range []int{1, 2, 6} {
			if kind == s3test.CorruptRequest {
				continue // a GET has no body
			}
			t.Run(string(kind), func(t *testing.T) {
				t.Parallel()
				proxy := server.NewProxy(t)
				proxy.Plan(s3test.Fault{Kind: kind, Match: get, Times: times})
				is, err := read(t.Context(), open(t, proxy.URL(bucket, prefix, patience(kind), "retries=3")), "object")
				switch {
				case kind == s3test.CorruptAnswer:
					if !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), "CRC-32") {
						t.Errorf("read changed bytes: %v; want %v", err, fail.ErrVerification)
					}
				case err == nil && !bytes.Equal(is, content):
					t.Errorf("read other content, of %d bytes", len(is))
				case err != nil && times < 3:
					t.Errorf("%d faults are too many: %v", times, err)
				case err != nil && !errors.Is(err, storage.ErrUnavailable):
					t.Errorf("read: %v; want %v", err, storage.ErrUnavailable)
				case err != nil && (kind == s3test.ResetAnswer || kind == s3test.StallAnswer || kind == s3test.SlowAnswer):
					t.Errorf("what makes progress ends with %v", err)
				}
			})
		}
	}
}

// A connection that brings nothing more is tried again as often as set, no more.
func TestOpenGivesUp(t *testing.T) {
	server := startServer(t)
	prefix := newPrefix()
	put(t, open(t, server.URL(bucket, prefix)), "object", random(1, 1<<20))
	proxy := server.NewProxy(t)
	s := open(t, proxy.URL(bucket, prefix, "retries=3"))
	r, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Close()
	if _, err := io.ReadAll(r); err == nil {
		t.Error("a closed reader can be read")
	}
	proxy.Plan(s3test.Fault{Kind: s3test.ResetAnswer, Match: get, Times: -1}) // half of what is left, each time
	is, err := read(t.Context(), s, "object")
	if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "read object at byte 1048575") {
		t.Errorf("read %d bytes: %v; want %v at the last byte", len(is), err, storage.ErrUnavailable)
	}
	if n := len(proxy.Requests()); n > 30 { // 20 halves of a MiB, and the attempts at the last byte
		t.Errorf("%d requests for one object", n)
	}
}

// Two objects are never put together to one.
func TestReplacedWhileItIsRead(t *testing.T) {
	server := startServer(t)
	prefix := newPrefix()
	put(t, open(t, server.URL(bucket, prefix)), "object", random(1, 1<<20))
	proxy := server.NewProxy(t)
	proxy.Plan(s3test.Fault{Kind: s3test.ResetAnswer, Match: get})
	r, err := open(t, proxy.URL(bucket, prefix)).Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	putForeign(t, server, prefix+"/object")
	if _, err := io.ReadAll(r); !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), "replaced while it was read") {
		t.Errorf("read: %v", err)
	}
}

// A reader ends with the context of its Open, also in a stall.
func TestReaderEndsWithItsContext(t *testing.T) {
	server := startServer(t)
	prefix := newPrefix()
	put(t, open(t, server.URL(bucket, prefix)), "object", random(1, 1<<20))
	proxy := server.NewProxy(t)
	proxy.Plan(s3test.Fault{Kind: s3test.StallAnswer, Match: get})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := open(t, proxy.URL(bucket, prefix)).Open(ctx, "object")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("read: %v; want %v", err, context.Canceled)
	}
}

// patience is how long a request may take: not long where the fault is that
// nothing comes, and as long as a busy machine needs where it is another.
func patience(kind s3test.Kind) string {
	if kind == s3test.Stall || kind == s3test.StallAnswer {
		return "timeout=2s"
	}
	return "timeout=1m"
}
