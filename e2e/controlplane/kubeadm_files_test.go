//go:build linux

package controlplane

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Files of kubeadm itself, of two versions of its configuration. kubeadm is the
// judge: a rewired file is what it writes, to the byte, given the new list.
func TestKubeadmFiles(t *testing.T) {
	h := newHost(t, "cp1", "192.0.2.10")
	for _, k := range []kubeadmRelease{
		{"v1beta4", "kubernetes/kubeadm", kubeadmVersion, "[{name: shutdown-delay-duration, value: 4s}]"},
		{"v1beta3", "kubeadm130/kubeadm", "v1.30.4", "{shutdown-delay-duration: 4s}"},
	} {
		t.Run(k.api, func(t *testing.T) {
			t.Run("external", func(t *testing.T) { k.external(t, h.in(t)) })
			t.Run("stacked", func(t *testing.T) { k.stacked(t, h.in(t)) })
			t.Run("configuration", func(t *testing.T) { k.configuration(t, h.in(t)) })
		})
	}
}

// kubeadmRelease is a kubeadm and its way to write a configuration.
type kubeadmRelease struct{ api, binary, version, extraArgs string }

var (
	twoServers  = []string{"https://192.0.2.21:2379", "https://192.0.2.22:2379"}
	fourServers = []string{"https://192.0.2.22:2379", "https://[2001:db8::1]:2379", "https://etcd-3.example.org:2379", "https://192.0.2.24:12379"}
)

// config is a configuration as people write them.
func (k kubeadmRelease) config(h *host, etcd string) string {
	init := strings.Replace(initConfiguration(h), "v1beta4", k.api, 1)
	return init + fmt.Sprintf(`---
# The cluster of the tests.
apiVersion: kubeadm.k8s.io/%s
kind: ClusterConfiguration
kubernetesVersion: %s # not asked for on the Internet
apiServer:
  extraArgs: %s
etcd:%s
`, k.api, k.version, k.extraArgs, etcd)
}

// writes returns the manifest that kubeadm writes.
func (k kubeadmRelease) writes(h *host, config string) string {
	h.t.Helper()
	return h.kubeadmWrites(tool(k.binary), config)
}

func (k kubeadmRelease) external(t *testing.T, h *host) {
	const name = "/etc/kubernetes/rewired.yaml"
	old, want := k.writes(h, k.config(h, externalEtcd(twoServers))), k.writes(h, k.config(h, externalEtcd(fourServers)))
	h.write(name, old)
	h.rewireOffline(name, fourServers)
	if got := h.read(name); got != want {
		t.Errorf("rewired:\n%s\nexpected what kubeadm writes:\n%s", got, want)
	}
	h.rewireOffline(name, twoServers)
	if got := h.read(name); got != old {
		t.Errorf("rewired back:\n%s\nexpected:\n%s", got, old)
	}
}

func (k kubeadmRelease) stacked(t *testing.T, h *host) {
	const name = "/etc/kubernetes/rewired.yaml"
	old := k.writes(h, k.config(h, "\n  local: {}"))
	h.write(name, old)
	h.rewireOffline(name, fourServers)
	want := strings.Replace(old, "--etcd-servers="+stackedServer+"\n", "--etcd-servers="+strings.Join(fourServers, ",")+"\n", 1)
	if got := h.read(name); got != want {
		t.Errorf("rewired:\n%s\nexpected:\n%s", got, want)
	}
}

func (k kubeadmRelease) configuration(t *testing.T, h *host) {
	const name = "/etc/kubernetes/rewired.yaml"
	for _, style := range []string{"flow", "block"} {
		etcd := externalEtcd(twoServers)
		if style == "block" {
			etcd = strings.Replace(etcd, `["`+strings.Join(twoServers, `", "`)+`"]`, "\n    - "+strings.Join(twoServers, " # one\n    - "), 1)
		}
		config := k.config(h, etcd)
		h.write(name, config)
		if got := h.show("--file=" + name); got.Form != "kubeadm-config" || got.Flag != "etcd.external.endpoints" || !slices.Equal(got.Servers, twoServers) {
			t.Errorf("%s: show says %+v", style, got)
		}
		h.rewireOffline(name, fourServers)
		if got, want := k.writes(h, h.read(name)), k.writes(h, k.config(h, externalEtcd(fourServers))); got != want {
			t.Errorf("%s: with\n%s\nkubeadm writes:\n%s\nexpected:\n%s", style, h.read(name), got, want)
		}
		h.rewireOffline(name, twoServers)
		if got := h.read(name); strings.ReplaceAll(got, " # one", "") != strings.ReplaceAll(config, " # one", "") {
			t.Errorf("%s: rewired back:\n%s\nexpected:\n%s", style, got, config)
		}
	}
}

func (h *host) rewireOffline(name string, servers []string) {
	h.t.Helper()
	h.etcdha("apiserver", "rewire", "--offline", "--file="+name, "--etcd-servers="+strings.Join(servers, ","))
}
