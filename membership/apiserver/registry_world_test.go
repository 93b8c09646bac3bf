package apiserver

import (
	"errors"
	"io"
	"net/url"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/etcdha/etcdha/internal/etcdclient"
)

// inProtobuf is a v1.Endpoints with these subsets, as kube-apiserver stores it.
func inProtobuf(subsets ...[]byte) []byte {
	var object []byte
	for _, s := range subsets {
		object = protowire.AppendBytes(protowire.AppendTag(object, endpointsSubsets, protowire.BytesType), s)
	}
	out := append([]byte(nil), protobufMagic...)
	return protowire.AppendBytes(protowire.AppendTag(out, unknownRaw, protowire.BytesType), object)
}

func subset(port uint64, field protowire.Number, addresses ...string) []byte {
	var out []byte
	for _, a := range addresses {
		address := protowire.AppendString(protowire.AppendTag(nil, addressIP, protowire.BytesType), a)
		out = protowire.AppendBytes(protowire.AppendTag(out, field, protowire.BytesType), address)
	}
	p := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "https")
	p = protowire.AppendVarint(protowire.AppendTag(p, portPort, protowire.VarintType), port)
	return protowire.AppendBytes(protowire.AppendTag(out, subsetPorts, protowire.BytesType), p)
}

// etcd is a real member, and the way to it, which a test can close.
type etcd struct {
	endpoint string
	client   *clientv3.Client
	closed   bool
}

var errClosed = errors.New("connection refused")

// startEtcd starts a cluster of one member.
func startEtcd(t *testing.T, token string) *etcd {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.InitialClusterToken = t.TempDir(), token
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls, cfg.ListenClientUrls, cfg.AdvertiseClientUrls = anyPort, anyPort, anyPort, anyPort
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs, cfg.UnsafeNoFsync = 20, 200, true
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("etcd is not ready")
	}
	e := &etcd{endpoint: "http://" + server.Clients[0].Addr().String()}
	if e.client, err = (etcdclient.Config{InsecureTransport: true, DialTimeout: 5 * time.Second}).Dial(e.endpoint); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(t, e.client) })
	return e
}

func closeAll(t *testing.T, closers ...io.Closer) {
	for _, c := range closers {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// conn is a way to the member.
func (e *etcd) conn() (*grpc.ClientConn, error) {
	if e.closed {
		return nil, errClosed
	}
	return e.client.ActiveConnection(), nil
}

// ways are the endpoints that lead to members.
type ways map[string]*etcd

func (w ways) conn(endpoint string) (*grpc.ClientConn, error) {
	if w[endpoint] == nil {
		return nil, errClosed
	}
	return w[endpoint].conn()
}
