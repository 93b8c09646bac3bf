package etcdclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/etcdha/etcdha/internal/fail"
)

// probeTimeout is how long a server may take to refuse a certificate.
const probeTimeout = 2 * time.Second

// Diagnose is [Explain] for a connection that could not be made. A server that
// refuses a client certificate says so only after the handshake, and whether
// gRPC hears it or a broken pipe is chance; so it is asked again, to hear why.
func (c Config) Diagnose(ctx context.Context, endpoint string, err error) error {
	explained := Explain(endpoint, err)
	if explained == nil || fail.Hint(explained) != "" && !isClosed(explained) || strings.HasPrefix(endpoint, "http://") {
		return explained
	}
	if alert := c.alert(ctx, endpoint); alert != nil {
		return Explain(endpoint, alert)
	}
	return explained
}

func isClosed(err error) bool {
	e, ok := errors.AsType[*endpointError](err)
	return ok && e.reason == closed
}

// alert returns the TLS alert with which a server refuses us, or nil.
func (c Config) alert(ctx context.Context, endpoint string) error {
	config, err := clientv3.NewClientConfig(c.spec(endpoint), zap.NewNop())
	if err != nil || config.TLS == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	config.TLS.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{}, Config: config.TLS}).DialContext(ctx, "tcp", hostOf(endpoint))
	if err == nil {
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			_ = conn.SetReadDeadline(deadline)
		}
		_, err = conn.Read(make([]byte, 1))
	}
	if err != nil && strings.Contains(err.Error(), "remote error: tls") {
		return err
	}
	return nil
}

// hostOf is the host and port of an endpoint, which may be a URL.
func hostOf(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		return u.Host
	}
	return endpoint
}
