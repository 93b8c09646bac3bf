package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

const (
	allPassed  = "[+]ping ok\n[+]etcd ok\n[+]etcd-readiness ok\nreadyz check passed\n"
	etcdFailed = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\nreadyz check failed\n"
)

// serve answers as a kube-apiserver with a certificate; requests come in with the
// client certificate that was shown, nil without one.
func serve(t *testing.T, cert, key string, answer func(w http.ResponseWriter, client *x509.Certificate)) (address string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/readyz?verbose" {
			http.NotFound(w, r)
			return
		}
		var client *x509.Certificate
		if len(r.TLS.PeerCertificates) > 0 {
			client = r.TLS.PeerCertificates[0]
		}
		answer(w, client)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func says(status int, body string) func(http.ResponseWriter, *x509.Certificate) {
	return func(w http.ResponseWriter, _ *x509.Certificate) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// probe asks the apiserver at the address by what a file with these flags says.
func probe(t *testing.T, address string, flags ...string) error {
	t.Helper()
	f := &etcdservers.File{Args: append([]string{"kube-apiserver"}, flags...)}
	return NewProber(f).Ready(t.Context(), address)
}

// own is the flag that makes the apiserver at the address that of the file.
func own(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return "--secure-port=" + port
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if len(parts) == 0 && err != nil {
		t.Error(err)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error()+" (hint: "+fail.Hint(err)+")", part) {
			t.Errorf("%v (hint: %s); want %s", err, fail.Hint(err), part)
		}
	}
}

func TestWhatAnApiserverSays(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "apiserver", "127.0.0.1")
	for _, c := range []struct {
		name     string
		say      func(http.ResponseWriter, *x509.Certificate)
		want     []string
		notReady bool
	}{
		{"ready", says(200, allPassed), nil, false},
		{"ready, with other line ends", says(200, strings.ReplaceAll(allPassed, "\n", "\r\n")), nil, false},
		{"etcd fails", says(500, etcdFailed), []string{" is not ready: etcd, etcd-readiness failed"}, true},
		{"it starts", says(500, "[-]poststarthook/rbac/bootstrap-roles failed: not finished\n"), []string{"poststarthook/rbac/bootstrap-roles failed"}, true},
		{"it tells no check", says(200, "ok"), []string{"does not say that it has checked etcd"}, false},
		{"another check of etcd", says(200, "[+]etcd-readiness ok\n"), []string{"does not say that it has checked etcd"}, false},
		{"something else", says(503, "try later"), []string{"is not ready: status 503"}, true},
		{"it leads elsewhere", func(w http.ResponseWriter, _ *x509.Certificate) {
			http.Redirect(w, &http.Request{}, "https://192.0.2.1/readyz", http.StatusFound)
		}, []string{"is not ready: status 302"}, false},
		{"it asks who we are", says(401, ""), []string{"does not tell us", "--kubelet-client-certificate"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := serve(t, cert, key, c.say)
			err := probe(t, address, own(address), "--tls-cert-file="+cert)
			wantError(t, err, c.want...)
			if errors.Is(err, ErrNotReady) != c.notReady {
				t.Errorf("%v: not ready is %t", err, !c.notReady)
			}
		})
	}
}

