package etcdservers

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
)

const manifest = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: kube-apiserver\n    command:\n    - kube-apiserver\n    - --etcd-servers=https://10.0.0.1:2379\n"

func find(t *testing.T, host fs.FS, want ...string) {
	t.Helper()
	got, err := Find(host)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, not %q", got, want)
	}
}

// Of what kubelet would run, the manifests of kube-apiserver are found, a copy that
// was left there, too, since kubelet runs it.
func TestFindManifests(t *testing.T) {
	host := on(map[string]string{
		"/etc/kubernetes/manifests/kube-apiserver.yaml":     manifest,
		"/etc/kubernetes/manifests/kube-apiserver.yaml.bak": manifest,
		"/etc/kubernetes/manifests/.kube-apiserver.yaml":    manifest,
		"/etc/kubernetes/manifests/old/kube-apiserver.yaml": manifest,
		"/etc/kubernetes/manifests/etcd.yaml":               "command:\n- etcd\n",
	})
	find(t, host, "/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/manifests/kube-apiserver.yaml.bak")

	host["var/lib/kubelet/config.yaml"] = &fstest.MapFile{Data: []byte("kind: KubeletConfiguration\nstaticPodPath: /etc/kubelet.d/\n")}
	host["etc/kubelet.d/apiserver.json"] = &fstest.MapFile{Data: []byte(`{"command": ["kube-apiserver"]}`)}
	find(t, host, "/etc/kubelet.d/apiserver.json",
		"/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/manifests/kube-apiserver.yaml.bak")
}

// The unit that counts is found once, and a masked one is not.
func TestFindUnit(t *testing.T) {
	host := on(map[string]string{
		unitPath:                              serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=" + twoServers),
		vendored:                              serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=https://127.0.0.1:2379"),
		"/etc/systemd/system/kubelet.service": serviceWith("ExecStart=/usr/bin/kubelet"),
	})
	find(t, host, unitPath)
	host[unitPath[1:]] = &fstest.MapFile{Data: []byte("/dev/null"), Mode: fs.ModeSymlink | 0o777}
	find(t, host)
	find(t, fstest.MapFS{})
}

// Other systems are found, so that reading says how they want it.
func TestFindForeign(t *testing.T) {
	files := map[string]string{
		"/etc/systemd/system/k3s.service":                               serviceWith("ExecStart=/usr/local/bin/k3s server"),
		"/etc/rancher/k3s/config.yaml":                                  "datastore-endpoint: https://10.0.0.1:2379\n",
		"/var/lib/rancher/rke2/agent/pod-manifests/kube-apiserver.yaml": manifest,
		"/var/snap/microk8s/current/args/kube-apiserver":                "--etcd-servers=https://10.0.0.1:2379\n",
		"/etc/systemd/system/k0scontroller.service":                     serviceWith("ExecStart=/usr/local/bin/k0s controller"),
	}
	host := on(files)
	found, err := Find(host)
	if err != nil || len(found) != len(files) {
		t.Fatalf("%q, %v", found, err)
	}
	for _, name := range found {
		var refusal *Refusal
		if f, err := Read(host, name); !errors.As(err, &refusal) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}
