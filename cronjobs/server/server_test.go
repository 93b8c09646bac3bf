package server

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

const loopback = "127.0.0.1:0"

func TestOnLoopbackNothingIsAsked(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback}).start()
	for path, want := range map[string]string{
		"/": "page of /", "/cluster/a": "page of /cluster/a", "/metrics": "etcdha_metric 1\n", "/healthz": "ok\n", "/readyz": "ok\n",
	} {
		if got := s.ask(path, nil); got.code != http.StatusOK || got.body != want {
			t.Errorf("%s: %d %q", path, got.code, got.body)
		}
	}
	plain, err := ask(t, nil, http.MethodGet, "http://"+s.addr.String()+"/metrics", nil)
	if err == nil && plain.code == http.StatusOK {
		t.Errorf("answered without TLS: %q", plain.body)
	}
}

func TestHealthSaysWhyNot(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback}).start()
	s.set(func() { s.healthy, s.ready = errStands, errors.New("the configuration has no cluster") })
	for path, want := range map[string]string{"/healthz": "nothing was done for 5m0s\n", "/readyz": "the configuration has no cluster\n"} {
		got := s.ask(path, nil)
		if got.code != http.StatusServiceUnavailable || got.body != want || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %q %v", path, got.code, got.body, got.header)
		}
	}
	s.set(func() { s.healthy = nil })
	if got := s.ask("/healthz", nil); got.code != http.StatusOK {
		t.Errorf("well again: %d", got.code)
	}
}

// A page of another site must not read this one by a name that leads to loopback.
func TestForeignNamesAreRefusedOnLoopback(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback}).start()
	_, port, _ := net.SplitHostPort(s.addr.String())
	as := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	for _, host := range []string{"evil.example", "evil.example:" + port, "localhost.evil.example", "127.0.0.1.evil.example"} {
		for _, path := range []string{"/", "/metrics"} {
			if got := s.ask(path, as(host)); got.code != http.StatusMisdirectedRequest || strings.Contains(got.body, "page") {
				t.Errorf("%s%s: %d %q", host, path, got.code, got.body)
			}
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:" + port, "localhost.", "page.localhost", "127.0.0.1", "[::1]", "[::1]:" + port, "192.0.2.1"} {
		if got := s.ask("/", as(host)); got.code != http.StatusOK {
			t.Errorf("%s: %d %q", host, got.code, got.body)
		}
	}
	if got := s.ask("/healthz", as("evil.example")); got.code != http.StatusOK {
		t.Errorf("health has nothing to hide: %d", got.code)
	}
}

func TestNothingCanBeChanged(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback}).start()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace} {
		for _, path := range []string{"/", "/metrics", "/healthz", "/readyz"} {
			got, err := ask(t, anybody(), method, s.url(path), nil)
			if err != nil || got.code != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, %v", method, path, got.code, err)
			}
		}
	}
	got, err := ask(t, anybody(), http.MethodHead, s.url("/readyz"), nil)
	if err != nil || got.code != http.StatusOK || got.body != "" {
		t.Errorf("HEAD: %+v, %v", got, err)
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback})
	s.options.Config.TokenFile = s.file("token", "t0ken")
	s.start()
	for _, path := range []string{"/", "/metrics", "/healthz", "/none"} { // some of them are refused
		h := s.ask(path, nil).header
		csp := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: no %s in %q", path, part, csp)
			}
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
	}
	long := func(r *http.Request) { r.Header.Set("X-Long", strings.Repeat("x", 2*maxHeader)) }
	if got := s.ask("/healthz", long); got.code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of %d bytes: %d", 2*maxHeader, got.code)
	}
}

