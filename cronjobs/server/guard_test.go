package server

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/config"
)

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// A token is needed beyond loopback, and on loopback as well if it is configured.
func TestAToken(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback})
	s.options.Config.TokenFile = s.file("token", "  t0ken: of this\r\nand what somebody noted below\n")
	s.start()
	for _, path := range []string{"/", "/metrics", "/cluster/a", "/style.css"} {
		got := s.ask(path, nil)
		challenges := strings.Join(got.header.Values("WWW-Authenticate"), "; ")
		if got.code != http.StatusUnauthorized || strings.Contains(got.body, "page") || strings.Contains(got.body, "metric") {
			t.Errorf("%s: %d %q", path, got.code, got.body)
		}
		if !strings.Contains(challenges, "Bearer ") || !strings.Contains(challenges, "Basic ") {
			t.Errorf("challenges: %q", challenges)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"another": bearer("t0ken"), "none": bearer(""), "longer": bearer("t0ken: of this one"), "as a name": basic("t0ken: of this", ""),
		"another password": basic("admin", "t0ken"), "another scheme": func(r *http.Request) { r.Header.Set("Authorization", "Digest t0ken: of this") },
	} {
		if got := s.ask("/", change); got.code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got.code)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"bearer": bearer("t0ken: of this"), "a browser": basic("anybody", "t0ken: of this"), "no name": basic("", "t0ken: of this"),
		"by another name": func(r *http.Request) { bearer("t0ken: of this")(r); r.Host = "etcdha.example" },
	} {
		if got := s.ask("/metrics", change); got.code != http.StatusOK || got.body != "etcdha_metric 1\n" {
			t.Errorf("%s: %d %q", name, got.code, got.body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := s.ask(path, nil); got.code != http.StatusOK {
			t.Errorf("%s: %d", path, got.code)
		}
	}
	if log := s.log.String(); strings.Contains(log, "t0ken") {
		t.Errorf("the log has it:\n%s", log)
	}
}

func TestWhoIsAsked(t *testing.T) {
	beyond := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
	everywhere := &net.TCPAddr{IP: net.IPv6unspecified}
	here4, here6 := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv6loopback}
	socket := &net.UnixAddr{Name: "s", Net: "unix"}
	for _, c := range []struct {
		config config.Server
		at     net.Addr
		want   bool
	}{
		{config.Server{}, here4, false},
		{config.Server{}, here6, false},
		{config.Server{}, socket, false},
		{config.Server{}, beyond, true},
		{config.Server{}, everywhere, true},
		{config.Server{TokenFile: "t"}, here4, true},
		{config.Server{TokenFile: "t"}, socket, true},
		{config.Server{ClientCAFile: "c"}, here6, true},
		{config.Server{ClientCAFile: "c"}, beyond, true},
	} {
		if got := asks(c.config, c.at); got != c.want {
			t.Errorf("%+v at %s: %v", c.config, c.at, got)
		}
	}
}

func TestATokenIsRotated(t *testing.T) {
	s := newServed(t, config.Server{Listen: loopback})
	s.options.Config.TokenFile = s.file("token", "first")
	s.start()
	s.file("token", "second")
	if got := s.ask("/", bearer("first")); got.code != http.StatusUnauthorized {
		t.Errorf("the old one: %d", got.code)
	}
	if got := s.ask("/", bearer("second")); got.code != http.StatusOK {
		t.Errorf("the new one: %d", got.code)
	}
	s.file("token", "\n") // half-written
	for range 3 {
		if got := s.ask("/", bearer("second")); got.code != http.StatusOK {
			t.Errorf("while the file is empty: %d", got.code)
		}
		if got := s.ask("/", bearer("")); got.code != http.StatusUnauthorized {
			t.Errorf("no token: %d", got.code)
		}
	}
	if n := strings.Count(s.log.String(), "stays in use"); n != 1 {
		t.Errorf("said %d times:\n%s", n, s.log.String())
	}
}

