// Package etcdclient sets up connections to etcd from the connection flags
// that etcdctl has, and says in plain words why one fails.
package etcdclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdha/etcdha/internal/fail"
)

// Config says how to connect. Empty fields have the defaults of etcdctl.
type Config struct {
	Endpoints          []string
	CACert, Cert, Key  string // files
	InsecureSkipVerify bool
	InsecureTransport  bool
	User, Password     string

	DialTimeout      time.Duration
	CommandTimeout   time.Duration // of one short request, not of a stream
	KeepAliveTime    time.Duration
	KeepAliveTimeout time.Duration
}

// maxRetries bounds what the client retries by itself: the caller sees a dead
// endpoint in well under a second and decides what to do.
const maxRetries = 2

// A snapshot is one long stream of 32 KiB messages. The window lets the member
// send on while a write waits for the disk, and the buffer takes several
// messages at a time from the connection.
const (
	streamWindow = 4 << 20
	readBuffer   = 256 << 10
)

// Dial returns a client of exactly one endpoint, so that a request about a
// member reaches that member. Nothing is sent yet, unless there is a password
// to log in with. The caller closes the client.
func (c Config) Dial(endpoint string) (*clientv3.Client, error) {
	for flag, file := range map[string]string{"--cacert": c.CACert, "--cert": c.Cert, "--key": c.Key} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return nil, fail.As(fail.ErrUsage, fmt.Errorf("read %s: %w", flag, err))
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, fail.Usagef("--cert and --key go together")
	}
	cfg, err := clientv3.NewClientConfig(c.spec(endpoint), zap.NewNop())
	if err != nil {
		return nil, fail.As(fail.ErrUsage, fmt.Errorf("load certificates: %w", err))
	}
	cfg.Logger = zap.NewNop() // what matters comes back as an error
	cfg.MaxUnaryRetries = maxRetries
	cfg.DialOptions = append(cfg.DialOptions,
		grpc.WithChainUnaryInterceptor(loginAtOnce),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(streamWindow),
		grpc.WithReadBufferSize(readBuffer))
	client, err := clientv3.New(*cfg)
	if err != nil {
		return nil, c.Diagnose(context.Background(), endpoint, err) // which has a timeout of its own
	}
	return client, nil
}

// loginAtOnce lets a login fail with the reason why there is no connection.
// The client would wait for one until the deadline, which tells nothing.
func loginAtOnce(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method == pb.Auth_Authenticate_FullMethodName {
		opts = append(opts, grpc.WaitForReady(false))
	}
	return invoke(ctx, method, req, reply, conn, opts...)
}

func (c Config) spec(endpoint string) *clientv3.ConfigSpec {
	spec := &clientv3.ConfigSpec{
		Endpoints:        []string{endpoint},
		DialTimeout:      c.DialTimeout,
		KeepAliveTime:    c.KeepAliveTime,
		KeepAliveTimeout: c.KeepAliveTimeout,
		Secure: &clientv3.SecureConfig{
			Cert:               c.Cert,
			Key:                c.Key,
			Cacert:             c.CACert,
			InsecureTransport:  c.InsecureTransport,
			InsecureSkipVerify: c.InsecureSkipVerify,
		},
	}
	if c.User != "" {
		spec.Auth = &clientv3.AuthConfig{Username: c.User, Password: c.Password}
	}
	return spec
}

// kubeadmEndpoint is where kubeadm's static pod serves clients on its host.
const kubeadmEndpoint = "https://127.0.0.1:2379"

// Kubeadm returns how to reach the local member of a control-plane node that
// kubeadm has set up, given its PKI directory (/etc/kubernetes/pki); ok is
// false if this is none. The healthcheck client may do all that a backup needs.
func Kubeadm(pki string) (c Config, ok bool) {
	dir := filepath.Join(pki, "etcd")
	c = Config{
		Endpoints: []string{kubeadmEndpoint},
		CACert:    filepath.Join(dir, "ca.crt"),
	}
	for _, name := range []string{"healthcheck-client", "server"} {
		c.Cert, c.Key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
		if readable(c.CACert) && readable(c.Cert) && readable(c.Key) {
			return c, true
		}
	}
	return Config{}, false
}

func readable(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// A server that closes a connection may have said why, but its reset can
// overtake what it said; see [Config.Diagnose].
const (
	closed     = "the connection was closed"
	closedHint = "has etcd stopped, or does it ask for TLS or a client certificate? give https:// in --endpoints, --cacert, --cert and --key"
)

// explanations turn a fragment of a transport error into a reason and a hint.
var explanations = []struct{ fragment, reason, hint string }{
	{"connection refused", "connection refused", "is etcd running and listening there?"},
	{"no such host", "no such host", "check the host name in --endpoints"},
	{"signed by unknown authority", "the server's certificate is signed by another CA than --cacert", "--cacert must be the CA of etcd's server certificates; kubeadm keeps it in /etc/kubernetes/pki/etcd/ca.crt"},
	{"cannot validate certificate", "the server's certificate is not for this host", "use a host name or address that the certificate names"},
	{"certificate is valid for", "the server's certificate is not for this host", "use a host name or address that the certificate names"},
	{"certificate is not valid for any names", "the server's certificate is not for this host", "use a host name or address that the certificate names"},
	{"certificate has expired", "a certificate has expired", "kubeadm certs check-expiration shows which"},
	{"expired certificate", "the client certificate has expired", "kubeadm certs check-expiration shows which"},
	{"certificate required", "the server asks for a client certificate", "give --cert and --key, signed by etcd's CA"},
	{"bad certificate", "the server refuses this client certificate", "--cert must be signed by the CA that etcd trusts for clients (--trusted-ca-file)"},
	{"unknown certificate authority", "the server refuses this client certificate", "--cert must be signed by the CA that etcd trusts for clients (--trusted-ca-file)"},
	{"first record does not look like a TLS handshake", "the server does not speak TLS", "use http:// in --endpoints"},
	{"handshake failed: EOF", "the connection was closed instead of a TLS handshake", "does the server speak TLS? if not, use http:// in --endpoints"},
	{"handshake failed: read", "the connection was closed instead of a TLS handshake", "does the server speak TLS? if not, use http:// in --endpoints"},
	{"handshake failed: write", "the connection was closed instead of a TLS handshake", "does the server speak TLS? if not, use http:// in --endpoints"},
	{"error reading server preface", closed, closedHint},
	{"broken pipe", closed, closedHint},
	{"connection reset by peer", closed, closedHint},
	{"invalid user ID or password", "wrong user name or password", "check --user and --password"},
	{"user name is empty", "authentication is on and no user was given", "give --user and --password, or a client certificate whose common name is an etcd user"},
	{"permission denied", "the user may not do this", "snapshots and hashes need the role root"},
	{"invalid auth token", "the login is no longer valid", "try again"},
}

// Explain makes a short error of what a request to endpoint returned, with a
// hint where the reason is known.
func Explain(endpoint string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, e := range explanations {
		if strings.Contains(text, e.fragment) {
			return fail.WithHint(&endpointError{endpoint, e.reason, err}, "%s", e.hint)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		return fail.WithHint(&endpointError{endpoint, "no answer in time", err},
			"is the endpoint right, and does a firewall drop packets? --command-timeout allows more time")
	}
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	return &endpointError{endpoint, text, err}
}

type endpointError struct {
	endpoint, reason string
	err              error
}

func (e *endpointError) Error() string { return e.endpoint + ": " + e.reason }

func (e *endpointError) Unwrap() error { return e.err }
