// Package s3test is for tests only: it runs a real S3 server, and breaks the
// connections to it on demand.
package s3test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// region is the one that the server signs for.
const region = "us-east-1"

// Server is a versitygw on 127.0.0.1, with TLS and credentials of its own. Its
// data lie in a temporary directory; it ends with the test.
type Server struct {
	Endpoint  string // https://127.0.0.1:port
	CAFile    string // of the server, and of every [Proxy] of it
	AccessKey string
	SecretKey string

	authority *authority
	log       *logBuffer
}

// Start runs the versitygw at path and waits until it answers.
func Start(t testing.TB, path string) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{
		CAFile:    filepath.Join(dir, "ca.pem"),
		AccessKey: "AK" + rand.Text()[:18],
		SecretKey: rand.Text() + rand.Text(),
		authority: newAuthority(t),
		log:       &logBuffer{},
	}
	s.authority.write(t, s.CAFile, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	for try := 0; ; try++ {
		err := s.run(t, path, dir)
		if err == nil {
			return s
		}
		if try == 3 { // each time another took the port that was free
			t.Fatalf("start %s: %v\n%s", path, err, s.log)
		}
	}
}

// run returns when the server answers, or has ended.
func (s *Server) run(t testing.TB, path, dir string) error {
	address := freeAddress(t)
	data, versions, iam := filepath.Join(dir, "data"), filepath.Join(dir, "versions"), filepath.Join(dir, "iam")
	for _, d := range []string{data, versions, iam} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	cmd := exec.Command(path, "--port", address, "--health", "/health", "--iam-dir", iam, "--quiet", "--keep-alive",
		"--cert", filepath.Join(dir, "cert.pem"), "--key", filepath.Join(dir, "key.pem"), "posix", "--versioning-dir", versions, data)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop := func() { _ = cmd.Process.Kill(); <-ended }
	s.Endpoint = "https://" + address
	if err := s.answers(t.Context(), ended); err != nil {
		stop()
		return err
	}
	t.Cleanup(stop)
	return nil
}

// startTime is far more than the server needs.
const startTime = 30 * time.Second

func (s *Server) answers(ctx context.Context, ended <-chan struct{}) error {
	client := &http.Client{Transport: s.authority.transport(), Timeout: startTime}
	deadline, tick := time.After(startTime), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/health", nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ended:
			return errors.New("it has ended")
		case <-deadline:
			return fmt.Errorf("it does not answer within %v", startTime)
		case <-tick.C:
		}
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Env is what a client of the server has in its environment, and nothing of the
// configuration of whoever runs the test.
func (s *Server) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_REGION=" + region,
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_PROFILE=", "AWS_SESSION_TOKEN=", "AWS_CA_BUNDLE=", "AWS_ENDPOINT_URL=", "AWS_ENDPOINT_URL_S3=", "HTTPS_PROXY=", "https_proxy=",
		"HTTP_PROXY=", "http_proxy=", "NO_PROXY=", "no_proxy=",
	}
}

// Setenv sets Env for the test itself.
func (s *Server) Setenv(t testing.TB) {
	t.Helper()
	for _, pair := range s.Env() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

// URL is that of a store in a bucket; settings are more pairs for its query.
func (s *Server) URL(bucket, prefix string, settings ...string) *url.URL {
	return s.urlAt(s.Endpoint, bucket, prefix, settings)
}

func (s *Server) urlAt(endpoint, bucket, prefix string, settings []string) *url.URL {
	query := url.Values{"endpoint": {endpoint}, "ca-file": {s.CAFile}, "path-style": {"true"}}
	for _, pair := range settings {
		name, value, _ := strings.Cut(pair, "=")
		query.Set(name, value)
	}
	return &url.URL{Scheme: "s3", Host: bucket, Path: "/" + prefix, RawQuery: query.Encode()}
}

// Client is the plain client of the SDK, to look at what a store has done.
func (s *Server) Client() *s3.Client {
	return s3.New(s3.Options{
		Region:       region,
		BaseEndpoint: &s.Endpoint,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		HTTPClient:   &http.Client{Transport: s.authority.transport()},
	})
}

// MakeBucket makes a plain bucket.
func (s *Server) MakeBucket(t testing.TB, name string) { t.Helper(); s.makeBucket(t, name, false) }

// MakeLockBucket makes a bucket with versions and Object Lock.
func (s *Server) MakeLockBucket(t testing.TB, name string) { t.Helper(); s.makeBucket(t, name, true) }

func (s *Server) makeBucket(t testing.TB, name string, lock bool) {
	t.Helper()
	in := &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(lock)}
	if _, err := s.Client().CreateBucket(t.Context(), in); err != nil {
		t.Fatalf("make bucket %s: %v", name, err)
	}
}

// Uploads returns the keys of the multipart uploads that have not come to an end.
func (s *Server) Uploads(t testing.TB, bucket string) []string {
	t.Helper()
	var keys []string
	pages := s3.NewListMultipartUploadsPaginator(s.Client(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("list uploads of %s: %v", bucket, err)
		}
		for _, u := range page.Uploads {
			keys = append(keys, aws.ToString(u.Key))
		}
	}
	return keys
}

// Objects returns the objects of a bucket in the order of their keys.
func (s *Server) Objects(t testing.TB, bucket string) []types.Object {
	t.Helper()
	var objects []types.Object
	pages := s3.NewListObjectsV2Paginator(s.Client(), &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("list %s: %v", bucket, err)
		}
		objects = append(objects, page.Contents...)
	}
	return objects
}

// logBuffer keeps what the server writes, for a test that cannot start it.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

var _ io.Writer = (*logBuffer)(nil)

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
