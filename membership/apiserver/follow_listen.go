package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/internal/listen"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// DefaultListen is where an agent answers for its health. Nobody else on the host
// has to reach it, and the probes of kubelet come from there.
const DefaultListen = "127.0.0.1:8383"

// unixScheme is that of a socket to listen at.
const unixScheme = listen.UnixScheme

// Listen opens what [Follower.Serve] answers at: HTTPS at host:port, with the
// serving certificate of the apiserver, or unix:///path, a socket that only its
// owner can use.
func (f *Follower) Listen(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		return listen.Unix(path)
	}
	if _, err := f.certificate(); errors.Is(err, errNoCertificate) {
		return nil, fail.WithHint(err, "listen at %s/run/etcdha-follow.sock instead", unixScheme)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// Read for each connection: certificates are rotated where they lie.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.certificate() },
	}), nil
}

// errNoCertificate says that there will be none, until somebody changes the file.
var errNoCertificate = errors.New("the apiserver has no --tls-cert-file and --tls-private-key-file to answer with")

// certificate reads the serving certificate of the apiserver.
func (f *Follower) certificate() (*tls.Certificate, error) {
	file, err := etcdservers.Read(f.FS, f.File)
	if err != nil {
		return nil, err
	}
	var pair [2][]byte
	for i, flag := range []string{"--tls-cert-file", "--tls-private-key-file"} {
		name, ok := file.Value(flag)
		if !ok {
			return nil, errNoCertificate
		}
		if pair[i], err = fs.ReadFile(f.FS, strings.TrimPrefix(file.HostPath(name), "/")); err != nil {
			return nil, fmt.Errorf("read %s: %w", flag, err)
		}
	}
	cert, err := tls.X509KeyPair(pair[0], pair[1])
	return &cert, err
}

// Serve answers at l until ctx ends, which is no error. It closes l.
func (f *Follower) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           f.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		// Whoever does not trust the certificate tells it himself.
		ErrorLog: slog.NewLogLogger(f.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer at %s: %w", l.Addr(), err)
	}
	return nil
}
