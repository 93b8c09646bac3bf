package etcdservers

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// A masked unit hides that of the package.
func TestMaskedUnit(t *testing.T) {
	root := t.TempDir()
	write(t, root, vendored, serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers="+twoServers), 0o644)
	write(t, root, "etc/systemd/system/other.service", serviceWith("ExecStart=/bin/true"), 0o644)
	if err := os.Symlink("/dev/null", root+unitPath); err != nil {
		t.Fatal(err)
	}
	if f, err := Read(os.DirFS(root), unitPath); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "masked") {
		t.Errorf("%+v, %v", f, err)
	}
	var refusal *Refusal
	if f, err := Read(os.DirFS(root), vendored); !errors.As(err, &refusal) {
		t.Errorf("%+v, %v", f, err)
	}
}

// A masked drop-in takes the one of the same name away.
func TestMaskedDropin(t *testing.T) {
	host := on(map[string]string{
		vendored:                  serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=" + twoServers),
		vendored + ".d/etcd.conf": "[Service]\nExecStart=\nExecStart=/usr/bin/kube-apiserver --etcd-servers=https://10.0.0.9:2379\n",
	})
	f, err := Read(host, vendored)
	if err != nil || f.Path != vendored+".d/etcd.conf" {
		t.Fatalf("%+v, %v", f, err)
	}
	host[unitPath[1:]+".d/etcd.conf"] = &fstest.MapFile{Data: []byte("/dev/null"), Mode: fs.ModeSymlink | 0o777}
	if f, err = Read(host, vendored); err != nil || f.Path != vendored || strings.Join(f.Servers, ",") != twoServers {
		t.Fatalf("%+v, %v", f, err)
	}
}
