//go:build linux

package controlplane

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path"
	"strings"
	"testing"
)

// What the CronJobs of a stacked control plane run does its work: on a host with the files of
// kubeadm, as root without any capability, with the files and variables that the pod names and
// no others. The Secrets are made by the commands that were printed.
func TestCronJobsRun(t *testing.T) {
	s := stacked(t, 1)
	h := s.cps[0]
	k := &kubernetes{h}
	dir := "/etc/kubernetes/operator"
	writeSigningKeys(h, dir+"/secrets/signing/")
	h.write(dir+"/etcdha.env", "ON_CALL_URL=https://127.0.0.1:9/on-call\n")
	h.write(dir+"/etcdha.yaml", stackedConfig)
	h.must("mkdir", "-p", "-m", "0700", "/var/lib/backups")

	printed := h.etcdha("cronjob", "manifest", "--config="+dir+"/etcdha.yaml", "--image="+image)
	for line := range strings.Lines(printed.stderr) {
		h.must("env", "KUBECONFIG="+superAdmin, "PATH="+path.Dir(tool("kubernetes/kubectl"))+":/usr/bin:/bin",
			"sh", "-ec", "cd "+dir+"; "+line)
	}
	k.apply(t, printed.stdout)
	for _, job := range []string{"snapshot", "verify-sample", "verify", "rehearse", "prune"} {
		p := k.podOf(t, "etcdha-production-"+job)
		p.mount(t, k)
		if r := h.run(p.command(t, k)...); r.code != 0 {
			t.Fatal(r)
		}
		if records := h.list("/var/lib/backups/production/jobs/" + job); len(records) != 1 {
			t.Errorf("%s left %v", job, records)
		}
	}

	var backups []struct {
		ID string `json:"id"`
	}
	list := h.etcdha("snapshot", "list", "--store=/var/lib/backups", "--cluster=production", "--verify-key="+dir+"/secrets/signing/verify.pem", "-w", "json")
	check(t, json.Unmarshal([]byte(list.stdout), &backups))
	if len(backups) != 1 {
		t.Errorf("there is not one backup: %v", list)
	}
	h.etcdha("snapshot", "verify", "latest-rehearsed", "--store=/var/lib/backups", "--cluster=production")
}

const stackedConfig = `
spoolDir: /var/lib/spool
webhooks:
- {name: on-call, url: "${ON_CALL_URL}"}
stores:
  disk: {url: /var/lib/backups}
clusters:
- name: production
  endpoints: [https://127.0.0.1:2379]
  local: https://127.0.0.1:2379
  tls:
    caFile: /etc/kubernetes/pki/etcd/ca.crt
    certFile: /etc/kubernetes/pki/etcd/healthcheck-client.crt
    keyFile: /etc/kubernetes/pki/etcd/healthcheck-client.key
  stores: [disk]
  encryption: {signKeyFile: secrets/signing/sign.pem, verifyKeyFiles: [secrets/signing/verify.pem]}
  keep: {last: 3}
  rehearsal: {members: 1, kubernetes: true}
  jobs:
    snapshot: {schedule: "0 * * * *"}
    verify-sample: {schedule: "@daily"}
    verify: {schedule: "@weekly"}
    rehearse: {schedule: "@weekly"}
    prune: {schedule: "@daily"}
`

