package etcdservers

import (
	"regexp"
	"strings"
)

// foreign refuses what belongs to another system, which would write the file anew
// or does not read it, and what is not yet the file that will be read.
func foreign(src *source) error {
	if strings.HasPrefix(src.data, "#!") {
		return src.refuse(1, "is a script", "change the list in it, or where it takes it from, by hand")
	}
	content := uncommented(src.data)
	for _, o := range owners {
		if o.has(src.path, content) {
			return src.refuse(0, o.reason, o.instead)
		}
	}
	switch isGenerated := generated.MatchString(head(src.data)); {
	case isGenerated && looksLikeUnit(src.data):
		return src.refuse(0, "is a generated unit", generatedInstead)
	case isGenerated:
		return src.refuse(0, "is generated, as its first lines say, and what does that would undo the change", "change what it is generated from")
	}
	if templateName.MatchString(src.path) || templateLine.MatchString(content) || placeholder.MatchString(content) ||
		templateMark.MatchString(content) && !looksLikeUnit(src.data) {
		return src.refuse(0, "is a template", "change the values that it is rendered with, and render it")
	}
	return nil
}

// head are the comments that a text begins with.
func head(data string) string {
	var kept strings.Builder
	for line := range strings.Lines(strings.TrimPrefix(data, bom)) {
		text := strings.Trim(line, blank)
		if text != "" && text != "---" && text[0] != '#' && text[0] != ';' {
			break
		}
		kept.WriteString(line)
	}
	return kept.String()
}

