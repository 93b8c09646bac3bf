//go:build linux

package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	configurations = "../../cronjobs/manifest/testdata/"
	chart          = "../../deploy/helm/etcdha"
	image          = "registry.example/etcdha:1.2.3"
)

// A kube-apiserver takes what the commands and the chart render, for a stacked and an
// external etcd and for a fleet: first as a dry run, which it answers without a warning,
// and then for good.
func TestManifests(t *testing.T) {
	s := external(t, 1, 1)
	k := &kubernetes{s.cps[0]}
	k.apply(t, monitoringCRDs)
	for name, r := range map[string]rendering{
		"stacked":            {"stacked", []string{"daemon"}, nil},
		"stacked, CronJobs":  {"stacked", []string{"cronjob"}, []string{"kind=CronJob"}},
		"external":           {"external", []string{"daemon", "--service-monitor", "--spool-limit=20GiB"}, []string{"serviceMonitor=true", "spoolLimit=20Gi"}},
		"external, CronJobs": {"external", []string{"cronjob"}, []string{"kind=CronJob"}},
		"fleet":              {"fleet", []string{"daemon"}, nil},
		"fleet, CronJobs":    {"fleet", []string{"cronjob"}, []string{"kind=CronJob"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kubernetes{k.h.in(t)}
			namespace := strings.NewReplacer(", ", "-", "C", "c", "J", "j").Replace(name)
			security := "restricted"
			if r.config == "stacked" { // the network and the files of the node
				security = "privileged"
			}
			k.namespace(t, namespace, security)
			printed := k.printed(t, namespace, r)
			for from, text := range map[string]string{"the command": printed, "the chart": k.templated(t, namespace, r)} {
				if out := k.kubectl(t, "apply", "--dry-run=server", "--validate=strict", "-f", k.file(from, text)); strings.Contains(out.stderr, "Warning") {
					t.Errorf("%s: %s", from, out.stderr)
				}
			}
			k.apply(t, printed)
			k.holds(t, namespace, printed)
			k.kubectl(t, "diff", "-f", k.file("again", printed)) // which fails if anything would change
		})
	}
	t.Run("restricted", func(t *testing.T) { k.warns(t) })
	t.Run("pruned", func(t *testing.T) { k.prunes(t) })
	t.Run("rules", func(t *testing.T) { k.takesRules(t) })
}

// warns shows that a warning would be seen: what needs the node is no pod for a restricted
// namespace.
func (k *kubernetes) warns(t *testing.T) {
	k = &kubernetes{k.h.in(t)}
	k.namespace(t, "restricted", "restricted")
	text := k.printed(t, "restricted", rendering{"stacked", []string{"daemon"}, nil})
	out := k.kubectl(t, "apply", "--dry-run=server", "-f", k.file("restricted", text))
	for _, want := range []string{"Warning: would violate PodSecurity", "hostNetwork", "hostPath", "runAsNonRoot"} {
		if !strings.Contains(out.stderr, want) {
			t.Errorf("it does not warn of %s: %s", want, out.stderr)
		}
	}
}

// prunes shows that a CronJob goes when its job is gone from the configuration, by the command of
// docs/kubernetes.md.
func (k *kubernetes) prunes(t *testing.T) {
	k = &kubernetes{k.h.in(t)}
	k.namespace(t, "pruned", "restricted")
	k.apply(t, k.printed(t, "pruned", rendering{"fleet", []string{"cronjob"}, nil}))
	all := len(strings.Fields(k.kubectl(t, "-n", "pruned", "get", "cronjobs", "-o", "name").stdout))
	fewer := k.file("fewer", strings.ReplaceAll(k.h.read(configuration(t, "fleet")), `prune: {schedule: "30 5 * * *"}`, "prune: {schedule: off}"))
	printed := k.h.etcdha("cronjob", "manifest", "--config="+fewer, "--image="+image, "--namespace=pruned").stdout
	k.kubectl(t, "apply", "-f", k.file("pruned", printed), "--prune", "-l", "app.kubernetes.io/instance=etcdha", "--prune-allowlist=batch/v1/CronJob")
	left := k.kubectl(t, "-n", "pruned", "get", "cronjobs", "-o", "name").stdout
	if n := len(strings.Fields(left)); n != all-3 || strings.Contains(left, "-prune\n") {
		t.Errorf("of %d CronJobs for three clusters are left:\n%s", all, left)
	}
}

// takesRules shows that the alert rules can be had as docs/kubernetes.md says.
func (k *kubernetes) takesRules(t *testing.T) {
	k = &kubernetes{k.h.in(t)}
	rules, err := os.ReadFile("../../deploy/prometheus/etcdha.rules.yaml")
	check(t, err)
	k.h.write("/etc/kubernetes/deploy/prometheus/etcdha.rules.yaml", string(rules))
	docs, err := os.ReadFile("../../docs/kubernetes.md")
	check(t, err)
	_, rest, _ := strings.Cut(string(docs), "    { printf")
	command, _, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("docs/kubernetes.md has no command for the rules")
	}
	k.h.must("env", "KUBECONFIG="+superAdmin, "PATH="+filepath.Dir(tool("kubernetes/kubectl"))+":/usr/bin:/bin",
		"sh", "-ec", "cd /etc/kubernetes; { printf"+command)
	if out := k.kubectl(t, "-n", "kube-system", "get", "prometheusrule", "etcdha", "-o", "jsonpath={.spec.groups[*].rules[*].alert}"); out.stdout == "" {
		t.Error("there are no alerts")
	}
}

