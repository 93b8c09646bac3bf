package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/internal/listen"
)

// Listen opens the listener of the configuration: TLS at HOST:PORT, or a Unix socket that
// only its owner can use. What can never be served is found now: files that are wrong,
// and an address beyond loopback with nothing to tell who asks.
func Listen(o Options) (net.Listener, error) {
	c := o.Config
	if c.TokenFile != "" {
		if err := readable(c.TokenFile, parseToken); err != nil {
			return nil, err
		}
	}
	if path, ok := strings.CutPrefix(c.Listen, listen.UnixScheme); ok {
		l, err := listen.Unix(path)
		if err != nil {
			return nil, fmt.Errorf("listen at %s: %w", c.Listen, err)
		}
		return l, nil
	}
	offer, err := newOffer(o)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, err // it says where
	}
	if err := guarded(c, l.Addr()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return offer.config() },
	}), nil
}

// readable tries to read a file.
func readable[T any](path string, parse func([][]byte) (T, error)) error {
	data, err := readAll([]string{path})
	if err == nil {
		_, err = parse(data)
	}
	return err
}

// guarded refuses an address at which everybody could ask.
func guarded(c config.Server, at net.Addr) error {
	if c.TokenFile != "" || c.ClientCAFile != "" || isLoopback(at) {
		return nil
	}
	return fail.WithHint(fail.Usagef("listen at %s: whoever reaches it could see the state of the clusters", at),
		"set server.tokenFile or server.clientCAFile, or listen at 127.0.0.1 or %s/PATH", listen.UnixScheme)
}

// offer is what a client is offered in a handshake.
type offer struct {
	files    config.Server
	log      *slog.Logger
	pair     kept[*tls.Certificate]
	pool     kept[*x509.CertPool]
	selfMade *selfMade
}

func newOffer(o Options) (*offer, error) {
	f := &offer{files: o.Config, log: o.Log}
	if (o.Config.CertFile == "") != (o.Config.KeyFile == "") {
		return nil, fail.Usagef("a server certificate needs both certFile and keyFile")
	}
	if o.Config.CertFile == "" {
		f.selfMade = &selfMade{listen: o.Config.Listen, now: o.Now, log: o.Log}
	}
	_, err := f.config()
	return f, err
}

// config is that of one connection. Nothing of it outlives the connection, no session
// either: who may ask is judged by the CA that is there now.
func (f *offer) config() (*tls.Config, error) {
	cert, err := f.certificate()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true,
	}
	if f.files.ClientCAFile != "" {
		if c.ClientCAs, err = f.pool.of(f.log, parsePool, f.files.ClientCAFile); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven // who has none may have the token, or ask for health
	}
	return c, nil
}

func (f *offer) certificate() (*tls.Certificate, error) {
	if f.selfMade != nil {
		return f.selfMade.certificate()
	}
	return f.pair.of(f.log, parsePair, f.files.CertFile, f.files.KeyFile)
}
