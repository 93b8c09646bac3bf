package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	configuration "github.com/etcdha/etcdha/cronjobs/config"
)

const chart = "../deploy/helm/etcdha"

// configurations are those that package manifest is tested with: a stacked etcd, an external
// one, and a fleet.
const configurations = "../cronjobs/manifest/testdata/"

// The chart and the commands render the same objects from the same input.
func TestChartRendersWhatTheCommandsPrint(t *testing.T) {
	for name, with := range map[string]struct {
		config string
		args   []string // of etcdha
		values []string // of the chart
	}{
		"stacked":            {"stacked", []string{"daemon"}, nil},
		"stacked, all":       {"stacked", []string{"daemon", "--db-size=8GiB", "--spool-limit=50GiB"}, []string{"dbSizeGiB=8", "spoolLimit=50Gi"}},
		"stacked, CronJobs":  {"stacked", []string{"cronjob"}, []string{"kind=CronJob"}},
		"external":           {"external", []string{"daemon"}, nil},
		"external, seen":     {"external", []string{"daemon", "--service-monitor"}, []string{"serviceMonitor=true"}},
		"external, on nodes": {"external", []string{"daemon", "--kind=DaemonSet"}, []string{"kind=DaemonSet"}},
		"external, CronJobs": {"external", []string{"cronjob", "--db-size=3GiB"}, []string{"kind=CronJob", "dbSizeGiB=3"}},
		"fleet":              {"fleet", []string{"daemon", "--name=fleet"}, []string{"name=fleet"}},
		"fleet, CronJobs":    {"fleet", []string{"cronjob", "--name=fleet"}, []string{"name=fleet", "kind=CronJob"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := configurations + with.config + ".yaml"
			printed := must(t, tool("etcdha"), append([]string{
				with.args[0], "manifest", "--config=" + file, "--image=registry.example/etcdha:1.2.3", "--namespace=backups",
			}, with.args[1:]...)...)
			rendered := template(t, append([]string{"--set-file=config=" + file}, sets(with.values)...)...)
			want, got := objectsIn(t, printed), objectsIn(t, rendered)
			if len(want) == 0 || !reflect.DeepEqual(want, got) {
				t.Errorf("the chart and the command differ:\n%s", difference(t, want, got))
			}
		})
	}
}

// A configuration that is given as values is rendered as one that is given as a file.
func TestChartTakesAMap(t *testing.T) {
	for _, name := range []string{"stacked", "external", "fleet"} {
		file := configurations + name + ".yaml"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		values := filepath.Join(t.TempDir(), "values.yaml")
		indented := "config:\n  " + strings.ReplaceAll(string(text), "\n", "\n  ") + "\n"
		if err := os.WriteFile(values, []byte(indented), 0o600); err != nil {
			t.Fatal(err)
		}
		fromFile, fromMap := objectsIn(t, template(t, "--set-file=config="+file)), objectsIn(t, template(t, "--values="+values))
		if !reflect.DeepEqual(config(t, fromFile), config(t, fromMap)) {
			t.Errorf("%s: the map became %v", name, config(t, fromMap))
		}
		delete(fromFile, configMap)
		delete(fromMap, configMap)
		if !reflect.DeepEqual(fromFile, fromMap) {
			t.Errorf("%s: a map and a file differ:\n%s", name, difference(t, fromFile, fromMap))
		}
	}
}

