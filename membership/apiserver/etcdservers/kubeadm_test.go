package etcdservers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

func clusterConfiguration(version, rest string) string {
	return "apiVersion: kubeadm.k8s.io/" + version + "\nkind: ClusterConfiguration\n" + rest
}

const externalEtcd = "etcd:\n  external:\n    endpoints:\n    - https://10.0.0.11:2379\n"

func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, test := range []struct{ name, data, reason string }{
		{"an old version", clusterConfiguration("v1beta1", externalEtcd), "of version v1beta1"},
		{"an extra argument", clusterConfiguration("v1beta3", externalEtcd+"apiServer:\n  extraArgs:\n    etcd-servers: https://a:2379\n"), "overrides etcd.external.endpoints"},
		{"an extra argument in a list", clusterConfiguration("v1beta4", externalEtcd+"apiServer:\n  extraArgs:\n  - name: etcd-servers\n    value: https://a:2379\n"), "overrides"},
		{"no list", clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints: https://a:2379\n"), "is no list"},
		{"an empty list", clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints: []\n"), "an empty one"},
		{"an empty item", clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints:\n    -\n    - https://a:2379\n"), "an item that is empty"},
		{"a comment in brackets", clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints: [https://a:2379, # one\n      https://b:2379]\n"), "a comment in its brackets"},
		{"two of them", clusterConfiguration("v1beta3", externalEtcd) + "---\n" + clusterConfiguration("v1beta3", externalEtcd), "several ClusterConfigurations"},
		{"a template", clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints:\n    - https://${IP}:2379\n"), "is a template"},
		{"separate ports for HTTP", clusterConfiguration("v1beta4", externalEtcd+"    httpEndpoints:\n    - https://10.0.0.11:2381\n"), "has other URLs"},
		{"a broken ConfigMap", "kind: ConfigMap\ndata:\n  ClusterConfiguration: |\n    a: [\n", "its ClusterConfiguration is no YAML"},
		{"another ConfigMap", "kind: ConfigMap\ndata:\n  ClusterConfiguration: |\n    a: b\n", "not one of kubeadm.k8s.io"},
		{"a list in a list", clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints:\n    - - https://a:2379\n"), "is no string"},
		{"an anchor on an item", clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints:\n    - &a https://a:2379\n"), "shares its line"},
		{"HTTP that is no list", clusterConfiguration("v1beta4", externalEtcd+"    httpEndpoints: [[]]\n"), "httpEndpoints is no string"},
		{"an alias", clusterConfiguration("v1beta4", "x: [https://a:2379, &e https://b:2379]\netcd:\n  external:\n    endpoints: [*e]\n"), "is no string"},
		{"twice in a mapping", clusterConfiguration("v1beta4", externalEtcd+externalEtcd), "already set in map"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadKubeadm("/etc/kubeadm.yaml", []byte(test.data))
			refused(t, err, test.reason)
			_, err = readFrom("kubeadm.yaml", []byte(test.data))
			refused(t, err, test.reason)
		})
	}
}

// kubeadm keeps no list for a stacked etcd: callers have nothing to change there,
// and whoever asked for a change is told why.
func TestStackedConfiguration(t *testing.T) {
	files, err := filepath.Glob("testdata/kubeadm/*-stacked-config*.yaml")
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ReadKubeadm("/etc/kubeadm.yaml", data)
		refused(t, err, "etcd is stacked")
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v is no ErrNotFound", name, err)
		}
	}
	if _, err := ReadKubeadm("/x", []byte("kind: ConfigMap\n")); !errors.Is(err, ErrNotFound) || errors.Is(err, fail.ErrUnsafe) {
		t.Error(err)
	}
}

// The list is edited line by line: what stays keeps its place, its quotes and its
// comment, even if it moves.
func TestEndpointsLineByLine(t *testing.T) {
	before := clusterConfiguration("v1beta3", `etcd:
  external:
    endpoints:   # keep in step with DNS
    # the old rack
    - https://a:2379  # first

    - 'https://b:2379'  # second
    - "https://c:2379"
    caFile: /ca
`)
	for _, test := range []struct{ servers, want string }{
		{"a b c", "|# the old rack|- https://a:2379  # first||- 'https://b:2379'  # second|- \"https://c:2379\""},
		{"b c", "|# the old rack||- 'https://b:2379'  # second|- \"https://c:2379\""},
		{"a b", "|# the old rack|- https://a:2379  # first||- 'https://b:2379'  # second"},
		{"a c", "|# the old rack|- https://a:2379  # first||- \"https://c:2379\""},
		{"c", "|# the old rack||- \"https://c:2379\""},
		{"a b c d e", "|# the old rack|- https://a:2379  # first||- 'https://b:2379'  # second|- \"https://c:2379\"|- \"https://d:2379\"|- \"https://e:2379\""},
		{"d a b c", "|# the old rack|- https://d:2379|- https://a:2379  # first||- 'https://b:2379'  # second|- \"https://c:2379\""},
		{"b c a", "|# the old rack||- 'https://b:2379'  # second|- \"https://c:2379\"|- https://a:2379  # first"},
		{"d e", "|# the old rack|- https://d:2379  # first||- 'https://e:2379'  # second"},
		{"a d c", "|# the old rack|- https://a:2379  # first||- 'https://d:2379'  # second|- \"https://c:2379\""},
		{"a b d e", "|# the old rack|- https://a:2379  # first||- 'https://b:2379'  # second|- \"https://d:2379\"|- \"https://e:2379\""},
		{"d e f b c", "|# the old rack|- https://d:2379  # first|- https://e:2379|- https://f:2379||- 'https://b:2379'  # second|- \"https://c:2379\""},
		{"b d a", "|# the old rack||- 'https://b:2379'  # second|- \"https://d:2379\"|- https://a:2379  # first"},
		{"c b a", "|# the old rack||- \"https://c:2379\"|- 'https://b:2379'  # second|- https://a:2379  # first"},
	} {
		var servers []string
		for _, s := range strings.Fields(test.servers) {
			servers = append(servers, "https://"+s+":2379")
		}
		start, end := "    endpoints:   # keep in step with DNS\n", "    caFile: /ca\n"
		head, rest, _ := strings.Cut(before, start)
		_, tail, _ := strings.Cut(rest, end)
		list := strings.ReplaceAll(strings.ReplaceAll(test.want[1:], "|", "\n    "), "    \n", "\n") + "\n"
		want := head + start + "    " + list + end + tail
		for name, wrap := range map[string]func(string) string{
			"a file":          func(s string) string { return s },
			"a file, CRLF":    func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
			"a ConfigMap":     inConfigMap,
			"a quoted string": func(s string) string { return fmt.Sprintf("kind: ConfigMap\ndata:\n  ClusterConfiguration: %q\n", s) },
		} {
			f, err := ReadKubeadm("/k.yaml", []byte(wrap(before)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			after, err := f.With(servers)
			if err != nil || string(after) != wrap(want) {
				t.Errorf("%s in %s gives %v\n%s\nwant\n%s", test.servers, name, err, after, wrap(want))
			}
		}
	}
}

// One server for another leaves the quotes and the comments of its line, and on the
// way back every byte is as it was.
func TestEndpointsThereAndBack(t *testing.T) {
	data, err := os.ReadFile("testdata/kubeadm/comments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrap := range []func(string) string{func(s string) string { return s }, inConfigMap} {
		before := wrap(string(data))
		for i, was := range []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"} {
			f, err := ReadKubeadm("/k.yaml", []byte(before))
			if err != nil {
				t.Fatal(err)
			}
			servers := slices.Clone(f.Servers)
			servers[i] = "https://10.0.0.9:2379"
			there, err := f.With(servers)
			if want := strings.Replace(before, was, servers[i], 1); err != nil || string(there) != want {
				t.Fatalf("%v\n%s\nwant\n%s", err, there, want)
			}
			if f, err = ReadKubeadm("/k.yaml", there); err != nil {
				t.Fatal(err)
			}
			servers[i] = was
			if back, err := f.With(servers); err != nil || string(back) != before {
				t.Fatalf("%v\n%s\nwant\n%s", err, back, before)
			}
		}
	}
}

// inConfigMap is a configuration as kubectl prints it; empty lines stay empty.
func inConfigMap(config string) string {
	return "kind: ConfigMap\ndata:\n  ClusterConfiguration: |\n" + strings.ReplaceAll(indent(config, "    "), "    \n", "\n")
}

// An empty line stays empty where a line comes after it.
func TestEndpointsAfterAnEmptyLine(t *testing.T) {
	config := func(list string) []byte {
		return []byte(inConfigMap(clusterConfiguration("v1beta3", "etcd:\n  external:\n    endpoints:\n\n"+list)))
	}
	f, err := ReadKubeadm("/k.yaml", config("    - https://a:2379\n"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := f.With([]string{"https://b:2379", "https://a:2379"})
	if want := config("    - https://b:2379\n    - https://a:2379\n"); err != nil || string(after) != string(want) {
		t.Errorf("%v\n%s\nwant\n%s", err, after, want)
	}
}

// In brackets, what stands between two items stands between new ones as well.
func TestEndpointsInBrackets(t *testing.T) {
	for _, test := range []struct{ before, servers, want string }{
		{"[https://a:1,https://b:1]", "a b c", "[https://a:1,https://b:1,https://c:1]"},
		{"[ https://a:1 , https://b:1 ]", "c a b", "[ https://c:1 , https://a:1 , https://b:1 ]"},
		{"[https://a:1, 'https://b:1', \"https://c:1\"]", "c", "[\"https://c:1\"]"},
		{"[https://a:1, 'https://b:1', \"https://c:1\"]", "a", "[https://a:1]"},
		{"[https://a:1, 'https://b:1', \"https://c:1\"]", "a c", "[https://a:1, \"https://c:1\"]"},
		{"[https://a:1, 'https://b:1', \"https://c:1\"]", "d e c", "[https://d:1, 'https://e:1', \"https://c:1\"]"},
		{"[https://a:1]", "a b", "[https://a:1, https://b:1]"},
		{"[https://a:1]", "b [::1]", "[https://b:1, \"https://[::1]:1\"]"},
		{"[\n      https://a:1\n    ]", "a b", "[\n      https://a:1,\n      https://b:1\n    ]"},
		{"[\n    \"https://a:1\",\n    \"https://b:1\",\n    ]", "b c d", "[\n    \"https://b:1\",\n    \"https://c:1\",\n    \"https://d:1\",\n    ]"},
		{"[ \"https://a:1\",\n\"https://b:1\"]", "c a", "[ \"https://c:1\",\n\"https://a:1\"]"},
	} {
		var servers []string
		for _, s := range strings.Fields(test.servers) {
			servers = append(servers, "https://"+s+":1")
		}
		for name, wrap := range map[string]func(string) string{
			"a file":      func(s string) string { return s },
			"a ConfigMap": inConfigMap,
		} {
			config := func(list string) string {
				return wrap("{apiVersion: kubeadm.k8s.io/v1beta4, kind: ClusterConfiguration, etcd: {external: {endpoints: " + list + "}}}\n")
			}
			f, err := ReadKubeadm("/k.yaml", []byte(config(test.before)))
			if err != nil {
				t.Fatalf("%s in %s: %v", test.before, name, err)
			}
			after, err := f.With(servers)
			if err != nil || string(after) != config(test.want) {
				t.Errorf("%s to %s in %s gives %v\n%s\nwant\n%s", test.before, test.servers, name, err, after, config(test.want))
			}
		}
	}
}

// kubeadm has the last word: the manifest that it writes from a changed
// configuration names the servers of the change. Its own two formats agree here.
func TestConfigMapsAndConfigurationsAgree(t *testing.T) {
	target := []string{"https://10.0.0.12:2379", "https://10.0.0.14:2379", "https://[fd00::15]:2379"}
	for _, version := range []string{"v1.30", "v1.36"} {
		var lists [][]string
		for _, kind := range []string{"config", "configmap"} {
			data, err := os.ReadFile("testdata/kubeadm/" + version + "-external-" + kind + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			f, err := ReadKubeadm("kube-system/kubeadm-config", data)
			if err != nil {
				t.Fatal(err)
			}
			after, err := f.With(target)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(after), "10.0.0.11") {
				t.Errorf("%s %s still names what is gone:\n%s", version, kind, after)
			}
			again, err := ReadKubeadm("kube-system/kubeadm-config", after)
			if err != nil {
				t.Fatal(err)
			}
			lists = append(lists, again.Servers)
		}
		if !slices.Equal(lists[0], target) || !slices.Equal(lists[1], target) {
			t.Errorf("%s reads %q", version, lists)
		}
	}
}