func TestAClientCertificate(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	s := newServed(t, config.Server{Listen: loopback})
	s.options.Config.ClientCAFile = s.file("ca.crt", ours.pem)
	s.start()
	if got, err := ask(t, ours.client(t), http.MethodGet, s.url("/"), nil); err != nil || got.code != http.StatusOK {
		t.Errorf("with one: %d, %v", got.code, err)
	}
	if got, err := ask(t, theirs.client(t), http.MethodGet, s.url("/"), nil); err == nil {
		t.Errorf("with one of others: %d %q", got.code, got.body)
	}
	if got := s.ask("/", nil); got.code != http.StatusUnauthorized {
		t.Errorf("without: %d", got.code)
	}
	if got := s.ask("/", bearer("")); got.code != http.StatusUnauthorized {
		t.Errorf("an empty token, where there is none: %d", got.code)
	}
	if got := s.ask("/healthz", nil); got.code != http.StatusOK {
		t.Errorf("health without: %d", got.code)
	}

	s.file("ca.crt", theirs.pem) // another CA from now on
	if got, err := ask(t, theirs.client(t), http.MethodGet, s.url("/"), nil); err != nil || got.code != http.StatusOK {
		t.Errorf("of the new CA: %d, %v", got.code, err)
	}
	if got, err := ask(t, ours.client(t), http.MethodGet, s.url("/"), nil); err == nil {
		t.Errorf("of the old CA: %d %q", got.code, got.body)
	}
}

// Either will do where both are configured.
func TestATokenOrACertificate(t *testing.T) {
	ca := newAuthority(t)
	s := newServed(t, config.Server{Listen: loopback})
	s.options.Config.ClientCAFile, s.options.Config.TokenFile = s.file("ca.crt", ca.pem), s.file("token", "t")
	s.start()
	if got, err := ask(t, ca.client(t), http.MethodGet, s.url("/"), nil); err != nil || got.code != http.StatusOK {
		t.Errorf("a certificate: %d, %v", got.code, err)
	}
	if got := s.ask("/", bearer("t")); got.code != http.StatusOK {
		t.Errorf("a token: %d", got.code)
	}
	if got := s.ask("/", nil); got.code != http.StatusUnauthorized {
		t.Errorf("neither: %d", got.code)
	}
}

func TestTheServersCertificateIsRotated(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	s := newServed(t, config.Server{Listen: loopback})
	write := func(a *authority) {
		cert, key := a.issue(t)
		s.options.Config.CertFile, s.options.Config.KeyFile = s.file("tls.crt", cert), s.file("tls.key", key)
	}
	write(first)
	s.start()
	ask := func(pool *x509.CertPool) error {
		c := anybody()
		c.InsecureSkipVerify, c.RootCAs = false, pool
		_, err := ask(t, c, http.MethodGet, s.url("/healthz"), nil)
		return err
	}
	if err := ask(first.pool); err != nil {
		t.Error(err)
	}
	cert, _ := second.issue(t)
	s.file("tls.crt", cert) // its key comes a moment later
	if err := ask(first.pool); err != nil {
		t.Errorf("in between: %v", err)
	}
	write(second)
	if err := ask(second.pool); err != nil {
		t.Errorf("the new one: %v", err)
	}
	if err := os.Remove(s.options.Config.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := ask(second.pool); err != nil {
		t.Errorf("without its file: %v", err)
	}
	if log := s.log.String(); strings.Contains(log, "made here") || strings.Count(log, "stays in use") != 2 {
		t.Errorf("log:\n%s", log)
	}
}

// A browser asks its user for the token, but not because of a script that refreshes the page: that would
// wait for as long as nobody answers.
func TestAScriptIsNotAskedForAPassword(t *testing.T) {
	g := guard{needed: true}
	for dest, asked := range map[string]bool{"": true, "document": true, "image": true, "empty": false} {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.Header.Set("Sec-Fetch-Dest", dest)
		g.wrap(http.NotFoundHandler()).ServeHTTP(w, r)
		if got := strings.Contains(strings.Join(w.Header().Values("WWW-Authenticate"), ", "), "Basic"); w.Code != http.StatusUnauthorized || got != asked {
			t.Errorf("%q: %d, asked for a password: %v", dest, w.Code, got)
		}
	}
}