// The own apiserver is told by its very certificate, whatever that is for; another
// one by a certificate for its address, of a CA that the file knows.
func TestWhoAnswers(t *testing.T) {
	ca, strange := newAuthority(t), newAuthority(t)
	elsewhere, elsewhereKey := ca.issue(t, "elsewhere", "192.0.2.10")
	rotated, rotatedKey := ca.issue(t, "rotated", "192.0.2.10")
	here, hereKey := ca.issue(t, "here", "127.0.0.1")
	foreign, foreignKey := strange.issue(t, "foreign", "127.0.0.1")
	for _, c := range []struct {
		name      string
		cert, key string
		own       bool
		flags     []string
		want      []string
	}{
		{"its own certificate, for another address", elsewhere, elsewhereKey, true, []string{"--tls-cert-file=" + elsewhere}, nil},
		{"one of its CA, after a rotation", rotated, rotatedKey, true, []string{"--tls-cert-file=" + elsewhere, "--client-ca-file=" + ca.file()}, nil},
		{"another one, of a CA that it does not know", foreign, foreignKey, true, []string{"--tls-cert-file=" + elsewhere, "--client-ca-file=" + ca.file()}, []string{"unknown authority"}},
		{"no certificate is known", elsewhere, elsewhereKey, true, nil, []string{"unknown authority"}},
		{"another host, of --client-ca-file", here, hereKey, false, []string{"--client-ca-file=" + ca.file()}, nil},
		{"another host, of --kubelet-certificate-authority", here, hereKey, false, []string{"--kubelet-certificate-authority=" + ca.file()}, nil},
		{"another host, of a CA in --tls-cert-file", here, hereKey, false, []string{"--tls-cert-file=" + ca.file()}, nil},
		{"another host with a certificate for yet another", elsewhere, elsewhereKey, false, []string{"--client-ca-file=" + ca.file()}, []string{"certificate is valid for 192.0.2.10, not 127.0.0.1"}},
		{"another host of a strange CA", foreign, foreignKey, false, []string{"--client-ca-file=" + ca.file()}, []string{"unknown authority"}},
		{"another host that shows ours", here, hereKey, false, []string{"--tls-cert-file=" + here}, []string{"unknown authority"}},
		{"a file that is not there", here, hereKey, false, []string{"--client-ca-file=" + ca.file() + ".old"}, []string{"no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := serve(t, c.cert, c.key, says(200, allPassed))
			flags := c.flags
			if c.own {
				flags = append(flags, own(address))
			}
			wantError(t, probe(t, address, flags...), c.want...)
		})
	}
}

// Where anonymous requests are off, we are who the apiserver is to kubelets. Where
// that is nobody to the apiserver itself, we are anonymous.
func TestWhoAsks(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "apiserver", "127.0.0.1")
	client, clientKey := ca.issue(t, "kubelet-client")
	known := func(w http.ResponseWriter, c *x509.Certificate) {
		if c == nil || c.Subject.CommonName != "kubelet-client" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, allPassed)
	}
	anonymous := func(w http.ResponseWriter, c *x509.Certificate) {
		if c != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, allPassed)
	}
	certified := []string{"--tls-cert-file=" + cert, "--kubelet-client-certificate=" + client, "--kubelet-client-key=" + clientKey}
	closed, open := serve(t, cert, key, known), serve(t, cert, key, anonymous)
	wantError(t, probe(t, closed, append(certified, own(closed))...))
	wantError(t, probe(t, closed, certified[0], own(closed)), "does not tell us whether it is ready (status 401)")
	wantError(t, probe(t, open, append(certified, own(open))...))
	wantError(t, probe(t, open, certified[0], own(open)))

	// The files are read each time.
	f := &etcdservers.File{Args: append([]string{"kube-apiserver", own(closed)}, certified...)}
	p := NewProber(f)
	wantError(t, p.Ready(t.Context(), closed))
	if err := errors.Join(os.Remove(client), os.Remove(clientKey)); err != nil {
		t.Fatal(err)
	}
	wantError(t, p.Ready(t.Context(), closed), "load the certificate of --kubelet-client-certificate")
}

// Nothing is ever asked in the clear.
func TestAPlainServer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	wantError(t, probe(t, s.Listener.Addr().String()), "server gave HTTP response to HTTPS client")
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = probe(t, l.Addr().String())
	wantError(t, err, "ask "+l.Addr().String()+": dial tcp", "connection refused")
	if !errors.Is(err, ErrNotReady) {
		t.Errorf("%v is ready", err)
	}
}

func TestOwnAddress(t *testing.T) {
	for want, flags := range map[string][]string{
		"127.0.0.1:6443":  nil,
		"127.0.0.1:8443":  {"--secure-port=8443", "--bind-address=0.0.0.0", "--advertise-address=192.0.2.10"},
		"192.0.2.10:6443": {"--bind-address=192.0.2.10"},
		"[::1]:6443":      {"--bind-address", "::"},
	} {
		f := &etcdservers.File{Args: append([]string{"kube-apiserver"}, flags...)}
		if got := OwnAddress(f); got != want {
			t.Errorf("%q: %s, want %s", flags, got, want)
		}
	}
}
