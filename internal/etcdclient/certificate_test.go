package etcdclient_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/etcdclient"
)

// A certificate is shown also where it is not valid any more, or signed by somebody
// else: when it expires is what the caller wants to know.
func TestServerCertificate(t *testing.T) {
	ours, other := newCA(t), newCA(t)
	expired := time.Now().Add(-time.Hour).Truncate(time.Second)
	cert, key := other.issue(t, "server", func(c *x509.Certificate) { c.NotAfter = expired })
	endpoint := "https://" + handshakes(t, cert, key)
	config := etcdclient.Config{CACert: ours.file()}
	shown, err := config.ServerCertificate(t.Context(), endpoint)
	if err != nil || !shown.NotAfter.Equal(expired) {
		t.Errorf("%+v, %v", shown, err)
	}
	if shown, err := config.ServerCertificate(t.Context(), "http://127.0.0.1:1"); shown != nil || err != nil {
		t.Errorf("without TLS: %+v, %v", shown, err)
	}
	nobody := "https://" + refusing(t)
	if _, err := config.ServerCertificate(t.Context(), nobody); reasonOf(err, nobody) != "connection refused" {
		t.Errorf("nobody listens: %v", err)
	}
}
