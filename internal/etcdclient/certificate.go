package etcdclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// ServerCertificate returns the certificate that the server at endpoint shows, nil if
// it speaks no TLS. The certificate is not verified: one that has expired is what the
// caller wants to hear of, and nothing is asked of the server beside it.
func (c Config) ServerCertificate(ctx context.Context, endpoint string) (*x509.Certificate, error) {
	config, err := clientv3.NewClientConfig(c.spec(endpoint), zap.NewNop())
	if err != nil {
		return nil, fmt.Errorf("load certificates: %w", err)
	}
	if config.TLS == nil || strings.HasPrefix(endpoint, "http://") {
		return nil, nil
	}
	config.TLS.InsecureSkipVerify = true
	config.TLS.NextProtos = []string{"h2"}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{}, Config: config.TLS}).DialContext(ctx, "tcp", hostOf(endpoint))
	if err != nil {
		return nil, Explain(endpoint, err)
	}
	defer conn.Close()
	shown := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(shown) == 0 {
		return nil, &endpointError{endpoint, "the server shows no certificate", errors.New("no certificate")}
	}
	return shown[0], nil
}
