package etcdclient_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
)

func TestWhyAConnectionFails(t *testing.T) {
	ours, other := newCA(t), newCA(t)
	serverCert, serverKey := ours.issue(t, "server", forLoopback)
	cert, key := ours.issue(t, "client", forNothing)
	otherCert, otherKey := other.issue(t, "client", forNothing)
	oldCert, oldKey := ours.issue(t, "old-client", expired)
	strict := startEtcd(t, func(c *embed.Config) {
		c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile = serverCert, serverKey
		c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.ClientCertAuth = ours.file(), true
	})
	plain := startEtcd(t, nil)
	certified := func(name string, who func(*x509.Certificate)) string {
		cert, key := ours.issue(t, name, who)
		return "https://" + handshakes(t, cert, key)
	}
	trusting := etcdclient.Config{CACert: ours.file()}
	good := etcdclient.Config{CACert: ours.file(), Cert: cert, Key: key}

	for _, c := range []struct {
		name, endpoint string
		config         etcdclient.Config
		reason, hint   string
	}{
		{"all is well", strict, good, "", ""},
		{"all is well without TLS", plain, etcdclient.Config{}, "", ""},
		{"verification off", strict, etcdclient.Config{Cert: cert, Key: key, InsecureSkipVerify: true}, "", ""},
		{"nothing listens", "https://" + refusing(t), trusting, "connection refused", "is etcd running"},
		{"nobody answers", "https://" + silent(t), etcdclient.Config{CACert: ours.file(), CommandTimeout: 100 * time.Millisecond}, "no answer in time", "does a firewall drop packets?"},
		{"another CA", strict, etcdclient.Config{CACert: other.file(), Cert: cert, Key: key}, "the server's certificate is signed by another CA than --cacert", "--cacert must be the CA"},
		{"no CA", strict, etcdclient.Config{Cert: cert, Key: key}, "the server's certificate is signed by another CA than --cacert", "--cacert must be the CA"},
		{"no client certificate", strict, trusting, "the server asks for a client certificate", "give --cert and --key"},
		{"a client of another CA", strict, etcdclient.Config{CACert: ours.file(), Cert: otherCert, Key: otherKey}, "the server refuses this client certificate", "--cert must be signed by"},
		{"an old client certificate", strict, etcdclient.Config{CACert: ours.file(), Cert: oldCert, Key: oldKey}, "the client certificate has expired", "kubeadm certs check-expiration"},
		{"no client certificate, but a password", strict, etcdclient.Config{CACert: ours.file(), User: "root", Password: "x"}, "the server asks for a client certificate", "give --cert and --key"},
		{"an old server certificate", certified("old", expired), trusting, "a certificate has expired", "kubeadm certs check-expiration"},
		{"no TLS to a server with it", http(strict), etcdclient.Config{}, "the connection was closed", "give https:// in --endpoints"},
		{"a server that closes", certified("closing", forLoopback), trusting, "the connection was closed", "has etcd stopped"},
		{"TLS to a server without it", https(plain), trusting, "the connection was closed instead of a TLS handshake", "use http:// in --endpoints"},
		{"TLS to something else", "https://" + greeting(t), trusting, "the server does not speak TLS", "use http:// in --endpoints"},
		{"another address", certified("elsewhere", forElsewhere), trusting, "the server's certificate is not for this host", "a host name or address that the certificate names"},
		{"an address, not a name", certified("name", forName), trusting, "the server's certificate is not for this host", "a host name or address that the certificate names"},
		{"another name", localhost(certified("other-name", forName)), trusting, "the server's certificate is not for this host", "a host name or address that the certificate names"},
		{"a name, not an address", localhost(strict), good, "the server's certificate is not for this host", "a host name or address that the certificate names"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ask(t, c.config, c.endpoint)
			if reason, hint := reasonOf(err, c.endpoint), fail.Hint(err); reason != c.reason || !strings.Contains(hint, c.hint) {
				t.Errorf("%v (hint: %s); want %s (hint: %s)", err, hint, c.reason, c.hint)
			}
		})
	}
}

func http(endpoint string) string { return strings.Replace(endpoint, "https:", "http:", 1) }

func https(endpoint string) string { return strings.Replace(endpoint, "http:", "https:", 1) }

func localhost(endpoint string) string { return strings.Replace(endpoint, "127.0.0.1", "localhost", 1) }

// greeting says something that is no TLS, as an SSH server does.
func greeting(t *testing.T) (addr string) {
	return listen(t, func(c net.Conn) {
		_, _ = fmt.Fprintln(c, "SSH-2.0-OpenSSH_9.9")
		_, _ = c.Read(make([]byte, 4096)) // until the client has gone
	})
}

// ask asks for the status, as every command does first.
func ask(t *testing.T, config etcdclient.Config, endpoint string) error {
	t.Helper()
	timeout := 20 * time.Second
	if config.CommandTimeout > 0 {
		timeout = config.CommandTimeout
	}
	config.DialTimeout = timeout
	client, err := config.Dial(endpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	if !slices.Equal(client.Endpoints(), []string{endpoint}) {
		t.Errorf("the client has the endpoints %q, want %q alone", client.Endpoints(), endpoint)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	_, err = pb.NewMaintenanceClient(client.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
	return config.Diagnose(ctx, endpoint, err)
}

// reasonOf is the message without the endpoint, which it must begin with.
func reasonOf(err error, endpoint string) string {
	if err == nil {
		return ""
	}
	reason, ok := strings.CutPrefix(err.Error(), endpoint+": ")
	if !ok {
		return "no endpoint in: " + err.Error()
	}
	return reason
}
