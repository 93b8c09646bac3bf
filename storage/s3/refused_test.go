package s3_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// A store that cannot be used says why, and what to do about it.
func TestUnusableStores(t *testing.T) {
	server := startServer(t)
	other := s3test.Start(t, binary)
	closed := server.URL(bucket, "prefix", "endpoint=https://127.0.0.1:1", "retries=1")
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, c := range []struct {
		name            string
		env             [2]string
		url             *url.URL
		complaint, hint string
	}{
		{"wrong CA", [2]string{}, server.URL(bucket, "prefix", "ca-file="+other.CAFile), "unknown authority", "set ca-file or AWS_CA_BUNDLE"},
		{"wrong secret", [2]string{"AWS_SECRET_ACCESS_KEY", "thewrongsecret"}, server.URL(bucket, "prefix"), "SignatureDoesNotMatch", "check AWS_ACCESS_KEY_ID"},
		{"wrong key", [2]string{"AWS_ACCESS_KEY_ID", "AKWRONG"}, server.URL(bucket, "prefix"), "InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"},
		{"no credentials", [2]string{"AWS_ACCESS_KEY_ID", ""}, server.URL(bucket, "prefix"), "credentials", "AWS_ACCESS_KEY_ID"},
		{"no such bucket", [2]string{}, server.URL("nowhere", "prefix"), "NoSuchBucket", "make it, or check its name"},
		{"nobody answers", [2]string{}, closed, "connection refused", "check the endpoint"},
		{"no TLS", [2]string{}, server.URL(bucket, "prefix", "endpoint=https"+strings.TrimPrefix(plain.URL, "http"), "retries=1"), "HTTP response to HTTPS client", "http://"},
		{"proxy is down", [2]string{}, server.URL(bucket, "prefix", "proxy=http://127.0.0.1:1", "retries=1", "endpoint=https://s3.invalid"), "proxyconnect", "check the endpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.env[0] != "" {
				t.Setenv(c.env[0], c.env[1])
			}
			s := open(t, c.url)
			for what, err := range map[string]error{
				"put":    s.Put(t.Context(), "object", strings.NewReader("content")),
				"open":   func() error { _, err := s.Open(t.Context(), "object"); return err }(),
				"list":   listError(t, s),
				"delete": s.Delete(t.Context(), "object"),
			} {
				if what == "delete" && c.name == "no such bucket" {
					continue // an answer to HEAD tells no bucket from no object
				}
				if !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("%s: %v; want %v", what, err, storage.ErrUnavailable)
					continue
				}
				if what != "delete" && (!strings.Contains(err.Error(), c.complaint) || !strings.Contains(fail.Hint(err), c.hint)) {
					t.Errorf("%s: %v (hint %q); want %q (hint %q)", what, err, fail.Hint(err), c.complaint, c.hint)
				}
				for _, secret := range []string{"thewrongsecret", server.SecretKey, server.AccessKey} {
					if strings.Contains(err.Error()+fail.Hint(err), secret) {
						t.Errorf("%s tells a secret: %v", what, err)
					}
				}
			}
		})
	}
}

func listError(t *testing.T, s storage.Store) error {
	t.Helper()
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			return err
		}
	}
	return nil
}

// The CA comes from the file, or from the variable of every AWS tool.
func TestTrustedAuthorities(t *testing.T) {
	server := startServer(t)
	t.Setenv("AWS_CA_BUNDLE", server.CAFile)
	u := server.URL(bucket, newPrefix())
	query := u.Query()
	query.Del("ca-file")
	u.RawQuery = query.Encode()
	put(t, open(t, u), "object", []byte("content"))

	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, complaint := range map[string]string{empty: "no certificate in", empty + ".missing": "no such file"} {
		_, err := opener.Open(t.Context(), server.URL(bucket, "prefix", "ca-file="+file), false)
		if !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), complaint) {
			t.Errorf("open with %s: %v; want %q", filepath.Base(file), err, complaint)
		}
	}
}

// Without an endpoint there is no region to fall back on.
func TestRegionIsNotKnown(t *testing.T) {
	server := startServer(t)
	t.Setenv("AWS_REGION", "")
	put(t, open(t, server.URL(bucket, newPrefix())), "object", nil) // of a server that has none
	_, err := opener.Open(t.Context(), &url.URL{Scheme: "s3", Host: bucket}, false)
	if !errors.Is(err, fail.ErrUsage) || !strings.Contains(fail.Hint(err), "set region") {
		t.Errorf("open without a region: %v", err)
	}
}

// String names the place, and opens it again where nothing else is needed.
func TestStoreIsNamed(t *testing.T) {
	server := startServer(t)
	is := open(t, server.URL(bucket, "a/b/", "lock-mode=GOVERNANCE", "lock-for=1d", "timeout=2s")).String()
	if want := "s3://backups/a/b?endpoint=" + server.Endpoint; is != want {
		t.Errorf("the store is called %q, want %q", is, want)
	}
}
