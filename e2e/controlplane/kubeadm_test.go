//go:build linux

package controlplane

import (
	"fmt"
	"strings"
)

const (
	manifest       = manifests + "/kube-apiserver.yaml"
	etcdManifest   = manifests + "/etcd.yaml"
	pki            = "/etc/kubernetes/pki"
	superAdmin     = "/etc/kubernetes/super-admin.conf"
	kubeadmConfig  = "/etc/kubernetes/kubeadm.yaml"
	kubeadmVersion = "v1.36.3"
)

// shared are the keys that hosts of a control plane have in common, as
// kubeadm's documentation has them copied from the first host to the others.
var shared = []string{"ca.crt", "ca.key", "sa.pub", "sa.key", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key"}

// localEtcd is kubeadm's configuration of a stacked etcd.
func localEtcd(initialCluster, state string) string {
	return fmt.Sprintf(`
  local:
    extraArgs:
    - {name: initial-cluster, value: %q}
    - {name: initial-cluster-state, value: %s}
    - {name: unsafe-no-fsync, value: "true"}`, initialCluster, state)
}

// externalEtcd is kubeadm's configuration of an external etcd.
func externalEtcd(endpoints []string) string {
	return fmt.Sprintf(`
  external:
    endpoints: ["%s"]
    caFile: %[2]s/etcd/ca.crt
    certFile: %[2]s/apiserver-etcd-client.crt
    keyFile: %[2]s/apiserver-etcd-client.key`, strings.Join(endpoints, `", "`), pki)
}

// shutdownDelay is how long an apiserver serves after SIGTERM. It is short of
// kubelet's grace, and long enough to be seen.
const shutdownDelay = "2s"

func initConfiguration(h *host) string {
	return fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: %s}
localAPIEndpoint: {advertiseAddress: %s, bindPort: 6443}
`, h.name, h.address)
}

func clusterConfiguration(etcd string) string {
	return fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: %s
controlPlaneEndpoint: 192.0.2.10:6443
apiServer:
  certSANs: [192.0.2.10, 192.0.2.11]
  extraArgs:
  - {name: shutdown-delay-duration, value: %s}
etcd:%s
`, kubeadmVersion, shutdownDelay, etcd)
}

// kubeadm runs a phase of kubeadm init on the host.
func (h *host) kubeadm(clusterConfiguration string, phase ...string) {
	h.t.Helper()
	h.write(kubeadmConfig, initConfiguration(h)+"---\n"+clusterConfiguration)
	args := append([]string{tool("kubernetes/kubeadm"), "init", "phase"}, phase...)
	h.must(append(args, "--config="+kubeadmConfig)...)
}

// certificates makes the certificates of a host, by the CAs of the first one.
func (h *host) certificates(first *host) {
	h.t.Helper()
	if h != first {
		for _, name := range shared {
			h.write(pki+"/"+name, first.read(pki+"/"+name))
		}
	}
	// As if stacked: for an external etcd kubeadm makes none, and wants them brought.
	h.kubeadm(clusterConfiguration(localEtcd("", "new")), "certs", "all")
	h.kubeadm(clusterConfiguration(localEtcd("", "new")), "kubeconfig", "super-admin")
}

// startEtcd makes kubelet run a member of etcd on the host.
func (h *host) startEtcd(initialCluster, state string) {
	h.t.Helper()
	h.kubeadm(clusterConfiguration(localEtcd(initialCluster, state)), "etcd", "local")
}

// startAPIServer makes kubelet run an apiserver on the host.
func (h *host) startAPIServer(etcd string) {
	h.t.Helper()
	h.kubeadm(clusterConfiguration(etcd), "control-plane", "apiserver")
}

// peer is the etcd member of the host, as --initial-cluster has it.
func (h *host) peer() string { return fmt.Sprintf("%s=https://%s:2380", h.name, h.address) }

func (h *host) peerURL() string   { return "https://" + h.address + ":2380" }
func (h *host) clientURL() string { return "https://" + h.address + ":2379" }

func clientURLs(hosts ...*host) []string {
	var urls []string
	for _, h := range hosts {
		urls = append(urls, h.clientURL())
	}
	return urls
}

// etcdFlags connect etcdha and etcdctl, on any host, to these members.
func etcdFlags(members ...*host) []string {
	return []string{
		"--endpoints=" + strings.Join(clientURLs(members...), ","),
		"--cacert=" + pki + "/etcd/ca.crt",
		"--cert=" + pki + "/etcd/healthcheck-client.crt", "--key=" + pki + "/etcd/healthcheck-client.key",
	}
}
