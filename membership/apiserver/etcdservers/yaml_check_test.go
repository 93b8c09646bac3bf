package etcdservers

import (
	"strings"
	"testing"
)

// The second parser has the last word: whatever an edit has done besides, it is
// seen.
func TestRecheckFlag(t *testing.T) {
	before := pod("command:\n- kube-apiserver\n- --etcd-servers=https://a:2379\n- --v=2")
	for _, test := range []struct{ name, from, to, want string }{
		{"the list", "https://a:2379", "https://b:2379,https://c:2379", ""},
		{"a comment as well", "https://a:2379", "https://b:2379,https://c:2379 # x", ""},
		{"another list", "https://a:2379", "https://b:2379,https://d:2379", "command[1] would change as well"},
		{"something beside the list", "servers=https://a:2379", "servers=https://b:2379,https://c:2379,", "would change as well"},
		{"the flag as well", "--etcd-servers=https://a:2379", "--etcd-prefix=https://b:2379,https://c:2379", "would change as well"},
		{"another flag", "--v=2", "--v=3", "would change as well"},
		{"an item more", "--v=2", "--v=2\n    - --x", "command would change as well"},
		{"a key more", "    command:", "    x: y\n    command:", "containers[0] would change as well"},
		{"another key", "namespace", "namespace", ""},
		{"a renamed key", "metadata", "metadaten", "would change as well"},
		{"a list that is none", "command:\n", "command: x\n    y:\n", "would change as well"},
		{"a mapping that is none", "metadata:\n  name: kube-apiserver", "metadata: kube-apiserver", "would change as well"},
		{"a document more", "    - --v=2\n", "    - --v=2\n---\na: b\n", "would change as well"},
		{"no YAML", "    - --v=2", "    - \"--v=2", "is no YAML"},
	} {
		err := recheckFlag("https://a:2379")([]byte(before), []byte(strings.Replace(before, test.from, test.to, 1)), []string{"https://b:2379", "https://c:2379"})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, not %q", test.name, err, test.want)
		}
	}
}

func TestRecheckEndpoints(t *testing.T) {
	config := clusterConfiguration("v1beta4", externalEtcd+"    httpEndpoints:\n    - https://10.0.0.11:2379\n    caFile: /ca\n")
	inside := "kind: ConfigMap\nmetadata: {name: kubeadm-config}\ndata:\n  ClusterConfiguration: |\n" + indent(config, "    ")
	for _, test := range []struct{ name, from, to, want string }{
		{"both lists", "https://10.0.0.11:2379", "https://b:2379", ""},
		{"a key as well", "/ca", "/cb", "would be another list"},
		{"the kind as well", "kind: Cluster", "kind: Klaster", "does not find the list"},
		{"no YAML", "etcd:", "etcd: [", "is no YAML"},
		{"nothing", "https://x", "https://y", "the list would read"},
	} {
		for _, before := range []string{config, inside} {
			after := strings.ReplaceAll(before, test.from, test.to)
			if test.name == "a key as well" {
				after = strings.Replace(after, "https://10.0.0.11:2379", "https://b:2379", 1)
			}
			err := recheckEndpoints([]byte(before), []byte(after), []string{"https://b:2379"})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s: %v, not %q", test.name, err, test.want)
			}
		}
	}
	both := strings.ReplaceAll(inside, "https://10.0.0.11:2379", "https://b:2379")
	for _, change := range []string{"caFile", "kubeadm-config", "metadata"} {
		err := recheckEndpoints([]byte(inside), []byte(strings.Replace(both, change, "other", 1)), []string{"https://b:2379"})
		if err == nil || !strings.Contains(err.Error(), "would change as well") {
			t.Errorf("%s: %v", change, err)
		}
	}
}