func writeSigningKeys(h *host, dir string) {
	h.t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	check(h.t, err)
	for name, marshal := range map[string]func() ([]byte, error){
		"sign":   func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(private) },
		"verify": func() ([]byte, error) { return x509.MarshalPKIXPublicKey(public) },
	} {
		der, err := marshal()
		check(h.t, err)
		kind := map[string]string{"sign": "PRIVATE KEY", "verify": "PUBLIC KEY"}[name]
		h.write(dir+name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
}

// jobPod is the part of a pod that says what runs.
type jobPod struct {
	SecurityContext struct{ RunAsUser, RunAsGroup *int }
	Containers      []struct {
		Args []string
		Env  []struct {
			Name, Value string
			ValueFrom   struct{ SecretKeyRef struct{ Name, Key string } }
		}
		VolumeMounts []struct{ Name, MountPath string }
	}
	Volumes []struct {
		Name      string
		Projected *struct {
			Sources []struct{ ConfigMap, Secret projection }
		}
		EmptyDir *struct{}
		HostPath *struct{ Path string }
	}
}

type projection struct {
	Name  string
	Items []struct{ Key, Path string }
}

func (k *kubernetes) podOf(t *testing.T, cronJob string) (p jobPod) {
	t.Helper()
	var o struct {
		Spec struct {
			JobTemplate struct {
				Spec struct{ Template struct{ Spec jobPod } }
			}
		}
	}
	check(t, json.Unmarshal([]byte(k.kubectl(t, "-n", "kube-system", "get", "cronjob", cronJob, "-o", "json").stdout), &o))
	return o.Spec.JobTemplate.Spec.Template.Spec
}

// mount makes what kubelet mounts into the pod at the same paths of the host. What the pod has from
// the node has to be there.
func (p jobPod) mount(t *testing.T, k *kubernetes) {
	t.Helper()
	at := map[string]string{}
	for _, m := range p.Containers[0].VolumeMounts {
		at[m.Name] = m.MountPath
	}
	for _, v := range p.Volumes {
		switch {
		case v.HostPath != nil:
			if at[v.Name] != v.HostPath.Path {
				t.Errorf("%s of the node is at %s", v.HostPath.Path, at[v.Name])
			}
			k.h.must("test", "-d", v.HostPath.Path)
		case v.EmptyDir != nil:
			k.h.must("mkdir", "-p", at[v.Name])
		case v.Projected != nil:
			k.h.must("rm", "-rf", at[v.Name])
			for _, source := range v.Projected.Sources {
				for _, item := range source.ConfigMap.Items {
					k.h.write(at[v.Name]+"/"+item.Path, k.data(t, "configmap", source.ConfigMap.Name, item.Key))
				}
				for _, item := range source.Secret.Items {
					k.h.write(at[v.Name]+"/"+item.Path, k.data(t, "secret", source.Secret.Name, item.Key))
				}
			}
		default:
			t.Errorf("there is a volume %s of another kind", v.Name)
		}
	}
}

// data is what a key of a ConfigMap or a Secret has.
func (k *kubernetes) data(t *testing.T, kind, name, key string) string {
	t.Helper()
	var o struct{ Data map[string]string }
	check(t, json.Unmarshal([]byte(k.kubectl(t, "-n", "kube-system", "get", kind, name, "-o", "json").stdout), &o))
	value, ok := o.Data[key]
	if !ok {
		t.Fatalf("%s %s has no %s", kind, name, key)
	}
	if kind == "configmap" {
		return value
	}
	decoded, err := base64.StdEncoding.DecodeString(value)
	check(t, err)
	return string(decoded)
}

// command runs what the container runs, as its user, without capabilities, and in its environment.
func (p jobPod) command(t *testing.T, k *kubernetes) []string {
	t.Helper()
	c := p.Containers[0]
	user, group := p.SecurityContext.RunAsUser, p.SecurityContext.RunAsGroup
	if user == nil || group == nil {
		t.Fatal("the pod does not say who it is")
	}
	line := []string{
		"setpriv", fmt.Sprintf("--reuid=%d", *user), fmt.Sprintf("--regid=%d", *group), "--clear-groups",
		"--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "env", "-i",
	}
	for _, e := range c.Env {
		if ref := e.ValueFrom.SecretKeyRef; ref.Name != "" {
			e.Value = k.data(t, "secret", ref.Name, ref.Key)
		}
		line = append(line, e.Name+"="+e.Value)
	}
	return append(append(line, tool("etcdha")), c.Args...)
}
