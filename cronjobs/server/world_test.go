package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// served is a server under test.
type served struct {
	t       *testing.T
	options Options
	dir     string
	log     lockedBuffer
	addr    net.Addr

	mu             sync.Mutex
	ready, healthy error
	now            time.Time
}

func newServed(t *testing.T, c config.Server) *served {
	t.Helper()
	s := &served{t: t, dir: t.TempDir(), now: time.Now()}
	s.options = Options{
		Config: c,
		Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "page of %s", r.URL.Path)
		}),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "etcdha_metric 1\n") }),
		Ready:   func() error { return s.get(&s.ready) },
		Healthy: func() error { return s.get(&s.healthy) },
		Now: func() time.Time {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.now
		},
		Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	return s
}

func (s *served) get(err *error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *err
}

func (s *served) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// start answers until the test ends.
func (s *served) start() *served {
	s.t.Helper()
	l, err := Listen(s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr()
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, s.options) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func (s *served) url(path string) string { return "https://" + s.addr.String() + path }

// file writes a file of the configuration.
func (s *served) file(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// answer is what came back.
type answer struct {
	code   int
	body   string
	header http.Header
	peer   *x509.Certificate
}

// ask makes one request on a connection of its own.
func ask(t *testing.T, config *tls.Config, method, url string, change func(*http.Request)) (answer, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	got, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	a := answer{code: got.StatusCode, body: string(body), header: got.Header}
	if got.TLS != nil {
		a.peer = got.TLS.PeerCertificates[0]
	}
	return a, err
}

// get asks whoever answers, as a browser does after a warning.
func (s *served) ask(path string, change func(*http.Request)) answer {
	s.t.Helper()
	a, err := ask(s.t, anybody(), http.MethodGet, s.url(path), change)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func anybody() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the test says where it looks at the certificate
}

// authority signs certificates for the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate for 127.0.0.1 and for clients, with its key, in PEM.
func (a *authority) issue(t *testing.T) (cert, key string) {
	t.Helper()
	k := newKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// client is the configuration of one that shows a certificate of the authority.
func (a *authority) client(t *testing.T) *tls.Config {
	t.Helper()
	cert, err := tls.X509KeyPair(pair(a.issue(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := anybody()
	// Shown even if the server says that it trusts others only.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return c
}

func pair(cert, key string) (c, k []byte) { return []byte(cert), []byte(key) }

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var errStands = errors.New("nothing was done for 5m0s")
