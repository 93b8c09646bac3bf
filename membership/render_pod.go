package membership

import (
	"fmt"
	"net"
	"strings"

	"github.com/coreos/go-semver/semver"
	"sigs.k8s.io/yaml"
)

// The manifest is what kubeadm writes for stacked etcd (cmd/kubeadm/app/phases/etcd
// of Kubernetes), so that `kubeadm upgrade` finds what it expects. It is built of
// maps and not of the Kubernetes API types, which are many times its size.
type object = map[string]any

const metricsPort = "2381"

// staticPod is a manifest for the kubelet's manifests directory.
func (n StartedMember) staticPod() (string, error) {
	if len(n.ClientURLs) == 0 || n.Version == "" {
		return "", fmt.Errorf("render the static pod of %s: the leader did not say what it runs", n.Name)
	}
	pod := object{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata": object{
			"name":        "etcd",
			"namespace":   "kube-system",
			"labels":      object{"component": "etcd", "tier": "control-plane"},
			"annotations": object{"kubeadm.kubernetes.io/etcd.advertise-client-urls": n.ClientURLs[0]},
		},
		"spec": object{
			"containers":        []object{n.container()},
			"hostNetwork":       true,
			"priority":          2000001000, // that of the class
			"priorityClassName": "system-node-critical",
			"securityContext":   object{"seccompProfile": object{"type": "RuntimeDefault"}},
			"volumes": []object{
				hostPath("etcd-certs", pki),
				hostPath("etcd-data", n.DataDir),
			},
		},
	}
	text, err := yaml.Marshal(pod)
	if err != nil {
		return "", fmt.Errorf("render the static pod of %s: %w", n.Name, err)
	}
	return n.commented() + "# Compare the image, and flags of your own, with the manifest of another member.\n" + string(text), nil
}

func (n StartedMember) container() object {
	command := []string{"etcd"}
	for _, f := range append(n.flags(), n.podFlags()...) {
		// The kubelet expands $(VAR).
		command = append(command, "--"+f.name+"="+strings.ReplaceAll(f.value, "$(", "$$("))
	}
	return object{
		"name":            "etcd",
		"command":         command,
		"image":           "registry.k8s.io/etcd:" + n.Version + "-0",
		"imagePullPolicy": "IfNotPresent",
		"resources":       object{"requests": object{"cpu": "100m", "memory": "100Mi"}},
		"volumeMounts": []object{
			{"mountPath": n.DataDir, "name": "etcd-data"},
			{"mountPath": pki, "name": "etcd-certs"},
		},
		"livenessProbe":  n.probe("/livez", object{"failureThreshold": 8, "initialDelaySeconds": 10, "periodSeconds": 10}),
		"readinessProbe": n.probe("/readyz", object{"failureThreshold": 3, "periodSeconds": 1}),
		"startupProbe":   n.probe("/readyz", object{"failureThreshold": 24, "initialDelaySeconds": 10, "periodSeconds": 10}),
	}
}

// podFlags are those that kubeadm gives besides. They were experimental before
// etcd 3.6.
func (n StartedMember) podFlags() []flag {
	flags := []flag{
		{"snapshot-count", "10000"},
		{"listen-metrics-urls", "http://" + net.JoinHostPort(n.loopback(), metricsPort)},
	}
	if v, err := semver.NewVersion(n.Version); err == nil && v.LessThan(semver.Version{Major: 3, Minor: 6}) {
		return append(flags, flag{"experimental-initial-corrupt-check", "true"}, flag{"experimental-watch-progress-notify-interval", "5s"})
	}
	return append(flags, flag{"feature-gates", "InitialCorruptCheck=true"}, flag{"watch-progress-notify-interval", "5s"})
}

// probe asks where the metrics are, which needs no certificate.
func (n StartedMember) probe(path string, probe object) object {
	probe["httpGet"] = object{"host": n.loopback(), "path": path, "port": 2381, "scheme": "HTTP"}
	probe["timeoutSeconds"] = 15
	return probe
}

func hostPath(name, path string) object {
	return object{"name": name, "hostPath": object{"path": path, "type": "DirectoryOrCreate"}}
}
