package s3_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// step is a request that a Put makes.
type step struct {
	name  string
	match func(*http.Request) bool
}

var (
	look     = step{"look whether it exists", s3test.Matching(http.MethodGet, "list-type")}
	create   = step{"PutObject", s3test.Matching(http.MethodPut, "PutObject")}
	begin    = step{"CreateMultipartUpload", s3test.Matching(http.MethodPost, "uploads")}
	first    = step{"UploadPart 1", func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "1" }}
	second   = step{"UploadPart 2", func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "2" }}
	complete = step{"CompleteMultipartUpload", func(r *http.Request) bool {
		return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	}}
	confirm = step{"confirm", s3test.Matching(http.MethodHead, "")}
)

// puts are the two ways in which an object is made, with their requests.
var puts = []struct {
	name  string
	size  int
	steps []step
}{
	{"small", 1000, []step{look, create, confirm}},
	{"multipart", part + 1000, []step{look, begin, first, second, complete, confirm}},
}

// The steps above are all the requests that there are.
func TestStepsOfAPut(t *testing.T) {
	server := startServer(t)
	proxy := server.NewProxy(t)
	for _, p := range puts {
		proxy.Plan()
		put(t, open(t, proxy.URL(bucket, newPrefix())), "object", random(1, p.size))
		if requests := proxy.Requests(); len(requests) != len(p.steps) {
			t.Errorf("a %s put makes the requests %q, want %d", p.name, requests, len(p.steps))
		}
	}
}

// One fault, at any request, is mended: the Put succeeds, or says why not.
func TestPutOutlivesAnyFault(t *testing.T) {
	server := startServer(t)
	for _, p := range puts {
		for _, step := range p.steps {
			for _, kind := range s3test.Kinds {
				if kind == s3test.CorruptAnswer {
					continue // what only TLS protects; the content of an object is more than that
				}
				t.Run(p.name+"/"+step.name+"/"+string(kind), func(t *testing.T) {
					t.Parallel()
					fault := s3test.Fault{Kind: kind, Match: step.match}
					err := putBroken(t, server, p.size, fault)
					if err != nil && kind != s3test.CorruptRequest {
						t.Errorf("one fault is too many: %v", err)
					}
				})
			}
		}
	}
}

// A fault that stays is an error, unless nothing depends on the answer.
func TestPutEndsWithAFaultThatStays(t *testing.T) {
	server := startServer(t)
	for _, p := range puts {
		for _, step := range p.steps {
			for _, kind := range []s3test.Kind{s3test.ResetBefore, s3test.ResetAfter, s3test.Stall, s3test.SlowDown} {
				t.Run(p.name+"/"+step.name+"/"+string(kind), func(t *testing.T) {
					t.Parallel()
					err := putBroken(t, server, p.size, s3test.Fault{Kind: kind, Match: step.match, Times: -1})
					known := step.name == create.name || step.name == complete.name // by what confirms it
					if made := kind == s3test.ResetAfter && known; made != (err == nil) {
						t.Errorf("put: %v", err)
					}
				})
			}
		}
	}
}

// putBroken puts an object with a fault. Whatever happens, the object is whole
// or not there, no upload is left, and a second Put finds things in order.
func putBroken(t *testing.T, server *s3test.Server, size int, fault s3test.Fault) error {
	t.Helper()
	prefix, content := newPrefix(), random(1, size)
	proxy := server.NewProxy(t)
	proxy.Plan(fault)
	broken := open(t, proxy.URL(bucket, prefix, patience(fault.Kind), "retries=3"))
	err := broken.Put(t.Context(), "object", sized{bytes.NewReader(content), int64(size)})
	sound := open(t, server.URL(bucket, prefix))
	if uploads := leaked(t, server, prefix); len(uploads) > 0 {
		t.Errorf("after %v uploads are left of %q", err, uploads)
	}
	if err == nil {
		holds(t, sound, "object", content)
		if err := sound.Put(t.Context(), "object", bytes.NewReader(content)); !errors.Is(err, storage.ErrExist) {
			t.Errorf("second put: %v; want %v", err, storage.ErrExist)
		}
		return nil
	}
	if !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, fail.ErrVerification) {
		t.Errorf("put: %v; want %v", err, storage.ErrUnavailable)
	}
	absent(t, sound, "object")
	put(t, sound, "object", content)
	holds(t, sound, "object", content)
	return err
}

// A reader may fail, and the context end, while requests fail as well: the
// reader's error is the one that comes back.
func TestReaderFailsBesideTheServer(t *testing.T) {
	server := startServer(t)
	errReader := errors.New("the reader has failed")
	for _, kind := range []s3test.Kind{s3test.None, s3test.ResetBefore, s3test.SlowDown, s3test.ResetAfter} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			prefix := newPrefix()
			proxy := server.NewProxy(t)
			proxy.Plan(s3test.Fault{Kind: kind, Match: s3test.Matching(http.MethodDelete, "")})
			s := open(t, proxy.URL(bucket, prefix))
			r := io.MultiReader(bytes.NewReader(random(1, 2*part)), failing{errReader})
			if err := s.Put(t.Context(), "object", r); !errors.Is(err, errReader) {
				t.Errorf("put: %v; want %v", err, errReader)
			}
			if uploads := leaked(t, server, prefix); len(uploads) > 0 {
				t.Errorf("uploads are left of %q", uploads)
			}
			absent(t, open(t, server.URL(bucket, prefix)), "object")
		})
	}
}

// sized announces its size.
type sized struct {
	io.Reader
	size int64
}

func (s sized) MaxSize() int64 { return s.size }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