// uncommented is a text without the lines that are comments: what they mention
// says nothing about the file.
func uncommented(data string) string {
	var kept strings.Builder
	for line := range strings.Lines(data) {
		if text := strings.TrimLeft(line, blank); text == "" || text[0] != '#' && text[0] != ';' || strings.HasPrefix(line, "#cloud-config") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

const generatedInstead = "change what generates it, or override ExecStart= in a drop-in in /etc"

var (
	generated    = regexp.MustCompile(`(?i)\bdo not (edit|modify|change)\b|\b(auto)?generated (by|from|with|using)\b|\bautomatically generated\b`)
	templateName = regexp.MustCompile(`\.(j2|jinja2?|erb|epp|tmpl|tpl|tftpl|gotmpl|mustache|template)$`)
	// templateLine is a line that only a template has. Units may have {{ }} in
	// arguments, as of docker inspect.
	templateLine = regexp.MustCompile(`(?m)^\s*(\{\{|\{%|<%|%\{)|%\{ *(for|if|else|endfor|endif)\b`)
	templateMark = regexp.MustCompile(`\{\{|\{%|<%`)
	// placeholder stands for a part of the list.
	placeholder = regexp.MustCompile(`(?i:etcd[-_]servers)[^\n]*__[A-Z0-9_]+__`)
)

// owner is a system to which a file belongs, by its path or by its content.
type owner struct {
	path, content   *regexp.Regexp
	also            *regexp.Regexp // must be in the content as well
	reason, instead string
}

// has tells whether the system has the file.
func (o owner) has(path, content string) bool {
	return o.path != nil && o.path.MatchString(path) ||
		o.content != nil && o.content.MatchString(content) && (o.also == nil || o.also.MatchString(content))
}

// topKey matches a line of YAML or JSON that begins with a key.
func topKey(keys string) *regexp.Regexp { return regexp.MustCompile(`(?m)^["']?(` + keys + `)["']?:`) }

// apiGroup matches objects of the API groups.
func apiGroup(groups string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)["']?\bapiVersion["']?:\s*["']?([a-z.-]+\.)?(` + groups + `)/`)
}

// owners are in an order: RKE2 names paths of k3s, and all its own ones count first.
var owners = []owner{
	{
		path:    regexp.MustCompile(`/run/systemd/(generator(\.early|\.late)?|transient)/`),
		reason:  "is a generated unit",
		instead: generatedInstead,
	}, {
		path:    regexp.MustCompile(`^/nix/store/`),
		content: regexp.MustCompile(`(?m)^(ExecStart|Environment)=.*/nix/store/`),
		reason:  "is built by NixOS",
		instead: "change services.kubernetes.apiserver.etcd.servers in the configuration of NixOS, and rebuild",
	}, {
		path:    regexp.MustCompile(`/(var/lib|etc)/rancher/rke2/|/rke2-(server|agent)\.(service|env)$`),
		content: regexp.MustCompile(`(?m)^ExecStart=\S*/rke2\b|^RKE2_[A-Z_]+=|rancher/hardened-kubernetes|/var/lib/rancher/rke2\b`),
		reason:  "belongs to RKE2, which writes the manifests of its control plane itself",
		instead: "let RKE2 do it: the etcd members come and go with its server nodes, and each apiserver uses the one beside it; what can be set is in /etc/rancher/rke2/config.yaml",
	}, {
		path:    regexp.MustCompile(`/(var/lib|etc)/rancher/k3s/|/k3s(-agent)?\.service(\.env)?$`),
		content: regexp.MustCompile(`(?m)^ExecStart=\S*/k3s\b|^K3S_[A-Z_]+=|--datastore-endpoint\b|/k3s($|[\s"'])`),
		reason:  "belongs to k3s, which runs kube-apiserver within its own process",
		instead: "for an external etcd set --datastore-endpoint (datastore-endpoint in /etc/rancher/k3s/config.yaml) and restart k3s; the members of its embedded etcd come and go with its server nodes",
	}, {
		content: topKey(`datastore-endpoint|etcd-arg|kube-apiserver-arg|etcd-snapshot-[a-z-]+`),
		reason:  "is a configuration of k3s or RKE2",
		instead: "for an external etcd change datastore-endpoint by hand and restart the service; the members of the embedded etcd come and go with the server nodes",
	}, {
		path:    regexp.MustCompile(`/var/snap/microk8s/|/snap\.microk8s\.[^/]*$`),
		content: regexp.MustCompile(`/var/snap/microk8s/|\$\{?SNAP_(DATA|COMMON)\b`),
		reason:  "belongs to MicroK8s",
		instead: "change /var/snap/microk8s/current/args/kube-apiserver by hand, then `microk8s stop` and `microk8s start`; with the default datastore, dqlite, nodes come and go by `microk8s join` and `microk8s remove-node`",
	}, {
		path:    regexp.MustCompile(`/var/lib/k0s/|/etc/k0s/|/k0s(controller|worker)\.service$`),
		content: regexp.MustCompile(`(?m)\bapiVersion["']?:\s*["']?[a-z0-9.]*k0sproject\.io/|^ExecStart=\S*/k0s\b`),
		reason:  "belongs to k0s, which starts kube-apiserver itself",
		instead: "for an external etcd change spec.storage.etcd.externalCluster.endpoints in the configuration of k0s and restart it; the members of its own etcd come and go with its controllers (`k0s etcd leave`)",
	}, {
		content: regexp.MustCompile(`(?m)^version: *["']?v1alpha1\b|"version"\s*:\s*"v1alpha1"`),
		also:    regexp.MustCompile(`(?m)^(machine|cluster):|"(machine|cluster)"\s*:`),
		reason:  "is a machine configuration of Talos, which sets the list itself",
		instead: "let Talos do it: the etcd members come and go with the control plane nodes (`talosctl etcd members`, `talosctl reset`)",
	}, {
		content: topKey(`cluster`),
		also:    regexp.MustCompile(`(?m)^ +apiServer:`),
		reason:  "is a patch for a machine configuration of Talos, which sets the list itself",
		instead: "take the list out of the patch, and let Talos set it: the etcd members come and go with the control plane nodes (`talosctl etcd members`, `talosctl reset`)",
	}, {
		content: regexp.MustCompile(`\btalos\.dev/config-version\b`),
		reason:  "belongs to Talos, which writes the manifests of its control plane itself",
		instead: "let Talos do it: the etcd members come and go with the control plane nodes (`talosctl etcd members`, `talosctl reset`)",
	}, {
		path:    regexp.MustCompile(`/etc/kubernetes/static-pod-resources/`),
		content: regexp.MustCompile(`["']?namespace["']?: *["']?openshift-kube-apiserver\b|["']?apiServerArguments["']?:|\bapiVersion["']?: *["']?[a-z.]+\.openshift\.io/`),
		reason:  "belongs to OpenShift, whose operators write it",
		instead: "let the etcd and kube-apiserver operators do it: replace the control plane machine or member by OpenShift's procedure, and the operators roll the list out",
	}, {
		content: regexp.MustCompile(`\bapiVersion["']?: *["']?kops\.k8s\.io/|\bdns\.alpha\.kubernetes\.io/(internal|external)\b`),
		reason:  "belongs to kOps, which writes the manifests of its nodes at every boot",
		instead: "change the cluster by `kops edit cluster`, `kops update cluster --yes` and `kops rolling-update cluster --yes`",
	}, {
		content: apiGroup(`gardener\.cloud`),
		reason:  "belongs to Gardener",
		instead: "let Gardener do it: it runs the control plane of a shoot in its seed cluster, and etcd-druid its etcd",
	}, {
		content: apiGroup(`cluster\.x-k8s\.io`),
		reason:  "belongs to Cluster API",
		instead: "for an external etcd change spec.kubeadmConfigSpec.clusterConfiguration.etcd.external.endpoints of the KubeadmControlPlane in the management cluster, which replaces the machines; stacked members come and go with them",
	}, {
		content: topKey(`services`),
		also:    regexp.MustCompile(`(?m)^ +kube-api:`),
		reason:  "is a cluster.yml of RKE",
		instead: "change nodes, or services.etcd.external_urls, in it by hand and run `rke up`",
	}, {
		path:    regexp.MustCompile(`/(group_vars|host_vars)/`),
		content: topKey(`etcd_access_addresses|etcd_deployment_type|etcd_hosts|kube_apiserver_[a-z_]+`),
		reason:  "holds variables of Ansible, as Kubespray has them",
		instead: "change the inventory and run the playbook that adds or removes the node; afterwards `etcdha apiserver show --file` tells what it has written",
	}, {
		content: topKey(`services`),
		also:    regexp.MustCompile(`(?m)^ +image:`),
		reason:  "is a file of Docker Compose",
		instead: "change it by hand and run `docker compose up -d`, on one host after the other",
	}, {
		content: regexp.MustCompile(`(?m)^#cloud-config\b|^variant: *["']?(fcos|flatcar|openshift)\b|^\s*\{?\s*"ignition" *: *\{`),
		reason:  "says how a machine is set up (cloud-init, Butane or Ignition), and is not read again",
		instead: "change the file on the machine, and this one by hand for machines to come",
	},
}