func TestACertificateIsMadeHere(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback}).start()
	cert := s.ask("/healthz", nil).peer
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	for _, host := range []string{"localhost", "127.0.0.1", "::1", name} {
		if err := cert.VerifyHostname(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	trusting := anybody()
	trusting.InsecureSkipVerify, trusting.RootCAs = false, pool
	if got, err := ask(t, trusting, http.MethodGet, s.url("/healthz"), nil); err != nil || got.code != http.StatusOK {
		t.Errorf("who trusts it: %d, %v", got.code, err)
	}
	if life := cert.NotAfter.Sub(s.now); life < selfMadeLife-time.Minute || life > selfMadeLife {
		t.Errorf("it lives for %s", life)
	}
	sum := sha256.Sum256(cert.Raw)
	if fingerprint := hex.EncodeToString(sum[:]); !strings.Contains(s.log.String(), fingerprint) {
		t.Errorf("no fingerprint %s in the log:\n%s", fingerprint, s.log.String())
	}
	if again := s.ask("/healthz", nil).peer; !again.Equal(cert) {
		t.Error("another certificate for each connection")
	}

	s.set(func() { s.now = s.now.Add(selfMadeLife - selfMadeRenewal + time.Minute) }) // a daemon that runs for a year
	if renewed := s.ask("/healthz", nil).peer; renewed.Equal(cert) || renewed.NotAfter.Sub(cert.NotAfter) < 300*24*time.Hour {
		t.Errorf("it is not renewed: until %s", renewed.NotAfter)
	}
}

func TestASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcdha.sock")
	s := newServed(t, config.Server{Listen: "unix://" + path}).start()
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("socket: %v, %v", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	r, err := client.Get("http://etcdha/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); string(body) != "etcdha_metric 1\n" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := Listen(Options{Config: config.Server{Listen: "unix://" + s.file("kept", "x")}}); !errors.Is(err, fail.ErrUsage) {
		t.Errorf("at a file: %v", err)
	}
}

func TestWhatCanNeverBeServed(t *testing.T) {
	s := newServed(t, config.Server{})
	cert, key := newAuthority(t).issue(t)
	certFile, keyFile := s.file("tls.crt", cert), s.file("tls.key", key)
	empty, none := s.file("empty", "\n"), filepath.Join(s.dir, "none")
	for name, c := range map[string]config.Server{
		"everybody could ask":   {Listen: "0.0.0.0:0"},
		"no token in the file":  {Listen: loopback, TokenFile: empty},
		"no token file":         {Listen: loopback, TokenFile: none},
		"no CA in the file":     {Listen: loopback, ClientCAFile: keyFile},
		"no certificate file":   {Listen: loopback, CertFile: none, KeyFile: keyFile},
		"a certificate, no key": {Listen: loopback, CertFile: certFile},
		"a key that is another": {Listen: loopback, CertFile: s.file("other.crt", first(newAuthority(t).issue(t))), KeyFile: keyFile},
		"no address":            {Listen: "nowhere"},
		"no directory":          {Listen: "unix://" + filepath.Join(none, "s.sock")},
	} {
		s.options.Config = c
		l, err := Listen(s.options)
		if err == nil {
			l.Close()
			t.Errorf("%s: it listens", name)
		}
	}
	s.options.Config = config.Server{Listen: "0.0.0.0:0"}
	if _, err := Listen(s.options); !errors.Is(err, fail.ErrUsage) || !strings.Contains(fail.Hint(err), "server.tokenFile") {
		t.Errorf("%v, hint %q", err, fail.Hint(err))
	}
}

func first(a, _ string) string { return a }

// An answer that goes on comes to its end, and then the address is free.
func TestTheEnd(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback})
	asked, goOn := make(chan struct{}), make(chan struct{})
	s.options.Page = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-goOn
		_, _ = fmt.Fprint(w, "whole")
	})
	l, err := Listen(s.options)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, s.options) }()
	got := make(chan answer, 1)
	go func() { a, _ := ask(t, anybody(), http.MethodGet, s.url("/"), nil); got <- a }()
	<-asked
	cancel()
	for { // nobody new is let in
		c, err := net.Dial("tcp", s.addr.String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(goOn)
	if a := <-got; a.body != "whole" {
		t.Errorf("%+v", a)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	again, err := net.Listen("tcp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestAListenerThatBreaks(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback})
	l, err := Listen(s.options)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, s.options); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}
