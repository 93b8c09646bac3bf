package throwaway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// servesOverTLSAlone fails if a member answers anyone without a certificate of
// the cluster's own CA, at its client or its peer address.
func servesOverTLSAlone(t *testing.T, c *throwaway.Cluster) {
	t.Helper()
	config := c.Config()
	data, err := os.ReadFile(config.CACert)
	if err != nil {
		t.Fatal(err)
	}
	cas := x509.NewCertPool()
	cas.AppendCertsFromPEM(data)
	client, err := tls.LoadX509KeyPair(config.Cert, config.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Members {
		for _, u := range []string{m.ClientURL, m.PeerURL} {
			if status, body, err := get(t, u, &tls.Config{RootCAs: cas, Certificates: []tls.Certificate{client}}); status != http.StatusOK || !strings.Contains(body, "etcdserver") {
				t.Errorf("%s with TLS and a certificate: %d %q, %v; want its version", u, status, body, err)
			}
			if status, body, err := get(t, u, &tls.Config{RootCAs: cas}); err == nil {
				t.Errorf("%s with TLS alone: %d %q", u, status, body)
			}
			if status, body, err := get(t, u, &tls.Config{Certificates: []tls.Certificate{client}}); err == nil {
				t.Errorf("%s proves to be somebody known: %d %q", u, status, body)
			}
			if status, body, err := get(t, strings.Replace(u, "https:", "http:", 1), nil); err == nil && status != http.StatusBadRequest {
				t.Errorf("%s without TLS: %d %q", u, status, body)
			}
		}
	}
}

// get asks for the version, which etcd tells everyone who may talk to it.
func get(t *testing.T, url string, config *tls.Config) (status int, body string, err error) {
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}
