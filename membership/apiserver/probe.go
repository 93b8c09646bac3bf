package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

const (
	// probeTimeout is longer than an apiserver waits for etcd in its own check, 2 s.
	probeTimeout = 5 * time.Second
	// maxHealth is more than the list of checks of an apiserver.
	maxHealth = 64 << 10
	// etcdPassed is the line of the list that says that etcd answers.
	etcdPassed = "[+]etcd ok"
	// defaultCertDir is where an apiserver without --tls-cert-file keeps a certificate
	// that it makes for itself.
	defaultCertDir = "/var/run/kubernetes"
)

// NewProber returns a prober that knows apiservers by what the file of one of them
// says. That one, at [OwnAddress], has to show the certificate of its
// --tls-cert-file, or one that chains to it or to its --client-ca-file; the others
// one for their address from the CAs that it knows: --client-ca-file,
// --kubelet-certificate-authority, those in --tls-cert-file, and the system's.
//
// It shows the certificate of --kubelet-client-certificate, if there is one, since
// anonymous requests may be off. All files are read anew each time.
func NewProber(f *etcdservers.File) Prober { return &prober{file: f, own: OwnAddress(f)} }

type prober struct {
	file *etcdservers.File
	own  string
}

// Ready implements [Prober].
func (p *prober) Ready(ctx context.Context, address string) error {
	config, err := p.trust(address)
	if err != nil {
		return err
	}
	client, err := p.clientCertificate()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if client != nil {
		certified := config.Clone()
		certified.Certificates = []tls.Certificate{*client}
		if err := ask(ctx, address, certified); !errors.Is(err, errNotAllowed) {
			return err
		}
	}
	return ask(ctx, address, config)
}

// errNotAllowed: the apiserver does not tell us how it is.
var errNotAllowed = errors.New("it does not tell us whether it is ready")

// noRedirect takes a redirection for the answer.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// ask asks an apiserver for the results of its checks.
func ask(ctx context.Context, address string, config *tls.Config) error {
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: noRedirect}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz?verbose", nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	response, err := client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fail.As(ErrNotReady, fmt.Errorf("ask %s: %w", address, errors.Unwrap(err)))
	}
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, errors.Unwrap(err)) // of *url.Error, which repeats the URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealth))
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	return judge(address, response.StatusCode, string(body))
}

// judge reads the results of the checks.
func judge(address string, status int, body string) error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fail.WithHint(fmt.Errorf("ask %s: %w (status %d)", address, errNotAllowed, status),
			"where anonymous requests are off, --kubelet-client-certificate has to be one that the apiserver accepts itself")
	case status == http.StatusOK && slices.Contains(lines(body), etcdPassed):
		return nil
	case status == http.StatusOK:
		return fmt.Errorf("%s is ready, but does not say that it has checked etcd", address)
	}
	var failed []string
	for _, line := range lines(body) {
		if check, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			failed = append(failed, name)
		}
	}
	if len(failed) > 0 {
		return fail.As(ErrNotReady, fmt.Errorf("%s is not ready: %s failed", address, strings.Join(failed, ", ")))
	}
	err := fmt.Errorf("%s is not ready: status %d", address, status)
	if status >= http.StatusInternalServerError {
		return fail.As(ErrNotReady, err)
	}
	return err
}

func lines(text string) []string { return strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") }

// trust says which certificate an apiserver has to show.
func (p *prober) trust(address string) (*tls.Config, error) {
	serving, err := p.certificates(p.servingFile())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	own := address == p.own
	if !own {
		if system, err := x509.SystemCertPool(); err == nil {
			roots = system
		}
	}
	for _, c := range serving {
		if c.IsCA || own {
			roots.AddCert(c)
		}
	}
	for _, flag := range []string{"--client-ca-file", "--kubelet-certificate-authority"} {
		cas, err := p.certificates(hostFile(p.file, flag))
		if err != nil {
			return nil, err
		}
		for _, c := range cas {
			roots.AddCert(c)
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if own {
		// Its certificate may be for another name than loopback: what is checked
		// instead is that it is this very certificate, or of the same CAs.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(s tls.ConnectionState) error { return isOwn(s, serving, roots) }
	}
	return config, nil
}

// isOwn refuses a certificate that the apiserver of the file would not show.
func isOwn(s tls.ConnectionState, serving []*x509.Certificate, roots *x509.CertPool) error {
	shown := s.PeerCertificates
	if len(shown) == 0 {
		return errors.New("it shows no certificate")
	}
	if len(serving) > 0 && shown[0].Equal(serving[0]) {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	_, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// servingFile is where the certificate lies that the apiserver shows.
func (p *prober) servingFile() string {
	if name := hostFile(p.file, "--tls-cert-file"); name != "" {
		return name
	}
	dir, _ := p.file.Value("--cert-dir")
	if dir == "" {
		dir = defaultCertDir
	}
	name := p.file.HostPath(path.Join(dir, "apiserver.crt"))
	if _, err := os.Stat(name); err != nil {
		return "" // in a container of its own
	}
	return name
}

// certificates reads those of a PEM file; none without a name.
func (p *prober) certificates(name string) ([]*x509.Certificate, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s: %w", name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// clientCertificate is what we show; nil if the file names none.
func (p *prober) clientCertificate() (*tls.Certificate, error) {
	cert, key := hostFile(p.file, "--kubelet-client-certificate"), hostFile(p.file, "--kubelet-client-key")
	if cert == "" || key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load the certificate of --kubelet-client-certificate: %w", err)
	}
	return &pair, nil
}
