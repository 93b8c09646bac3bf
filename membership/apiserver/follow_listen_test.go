package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/etcdha/etcdha/internal/fail"
)

// serve lets the follower answer until the test ends.
func (n *followed) serve(address string) net.Addr {
	n.t.Helper()
	l, err := n.follower.Listen(address)
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.follower.Serve(ctx, l) }()
	n.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr()
}

// serving gives the apiserver a new serving certificate, of a new CA.
func (n *followed) serving() *x509.CertPool {
	n.t.Helper()
	ca := newAuthority(n.t)
	cert, key := ca.issue(n.t, "apiserver", "127.0.0.1")
	for _, file := range []string{cert, key} {
		data, err := os.ReadFile(file)
		if err != nil {
			n.t.Fatal(err)
		}
		n.files["etc/kubernetes/pki/"+filepath.Base(file)] = &fstest.MapFile{Data: data}
	}
	root, err := os.ReadFile(ca.file())
	if err != nil {
		n.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return pool
}

func body(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	defer client.CloseIdleConnections()
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	return string(data), err
}

func trusting(pool *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

func TestHealthIsServedWithTheApiserversCertificate(t *testing.T) {
	n := newFollowed(t)
	first := n.serving()
	address := n.serve("127.0.0.1:0").String()
	if got, err := body(t, trusting(first), "https://"+address+"/healthz"); got != "ok\n" || err != nil {
		t.Errorf("healthz: %q, %v", got, err)
	}
	second := n.serving() // rotated
	if got, err := body(t, trusting(second), "https://"+address+"/metrics"); !strings.Contains(got, "etcdha_apiserver_in_step 0") || err != nil {
		t.Errorf("metrics after the rotation: %q, %v", got, err)
	}
	if _, err := body(t, trusting(first), "https://"+address+"/healthz"); err == nil {
		t.Error("the old certificate is still in use")
	}
	if got, _ := body(t, http.DefaultClient, "http://"+address+"/healthz"); strings.Contains(got, "ok") {
		t.Errorf("answered without TLS: %q", got)
	}
	if _, err := n.follower.Listen(address); err == nil {
		t.Error("two listen at the same address")
	}
}

func TestASocketIsForItsOwnerOnly(t *testing.T) {
	n := newFollowed(t)
	socket := filepath.Join(t.TempDir(), "follow.sock")
	killed, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	killed.(*net.UnixListener).SetUnlinkOnClose(false)
	killed.Close() // an agent that was killed leaves its socket
	n.serve(unixScheme + socket)
	info, err := os.Stat(socket)
	if err != nil || info.Mode() != fs600 {
		t.Fatalf("socket: %v, %v", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	if got, err := body(t, client, "http://follow/healthz"); got != "ok\n" || err != nil {
		t.Errorf("healthz: %q, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Dir(socket)); len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

const fs600 = os.ModeSocket | 0o600

func TestWhereNobodyCanListen(t *testing.T) {
	n := newFollowed(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := n.follower.Listen(unixScheme + file); !errors.Is(err, fail.ErrUsage) {
		t.Errorf("at a file: %v", err)
	}
	if data, err := os.ReadFile(file); string(data) != "kept" {
		t.Errorf("the file: %q, %v", data, err)
	}
	name := followedFile[1:]
	n.files[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(string(n.files[name].Data), "    - --tls-cert-file=/etc/kubernetes/pki/apiserver.crt\n", ""))}
	if _, err := n.follower.Listen("127.0.0.1:0"); !errors.Is(err, errNoCertificate) || !strings.Contains(fail.Hint(err), "unix://") {
		t.Errorf("without a certificate: %v, hint %q", err, fail.Hint(err))
	}
}