// rendering is a configuration, and how the command and the chart are asked to render it.
type rendering struct {
	config       string
	args, values []string
}

// kubernetes is the control plane, seen from one of its hosts.
type kubernetes struct{ h *host }

func (k *kubernetes) kubectl(t *testing.T, args ...string) result {
	t.Helper()
	r := k.h.run(append([]string{tool("kubernetes/kubectl"), "--kubeconfig=" + superAdmin, "--cache-dir=/var/lib/kubectl"}, args...)...)
	if r.code != 0 {
		t.Fatal(r)
	}
	return r
}

// file makes a file of the host.
func (k *kubernetes) file(name, text string) string {
	file := "/etc/kubernetes/" + strings.ReplaceAll(name, " ", "-") + ".objects"
	k.h.write(file, text)
	return file
}

func (k *kubernetes) apply(t *testing.T, text string) {
	t.Helper()
	k.kubectl(t, "apply", "-f", k.file("apply", text))
}

// namespace makes one whose pods are warned of, and refused, if they are not of this level of Pod Security.
func (k *kubernetes) namespace(t *testing.T, name, security string) {
	t.Helper()
	k.kubectl(t, "create", "namespace", name)
	k.kubectl(t, "label", "namespace", name, "pod-security.kubernetes.io/warn="+security, "pod-security.kubernetes.io/enforce="+security)
}

// configuration is the path of a configuration, which hosts see as we do.
func configuration(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(configurations + name + ".yaml")
	check(t, err)
	return path
}

func (k *kubernetes) printed(t *testing.T, namespace string, r rendering) string {
	t.Helper()
	args := append([]string{r.args[0], "manifest", "--config=" + configuration(t, r.config), "--image=" + image, "--namespace=" + namespace}, r.args[1:]...)
	return k.h.etcdha(args...).stdout
}

func (k *kubernetes) templated(t *testing.T, namespace string, r rendering) string {
	t.Helper()
	dir, err := filepath.Abs(chart)
	check(t, err)
	args := []string{
		tool("helm"), "template", "etcdha", dir, "--namespace=" + namespace, "--set-file=config=" + configuration(t, r.config),
		"--set=image.repository=registry.example/etcdha", "--set=image.tag=1.2.3",
	}
	for _, v := range r.values {
		args = append(args, "--set="+v)
	}
	return k.h.must(args...).stdout
}

// holds makes sure that the objects there have all that was asked for: fields which the apiserver
// did not know, or took to mean something else, would be gone or different.
func (k *kubernetes) holds(t *testing.T, namespace, text string) {
	t.Helper()
	for _, document := range strings.Split(text, "\n---\n")[1:] {
		var want, got any
		check(t, yaml.Unmarshal([]byte(document+"\n"), &want))
		o := want.(map[string]any)
		kind, name := o["kind"].(string), o["metadata"].(map[string]any)["name"].(string)
		check(t, yaml.Unmarshal([]byte(k.kubectl(t, "-n", namespace, "get", kind, name, "-o", "json").stdout), &got))
		if missing := missing("", want, got); len(missing) > 0 {
			t.Errorf("%s %s differs:\n%s", kind, name, strings.Join(missing, "\n"))
		}
	}
}

// missing says where got lacks what want has. It may have more.
func missing(path string, want, got any) (list []string) {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for key := range w {
			list = append(list, missing(path+"."+key, w[key], g[key])...)
		}
		return list
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range w {
				list = append(list, missing(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
			}
			return list
		}
	}
	if !reflect.DeepEqual(want, got) {
		list = append(list, fmt.Sprintf("%s: %v, expected %v", path, got, want))
	}
	return list
}

// monitoringCRDs have the parts of the Prometheus operator's types that are used.
const monitoringCRDs = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PrometheusRule, listKind: PrometheusRuleList, plural: prometheusrules, singular: prometheusrule}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              groups: {type: array, items: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, listKind: ServiceMonitorList, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [endpoints, selector]
            properties:
              selector:
                type: object
                properties:
                  matchLabels: {type: object, additionalProperties: {type: string}}
              endpoints:
                type: array
                items:
                  type: object
                  properties:
                    port: {type: string}
                    scheme: {type: string, enum: [http, https]}
                    authorization:
                      type: object
                      properties:
                        type: {type: string}
                        credentials: &key
                          type: object
                          required: [key]
                          properties: {name: {type: string}, key: {type: string}}
                    tlsConfig:
                      type: object
                      properties:
                        ca: {type: object, properties: {secret: *key}}
                        serverName: {type: string}
                        insecureSkipVerify: {type: boolean}
`
