package etcdclient_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
)

func TestDialRefusesWhatCannotWork(t *testing.T) {
	a := newCA(t)
	cert, key := a.issue(t, "client", forNothing)
	_, otherKey := a.issue(t, "other", forNothing)
	missing := filepath.Join(t.TempDir(), "missing")
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config etcdclient.Config
		want   string
	}{
		{"no CA file", etcdclient.Config{CACert: missing}, "read --cacert: stat " + missing + ": no such file or directory"},
		{"no certificate file", etcdclient.Config{Cert: missing, Key: key}, "read --cert: stat " + missing + ": no such file or directory"},
		{"no key file", etcdclient.Config{Cert: cert, Key: missing}, "read --key: stat " + missing + ": no such file or directory"},
		{"certificate without key", etcdclient.Config{Cert: cert}, "--cert and --key go together"},
		{"key without certificate", etcdclient.Config{CACert: a.file(), Key: key}, "--cert and --key go together"},
		{"key of another", etcdclient.Config{Cert: cert, Key: otherKey}, "load certificates: tls: private key does not match public key"},
		{"no certificate in it", etcdclient.Config{Cert: garbage, Key: key}, "load certificates: tls: failed to find any PEM data in certificate input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := c.config.Dial("https://127.0.0.1:2379")
			if client != nil || err == nil || err.Error() != c.want {
				t.Fatalf("dial: %v; want %s", err, c.want)
			}
			if !errors.Is(err, fail.ErrUsage) {
				t.Errorf("%v is no %v", err, fail.ErrUsage)
			}
		})
	}
	if _, err := (etcdclient.Config{CACert: missing}).Dial("https://127.0.0.1:2379"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no %v", err, fs.ErrNotExist)
	}
}

// On a control-plane node of kubeadm, nothing has to be said.
func TestKubeadm(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  string // the certificate's name; "": this is no such node
	}{
		{"a stacked member", []string{"ca.crt", "ca.key", "server.crt", "server.key", "peer.crt", "peer.key", "healthcheck-client.crt", "healthcheck-client.key"}, "healthcheck-client"},
		{"no healthcheck client", []string{"ca.crt", "server.crt", "server.key", "peer.crt", "peer.key"}, "server"},
		{"half a healthcheck client", []string{"ca.crt", "server.crt", "server.key", "healthcheck-client.crt"}, "server"},
		{"peers only", []string{"ca.crt", "peer.crt", "peer.key"}, ""},
		{"no CA", []string{"server.crt", "server.key", "healthcheck-client.crt", "healthcheck-client.key"}, ""},
		{"a worker", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pki := t.TempDir()
			dir := filepath.Join(pki, "etcd")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var want etcdclient.Config
			if c.want != "" {
				want = etcdclient.Config{
					Endpoints: []string{"https://127.0.0.1:2379"},
					CACert:    filepath.Join(dir, "ca.crt"),
					Cert:      filepath.Join(dir, c.want+".crt"),
					Key:       filepath.Join(dir, c.want+".key"),
				}
			}
			if is, ok := etcdclient.Kubeadm(pki); ok != (c.want != "") || !reflect.DeepEqual(is, want) {
				t.Errorf("found %+v, %t; want %+v", is, ok, want)
			}
		})
	}
	if is, ok := etcdclient.Kubeadm(filepath.Join(t.TempDir(), "missing")); ok || !reflect.DeepEqual(is, etcdclient.Config{}) {
		t.Errorf("without a PKI directory: %+v", is)
	}
}
