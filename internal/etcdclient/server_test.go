package etcdclient_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startEtcd starts a member of one and returns its client URL. It has plain
// HTTP, unless security says otherwise.
func startEtcd(t *testing.T, security func(*embed.Config)) string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	anyPort := func(scheme string) []url.URL { return []url.URL{{Scheme: scheme, Host: "127.0.0.1:0"}} }
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls, cfg.ListenClientUrls = anyPort("http"), anyPort("http"), anyPort("http")
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs = 20, 200
	cfg.UnsafeNoFsync = true
	cfg.BcryptCost = 4 // the least there is
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	if security != nil {
		cfg.ListenClientUrls = anyPort("https")
		security(cfg)
	}
	cfg.AdvertiseClientUrls = cfg.ListenClientUrls
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("etcd is not ready")
	}
	return cfg.ListenClientUrls[0].Scheme + "://" + e.Clients[0].Addr().String()
}

// handshakes answers each connection with a TLS handshake and nothing else.
func handshakes(t *testing.T, cert, key string) (addr string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	return listen(t, func(c net.Conn) { _ = tls.Server(c, config).Handshake() })
}

// silent takes connections, and says nothing.
func silent(t *testing.T) (addr string) {
	return listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// refusing is an address that nothing listens on.
func refusing(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listen serves each connection and closes it.
func listen(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}
