package manifest_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew; read the difference before you keep it")

const image = "registry.example/etcdha@sha256:0f3c8a1e8d1a7c6a5e0a94dd5e2f9b1c3d4e5f60718293a4b5c6d7e8f9012345"

type render func(*config.File, []byte, manifest.Options) (*manifest.Manifest, error)

// read reads a configuration as the command does.
func read(t *testing.T, name string) (*config.File, []byte) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := config.Read(name, config.Options{
		ReadFile:  func(string) ([]byte, error) { return []byte(config.Placeholder), nil },
		LookupEnv: func(string) (string, bool) { return config.Placeholder, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	return file, text
}

// written reads a configuration that is given as text.
func written(t *testing.T, text string) (*config.File, []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "etcdha.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return read(t, name)
}

// objects are what a manifest has, as Kubernetes reads it.
func objects(t *testing.T, m *manifest.Manifest) []map[string]any {
	t.Helper()
	text, err := m.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	for _, document := range strings.Split(string(text), "\n---\n")[1:] {
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(document+"\n"), &o); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		list = append(list, o)
	}
	return list
}

// at follows keys and indexes into an object, and returns nil where there is nothing.
func at(o any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := o.(map[string]any)
			o = m[p]
		case int:
			l, _ := o.([]any)
			if p >= len(l) {
				return nil
			}
			o = l[p]
		}
	}
	return o
}

func ofKind(t *testing.T, list []map[string]any, kind string) map[string]any {
	t.Helper()
	for _, o := range list {
		if o["kind"] == kind {
			return o
		}
	}
	t.Fatalf("there is no %s", kind)
	return nil
}

