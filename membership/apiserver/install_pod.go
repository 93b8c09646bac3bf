package apiserver

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// StaticPod renders the agent as a manifest for kubelet. It sees the processes
// and the network of the host, writes to the directory of the apiserver's manifest
// and to that of the copies, and reads the certificates that the apiserver names.
func (a *Agent) StaticPod() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	switch {
	case a.File.Form != etcdservers.StaticPod:
		return nil, fail.WithHint(fail.Usagef("the apiserver of %s is run by systemd, which a pod cannot ask to restart it", a.File.Path), "--render systemd")
	case a.Image == "":
		return nil, fail.WithHint(fail.Usagef("a static pod needs the image of etcdha"), "--image IMAGE")
	case strings.HasPrefix(a.Listen, unixScheme):
		return nil, fail.Usagef("--listen %s: kubelet probes a pod at host:port", a.Listen)
	}
	container, err := a.container()
	if err != nil {
		return nil, err
	}
	volumes, mounts := a.volumes()
	container["volumeMounts"] = mounts
	manifest, err := yaml.Marshal(object{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata": object{
			"name": "etcdha-follow", "namespace": "kube-system",
			"labels": object{"component": "etcdha-follow", "tier": "control-plane"},
		},
		"spec": object{
			"containers":                    []object{container},
			"hostNetwork":                   true,
			"hostPID":                       true,
			"priorityClassName":             "system-node-critical",
			"tolerations":                   []object{{"operator": "Exists"}},
			"terminationGracePeriodSeconds": int(a.stopGrace().Seconds()),
			"securityContext":               object{"seccompProfile": object{"type": "RuntimeDefault"}},
			"volumes":                       volumes,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("render the pod: %w", err)
	}
	return append([]byte("# Keeps the etcd servers of the kube-apiserver on this node in step with the members of etcd.\n"), manifest...), nil
}

// object is one of YAML; its keys are written in order.
type object map[string]any

func (a *Agent) container() (object, error) {
	capabilities := object{"drop": []string{"ALL"}}
	if add := a.capabilities(); len(add) > 0 {
		capabilities["add"] = add
	}
	c := object{
		"name":    "etcdha-follow",
		"image":   a.Image,
		"command": a.command("etcdha"),
		"resources": object{
			"requests": object{"cpu": "10m", "memory": "32Mi"},
			"limits":   object{"memory": "256Mi"},
		},
		"securityContext": object{
			"runAsUser": 0, "runAsGroup": 0,
			"allowPrivilegeEscalation": false,
			"readOnlyRootFilesystem":   true,
			"capabilities":             capabilities,
			// Where SELinux is on, no other container type may write the manifest.
			"seLinuxOptions": object{"type": "spc_t"},
		},
	}
	if a.Listen == "" {
		return c, nil
	}
	for probe, at := range map[string]string{"livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
		get, err := a.probe(at)
		if err != nil {
			return nil, err
		}
		c[probe] = object{"httpGet": get, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
	}
	return c, nil
}

// probe is how kubelet asks the agent. It does not verify the certificate.
func (a *Agent) probe(at string) (object, error) {
	host, port, err := net.SplitHostPort(a.Listen)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || number == 0 {
		return nil, fail.WithHint(fail.Usagef("--listen %q is no host:port", a.Listen), "for example %s", DefaultListen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return object{"scheme": "HTTPS", "host": host, "port": number, "path": at}, nil
}

// volumes are the directories of the host, at the same paths in the container: what
// the files name is found there.
func (a *Agent) volumes() (volumes, mounts []object) {
	add := func(name, at, kind string, writable bool) {
		volumes = append(volumes, object{"name": name, "hostPath": object{"path": at, "type": kind}})
		mount := object{"name": name, "mountPath": at}
		if !writable {
			mount["readOnly"] = true
		}
		mounts = append(mounts, mount)
	}
	manifests, target := path.Dir(a.File.Path), path.Dir(a.target())
	add("manifests", manifests, "Directory", manifests == target)
	if manifests != target { // where the link leads
		add("target", target, "Directory", true)
	}
	add("copies", a.Copies, "DirectoryOrCreate", true)
	for i, dir := range directories(a.credentials()) {
		add(fmt.Sprintf("certificates-%d", i), dir, "Directory", false)
	}
	if a.Kubeconfig != "" {
		add("kubeconfig", a.Kubeconfig, "File", false)
	}
	return volumes, mounts
}
