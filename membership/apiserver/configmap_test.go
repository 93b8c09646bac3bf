package apiserver

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

const (
	external = `apiServer:
  extraArgs:
  - name: audit-log-maxage
    value: "30"
apiVersion: kubeadm.k8s.io/v1beta4
etcd:
  external:
    caFile: /etc/kubernetes/pki/etcd/ca.crt
    endpoints:
    - https://192.0.2.1:2379
    - https://192.0.2.2:2379
kind: ClusterConfiguration
kubernetesVersion: v1.36.3
`
	stacked = `apiVersion: kubeadm.k8s.io/v1beta4
etcd:
  local:
    dataDir: /var/lib/etcd
kind: ClusterConfiguration
`
)

var threeServers = []string{"https://192.0.2.2:2379", "https://192.0.2.3:2379", "https://192.0.2.4:2379"}

func openKubernetes(t *testing.T, k *kubernetes, token string) *KubeClient {
	t.Helper()
	client, err := OpenKube(k.kubeconfig(t, "token: "+token))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// The endpoints change, and nothing else; then there is nothing to do.
func TestUpdateKubeadmConfig(t *testing.T) {
	k := startKubernetes(t, external)
	client := openKubernetes(t, k, "admin")
	if changed, err := client.UpdateKubeadmConfig(t.Context(), threeServers); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	want := strings.Replace(external, "    - https://192.0.2.1:2379\n    - https://192.0.2.2:2379\n",
		"    - https://192.0.2.2:2379\n    - https://192.0.2.3:2379\n    - https://192.0.2.4:2379\n", 1)
	if k.config() != want {
		t.Errorf("it is now\n%s", k.config())
	}
	if data := k.object["data"].(map[string]any); data["ClusterStatus"] != "of an older kubeadm" {
		t.Errorf("other data: %v", data)
	}
	if n := k.object["metadata"].(map[string]any)["generation"]; n != json.Number("9007199254740993") {
		t.Errorf("a number was rounded: %v", n)
	}
	k.asked = nil
	back := slices.Clone(threeServers)
	slices.Reverse(back)
	if changed, err := client.UpdateKubeadmConfig(t.Context(), back); err != nil || changed || !slices.Equal(k.asked, []string{"GET admin"}) {
		t.Errorf("the same in another order: changed %v, %v, asked %q", changed, err, k.asked)
	}
}

// An apiserver that was made stacked does not stay so where kubeadm knows otherwise.
func TestCheckKubeadmStacked(t *testing.T) {
	for config, want := range map[string]error{external: ErrKubeadmExternal, stacked: nil, "": nil} {
		client := openKubernetes(t, startKubernetes(t, config), "admin")
		if err := client.CheckKubeadmStacked(t.Context()); !errors.Is(err, want) || want != nil && !strings.Contains(fail.Hint(err), "etcd.local") {
			t.Errorf("%v (hint: %s), want %v", err, fail.Hint(err), want)
		}
	}
}

// Two hosts do it at once, and kubeadm as well.
func TestUpdateKubeadmConfigAgainstOthers(t *testing.T) {
	k := startKubernetes(t, external)
	client := openKubernetes(t, k, "admin")
	upgrade := func() {
		k.version++
		k.object["data"].(map[string]any)["ClusterConfiguration"] = strings.Replace(k.config(), "v1.36.3", "v1.37.0", 1)
	}
	k.meanwhile = []func(){upgrade, func() { k.version++ }}
	if changed, err := client.UpdateKubeadmConfig(t.Context(), threeServers); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if !strings.Contains(k.config(), "v1.37.0") || !strings.Contains(k.config(), "192.0.2.4") {
		t.Errorf("it is now\n%s", k.config())
	}
	for range 9 {
		k.meanwhile = append(k.meanwhile, func() { k.version++ })
	}
	changed, err := client.UpdateKubeadmConfig(t.Context(), threeServers[:1])
	if changed || !isStatus(err, 409) || !strings.Contains(err.Error(), "the object has been modified") {
		t.Errorf("for ever: changed %v, %v", changed, err)
	}
}

func TestNoKubeadmConfig(t *testing.T) {
	k := startKubernetes(t, "")
	client := openKubernetes(t, k, "admin")
	if changed, err := client.UpdateKubeadmConfig(t.Context(), threeServers); changed || err != nil {
		t.Errorf("changed %v, %v", changed, err)
	}
	if _, err := client.KubeadmConfig(t.Context()); !errors.Is(err, ErrNoKubeadm) {
		t.Errorf("error %v", err)
	}
}

// An etcd that kubeadm runs itself has no list. What would have to change is said.
func TestKubeadmConfigOfStackedEtcd(t *testing.T) {
	k := startKubernetes(t, stacked)
	changed, err := openKubernetes(t, k, "admin").UpdateKubeadmConfig(t.Context(), threeServers)
	if changed || !errors.Is(err, ErrKubeadmStacked) || !strings.Contains(fail.Hint(err), "in place of etcd.local put etcd.external") || k.config() != stacked {
		t.Errorf("changed %v, %v, hint %q", changed, err, fail.Hint(err))
	}
}

func TestKubeadmConfigIsForbidden(t *testing.T) {
	k := startKubernetes(t, external)
	_, err := openKubernetes(t, k, "nobody").UpdateKubeadmConfig(t.Context(), threeServers)
	if err == nil || err.Error() != `read ConfigMap kube-system/kubeadm-config: `+k.url+`: 403 configmaps "kubeadm-config" is forbidden` || !strings.Contains(fail.Hint(err), "get and update") {
		t.Errorf("%v, hint %q", err, fail.Hint(err))
	}
}