// pods are the specifications of all pods in a list of objects.
func pods(list []map[string]any) (all []any) {
	for _, o := range list {
		for _, path := range [][]any{{"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}} {
			if pod := at(o, path...); pod != nil {
				all = append(all, pod)
			}
		}
	}
	return all
}

// What is rendered for a stacked, an external and several clusters, with comments and
// all, is what has been read and found good.
func TestGolden(t *testing.T) {
	for golden, with := range map[string]struct {
		config string
		render render
		o      manifest.Options
	}{
		"stacked-daemonset":   {"stacked", manifest.Daemon, manifest.Options{DBSize: 8 << 30, SpoolLimit: 50 << 30}},
		"stacked-cronjobs":    {"stacked", manifest.CronJobs, manifest.Options{}},
		"external-deployment": {"external", manifest.Daemon, manifest.Options{Namespace: "etcd-backup", ServiceMonitor: true}},
		"fleet-cronjobs":      {"fleet", manifest.CronJobs, manifest.Options{Name: "fleet"}},
		"fleet-deployment":    {"fleet", manifest.Daemon, manifest.Options{Name: "fleet"}},
	} {
		t.Run(golden, func(t *testing.T) {
			file, text := read(t, "testdata/"+with.config+".yaml")
			with.o.Image = image
			m, err := with.render(file, text, with.o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.YAML()
			if err != nil {
				t.Fatal(err)
			}
			name := "testdata/" + golden + ".golden"
			if *update {
				if err := os.WriteFile(name, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("it is not %s any more; -update writes it anew:\n%s", name, got)
			}
		})
	}
}

// The List of the JSON form has the same objects as the documents of the YAML form.
func TestJSON(t *testing.T) {
	file, text := read(t, "testdata/stacked.yaml")
	for name, render := range map[string]render{"daemon": manifest.Daemon, "cronjobs": manifest.CronJobs} {
		m, err := render(file, text, manifest.Options{Image: image})
		if err != nil {
			t.Fatal(err)
		}
		data, err := m.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			APIVersion string           `json:"apiVersion"`
			Kind       string           `json:"kind"`
			Items      []map[string]any `json:"items"`
		}
		if err := yaml.UnmarshalStrict(data, &list); err != nil {
			t.Fatal(err)
		}
		if list.APIVersion != "v1" || list.Kind != "List" || !reflect.DeepEqual(list.Items, objects(t, m)) {
			t.Errorf("%s: the JSON form has other objects:\n%s", name, data)
		}
	}
}

// Whatever is rendered, no container may more than it has to.
func TestEveryContainerIsConfined(t *testing.T) {
	for _, name := range []string{"stacked", "external", "fleet"} {
		file, text := read(t, "testdata/"+name+".yaml")
		for _, render := range []render{manifest.Daemon, manifest.CronJobs} {
			m, err := render(file, text, manifest.Options{Image: image})
			if err != nil {
				t.Fatal(err)
			}
			list := objects(t, m)
			for _, o := range list {
				if kind := o["kind"].(string); strings.Contains(kind, "Role") || kind == "Secret" {
					t.Errorf("%s: there is a %s", name, kind)
				}
			}
			for _, pod := range pods(list) {
				confined(t, name, pod)
			}
		}
	}
}

func confined(t *testing.T, name string, pod any) {
	t.Helper()
	security := at(pod, "containers", 0, "securityContext")
	want := map[string]any{
		"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
		"capabilities": map[string]any{"drop": []any{"ALL"}},
	}
	if !reflect.DeepEqual(security, want) {
		t.Errorf("%s: the container may %v", name, security)
	}
	if at(pod, "automountServiceAccountToken") != false {
		t.Errorf("%s: the pod has a token of Kubernetes", name)
	}
	host := false
	for _, v := range at(pod, "volumes").([]any) {
		host = host || at(v, "hostPath") != nil
	}
	if root := at(pod, "securityContext", "runAsUser") == 0.0; root != host {
		t.Errorf("%s: it has files of the node: %v, and is root: %v", name, host, root)
	}
	if nonRoot := at(pod, "securityContext", "runAsNonRoot") == true; nonRoot == host {
		t.Errorf("%s: it has files of the node: %v, and must not be root: %v", name, host, nonRoot)
	}
	for _, mount := range at(pod, "containers", 0, "volumeMounts").([]any) {
		path := at(mount, "mountPath").(string)
		writable := path == "/tmp" || path == "/var/cache/etcdha" || path == "/var/backups/etcd"
		if readOnly := at(mount, "readOnly") == true; readOnly == writable {
			t.Errorf("%s: %s can be written: %v", name, path, !readOnly)
		}
	}
}

// The configuration reaches the pod byte for byte, whatever YAML is fond of.
func TestConfigIsKept(t *testing.T) {
	base, err := os.ReadFile("testdata/fleet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as it is":           string(base),
		"no end of line":     strings.TrimRight(string(base), "\n"),
		"many ends of lines": string(base) + "\n\n\n",
		"begins with a line": "\n\n" + string(base),
		"spaces at ends":     strings.ReplaceAll(string(base), "defaults:", "defaults:   "),
		"begins with spaces": "   # indented\n" + string(base),
		"CRLF":               strings.ReplaceAll(string(base), "\n", "\r\n"),
		"letters of others":  "# ключ, 鍵, \u2028 \u0085\n" + string(base),
		"document":           "---\n" + string(base),
		"a tab":              "# \t tab\n" + string(base),
	} {
		t.Run(name, func(t *testing.T) {
			file, raw := written(t, text)
			m, err := manifest.Daemon(file, raw, manifest.Options{Image: image})
			if err != nil {
				t.Fatal(err)
			}
			if got := at(ofKind(t, objects(t, m), "ConfigMap"), "data", "config.yaml"); got != text {
				t.Errorf("%q became %q", text, got)
			}
		})
	}
}

// Paths mean the same in the pod as beside the file, wherever that lies here.
func TestPaths(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "etcdha.yaml")
	text := "spoolDir: /var/cache/etcdha\nstores: {s3: {url: 's3://backups/etcd'}}\nclusters:\n- {name: c, endpoints: ['https://192.0.2.21:2379'], stores: [s3]," +
		" tls: {caFile: secrets/c/ca.crt, certFile: " + dir + "/pki/tls.crt, keyFile: " + dir + "/pki/tls.key}, jobs: {snapshot: {schedule: '@hourly'}}}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, raw := read(t, name)
	m, err := manifest.Daemon(file, raw, manifest.Options{Image: image})
	if err != nil {
		t.Fatal(err)
	}
	pod := pods(objects(t, m))[0]
	if got := at(pod, "volumes", 0, "projected", "sources", 1, "secret", "items", 0, "path"); got != "secrets/c/ca.crt" {
		t.Errorf("what is relative is at %v", got)
	}
	if got := at(pod, "volumes", 2, "hostPath", "path"); got != dir+"/pki" {
		t.Errorf("what is absolute is at %v", got)
	}
	want := []string{"kubectl -n kube-system create secret generic c --from-file=secrets/c/ca.crt"}
	if got := m.Prepare(); !slices.Equal(got, want) {
		t.Errorf("to be typed first: %q, expected %q", got, want)
	}
}
