package s3_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3"
	"github.com/etcdha/etcdha/storage/s3/s3test"
	"github.com/etcdha/etcdha/storage/storagetest"
)

const bucket = "backups"

// part is the size of a part of content that is not announced as large.
const part = 8 << 20

// binary is built by `make tools`.
var binary = filepath.Join("..", "..", "bin", "versitygw")

func TestS3KeepsTheContract(t *testing.T) {
	server := startServer(t)
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, server.URL(bucket, newPrefix())) })
	if uploads := server.Uploads(t, bucket); len(uploads) > 0 {
		t.Errorf("uploads are left of %q", uploads)
	}
}

// A store without a prefix is a whole bucket, in which others may keep what is no key.
func TestAWholeBucket(t *testing.T) {
	server := startServer(t)
	s := open(t, server.URL(bucket, ""))
	put(t, s, "cluster/object", []byte("content"))
	other := open(t, server.URL(bucket, "clust"))
	put(t, other, "object", []byte("of another prefix"))
	putForeign(t, server, "cluster/a file", "cluster/.hidden", "ä", "cluster//object")
	if is, want := list(t, s), []string{"clust/object", "cluster/object"}; !slices.Equal(is, want) {
		t.Errorf("the bucket lists %q, want %q", is, want)
	}
	if is, want := list(t, other), []string{"object"}; !slices.Equal(is, want) {
		t.Errorf("the prefix lists %q, want %q", is, want)
	}
}

// An object tells when it was put, by the server's clock.
func TestObjectsAreDated(t *testing.T) {
	server := startServer(t)
	s := open(t, server.URL(bucket, newPrefix()))
	before := time.Now().Truncate(time.Second)
	put(t, s, "object", nil)
	for o, err := range s.List(t.Context(), "") {
		if err != nil || o.Modified.Before(before) || o.Modified.After(time.Now().Add(time.Second)) {
			t.Errorf("the object put at %v is listed as %v (%v)", before, o, err)
		}
	}
}

func startServer(t *testing.T) *s3test.Server {
	t.Helper()
	server := s3test.Start(t, binary)
	server.Setenv(t)
	server.MakeBucket(t, bucket)
	return server
}

var prefixes atomic.Int64

// newPrefix keeps what one test does from what another does in the same bucket.
func newPrefix() string { return fmt.Sprintf("prefix-%d/below", prefixes.Add(1)) }

// opener waits less between attempts than the real one.
var opener = s3.Opener{Now: time.Now, Random: crand.Reader}.WithRetryWait(10 * time.Millisecond)

func open(t testing.TB, u *url.URL) storage.Store {
	t.Helper()
	s, err := opener.Open(t.Context(), u, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s storage.Store, key string, content []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func read(ctx context.Context, s storage.Store, key string) ([]byte, error) {
	r, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// holds fails unless the object is there as it was put.
func holds(t testing.TB, s storage.Store, key string, want []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	left, block := want, make([]byte, 64<<10)
	for err == nil {
		var n int
		n, err = r.Read(block)
		if !bytes.HasPrefix(left, block[:n]) {
			t.Errorf("%s differs after byte %d", key, len(want)-len(left))
			return
		}
		left = left[n:]
	}
	if !errors.Is(err, io.EOF) || len(left) > 0 {
		t.Errorf("%s ends with %v after %d bytes; want %d", key, err, len(want)-len(left), len(want))
	}
}

// absent fails if the object is there.
func absent(t testing.TB, s storage.Store, key string) {
	t.Helper()
	if is, err := read(t.Context(), s, key); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("%s holds %d bytes, %v; want %v", key, len(is), err, storage.ErrNotExist)
	}
	if keys := list(t, s); slices.Contains(keys, key) {
		t.Errorf("%s is listed", key)
	}
}

func list(t testing.TB, s storage.Store) []string {
	t.Helper()
	var keys []string
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// random is content that no compression or repetition makes any smaller. It is
// not to be changed.
func random(seed byte, size int) []byte {
	made.Lock()
	defer made.Unlock()
	content, ok := made.content[[2]int{int(seed), size}]
	if !ok {
		content = make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{seed}).Read(content) // never fails
		made.content[[2]int{int(seed), size}] = content
	}
	return content
}

// made is content that many tests put, by seed and size.
var made = struct {
	sync.Mutex
	content map[[2]int][]byte
}{content: map[[2]int][]byte{}}

// leaked returns the uploads below a prefix that have not come to an end.
func leaked(t testing.TB, server *s3test.Server, prefix string) []string {
	t.Helper()
	return slices.DeleteFunc(server.Uploads(t, bucket), func(key string) bool { return !strings.HasPrefix(key, prefix+"/") })
}