// What Helm reads as YAML 1.1 is a boolean to it: off is false. It means the same in a map, in a file, and
// to etcdha itself, which reads the ConfigMap.
func TestChartTakesAJobAway(t *testing.T) {
	const text = `
stores: {s3: {url: "s3://backups/etcd"}}
defaults:
  stores: [s3]
  jobs: {snapshot: {schedule: "0 * * * *"}, verify: {schedule: "0 3 * * 0"}}
clusters:
- name: production
  endpoints: ["https://192.0.2.21:2379"]
- name: staging
  endpoints: ["https://192.0.2.22:2379"]
  zones: {m1: "no"}
  jobs: {verify: {schedule: off}}
`
	dir := t.TempDir()
	file, values := filepath.Join(dir, "etcdha.yaml"), filepath.Join(dir, "values.yaml")
	write(t, file, text)
	write(t, values, "config:"+strings.ReplaceAll(text, "\n", "\n  ")+"\n")
	printed := objectsIn(t, must(t, tool("etcdha"), "cronjob", "manifest", "--config="+file, "--image=registry.example/etcdha:1.2.3", "--namespace=backups"))
	delete(printed, configMap)
	for how, arg := range map[string]string{"file": "--set-file=config=" + file, "map": "--values=" + values} {
		got := objectsIn(t, template(t, arg, "--set=kind=CronJob"))
		given := got[configMap].(map[string]any)["data"].(map[string]any)["config.yaml"].(string)
		delete(got, configMap)
		if !reflect.DeepEqual(got, printed) {
			t.Errorf("%s: the chart and the command differ:\n%s", how, difference(t, printed, got))
		}
		write(t, filepath.Join(dir, "config.yaml"), given)
		f, err := configuration.Read(filepath.Join(dir, "config.yaml"), configuration.Options{})
		if err != nil {
			t.Fatalf("%s: %v\n%s", how, err, given)
		}
		if c := f.Clusters[1]; len(f.Clusters[0].Jobs) != 2 || len(c.Jobs) != 1 || c.Zones["m1"] != "no" {
			t.Errorf("%s: etcdha reads %+v from\n%s", how, c, given)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A ConfigMap that is there already is used, and not made.
func TestChartUsesAConfigMap(t *testing.T) {
	file := "--set-file=config=" + configurations + "external.yaml"
	own, given := objectsIn(t, template(t, file)), template(t, file, "--set=existingConfigMap=mine")
	if !strings.Contains(given, "name: mine\n") {
		t.Errorf("mine is not mounted:\n%s", given)
	}
	delete(own, configMap)
	if got := objectsIn(t, strings.ReplaceAll(given, "name: mine\n", "name: etcdha\n")); !reflect.DeepEqual(got, own) {
		t.Errorf("more than the name differs:\n%s", difference(t, own, got))
	}
}

// imageSet says where the image is, which has to be said.
const imageSet = "--set=image.repository=registry.example/etcdha"

// What the commands refuse, the chart refuses, too.
func TestChartRefuses(t *testing.T) {
	for name, with := range map[string]struct {
		args []string
		err  string
	}{
		"no configuration":     {nil, "no clusters; give a file by --set-file"},
		"no YAML":              {[]string{"--set=config=: ["}, "config: "},
		"a value unknown":      {[]string{"--set=replicas=3"}, "replicas"},
		"another kind":         {[]string{"--set=kind=StatefulSet"}, "kind"},
		"files of the node":    {[]string{"--set-file=config=" + configurations + "stacked.yaml", "--set=kind=Deployment"}, "a Deployment has not /etc/kubernetes/pki/etcd"},
		"nothing to monitor":   {[]string{"--set-file=config=" + configurations + "fleet.yaml", "--set=serviceMonitor=true"}, "nobody can reach server.listen"},
		"no token to monitor":  {[]string{"--set-file=config=" + edited(t, "external", "  tokenFile: secrets/etcdha-token/token\n", "  clientCAFile: secrets/etcdha-server/ca.crt\n"), "--set=serviceMonitor=true"}, "no token to ask the daemon with"},
		"a name too long":      {[]string{"--set-file=config=" + configurations + "fleet.yaml", "--set=name=abcdefghijklmnopqrstuvwxyz"}, "name"},
		"@every":               {[]string{"--set-file=config=" + edited(t, "fleet", "0 * * * *", "@every 1h"), "--set=kind=CronJob"}, "five fields"},
		"seconds":              {[]string{"--set-file=config=" + edited(t, "fleet", "0 * * * *", "0 0 * * * *"), "--set=kind=CronJob"}, "five fields"},
		"a socket":             {[]string{"--set-file=config=" + edited(t, "external", ":2391", "unix:///run/s")}, "nobody can reach a socket"},
		"a file in /etc":       {[]string{"--set-file=config=" + edited(t, "external", "secrets/staging-etcd/ca.crt", "/etc/ca.crt")}, "/etc cannot be mounted"},
		"a file of no Secret":  {[]string{"--set-file=config=" + edited(t, "external", "secrets/staging-etcd/ca.crt", "ca.crt")}, "secrets/NAME/KEY"},
		"the store is a spool": {[]string{"--set-file=config=" + edited(t, "stacked", "/var/backups/etcd", "/var/cache")}, "/var/cache cannot be mounted"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := run(t, tool("helm"), append([]string{"template", "etcdha", chart, imageSet}, with.args...)...)
			if code == 0 || !strings.Contains(stderr, with.err) {
				t.Errorf("exit %d, expected %q:\n%s%s", code, with.err, stdout, stderr)
			}
		})
	}
}

func TestChartLints(t *testing.T) {
	for _, name := range []string{"stacked", "external", "fleet"} {
		for _, kind := range []string{"", "CronJob"} {
			stdout := must(t, tool("helm"), "lint", "--strict", chart, imageSet, "--set-file=config="+configurations+name+".yaml", "--set=kind="+kind)
			if strings.Contains(stdout, "[WARNING]") || !strings.Contains(stdout, "0 chart(s) failed") {
				t.Errorf("%s %s:\n%s", name, kind, stdout)
			}
		}
	}
}

// The notes say which Secrets to make, in the words of the commands.
func TestNotes(t *testing.T) {
	for _, name := range []string{"stacked", "external", "fleet"} {
		file := configurations + name + ".yaml"
		notes := must(t, tool("helm"), "install", "etcdha", chart, imageSet, "--dry-run=client", "--namespace=kube-system", "--set-file=config="+file)
		_, commands, _ := run(t, tool("etcdha"), "daemon", "manifest", "--config="+file, "--image=registry.example/etcdha:1.2.3")
		if commands == "" {
			t.Errorf("%s: there is nothing to make", name)
		}
		for line := range strings.Lines(commands) {
			if !strings.Contains(notes, "  "+line) {
				t.Errorf("%s: the notes do not have %q:\n%s", name, line, notes)
			}
		}
	}
}

const configMap = "ConfigMap etcdha"

// config is the configuration in a ConfigMap, parsed.
func config(t *testing.T, objects map[string]any) (parsed any) {
	t.Helper()
	data := objects[configMap].(map[string]any)["data"].(map[string]any)
	if err := yaml.Unmarshal([]byte(data["config.yaml"].(string)), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// edited is a copy of a configuration in which one text is another.
func edited(t *testing.T, name, old, new string) string {
	t.Helper()
	text, err := os.ReadFile(configurations + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(text), old, new)
	if changed == string(text) {
		t.Fatalf("%s has no %s", name, old)
	}
	file := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// template renders the chart with the image and the namespace of these tests.
func template(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, tool("helm"), append([]string{
		"template", "etcdha", chart, "--namespace=backups", imageSet, "--set=image.tag=1.2.3",
	}, args...)...)
}

func sets(values []string) (args []string) {
	for _, v := range values {
		args = append(args, "--set="+v)
	}
	return args
}

// objectsIn are the objects of a text with several documents, by kind and name.
func objectsIn(t *testing.T, text string) map[string]any {
	t.Helper()
	objects := map[string]any{}
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(document+"\n"), &o); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		if len(o) == 0 {
			continue // comments
		}
		key := o["kind"].(string) + " " + o["metadata"].(map[string]any)["name"].(string)
		if objects[key] != nil {
			t.Errorf("there are two of %s", key)
		}
		objects[key] = o
	}
	return objects
}

// difference are the objects that are not the same.
func difference(t *testing.T, want, got map[string]any) string {
	t.Helper()
	var b strings.Builder
	show := func(o any) string {
		data, err := json.MarshalIndent(o, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for key := range want {
		if !reflect.DeepEqual(want[key], got[key]) {
			b.WriteString(key + ", expected\n" + show(want[key]) + "\nand it is\n" + show(got[key]) + "\n")
		}
	}
	for key := range got {
		if want[key] == nil {
			b.WriteString("unexpected: " + key + "\n")
		}
	}
	return b.String()
}
