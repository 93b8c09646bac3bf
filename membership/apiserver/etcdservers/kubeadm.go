package etcdservers

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configKey is the kind of kubeadm's configuration of a cluster, and its name in
// the ConfigMap kubeadm-config of the namespace kube-system.
const configKey = "ClusterConfiguration"

// kubeadmVersions are those of kubeadm.k8s.io that are known.
var kubeadmVersions = []string{"v1beta2", "v1beta3", "v1beta4"}

// ReadKubeadm finds the endpoints of an external etcd in kubeadm's
// ClusterConfiguration, read from bytes: a file of kubeadm, or its ConfigMap as
// kubectl prints it, in YAML or JSON. The path is only for messages. The error is
// a [*Refusal]; it is an [ErrNotFound] as well if etcd is stacked, so that there is
// nothing to change.
func ReadKubeadm(path string, data []byte) (*File, error) {
	src := &source{path: path, data: string(data)}
	docs, err := parseYAML(src)
	if err != nil {
		return nil, src.refuse(0, err.Error(), "put the file in order first")
	}
	f, err := readClusterConfiguration(src, docs)
	if err != nil {
		return nil, err
	}
	f.again = func(changed fs.FS) (*File, error) { return ReadKubeadm(path, changed.(overlay).data) }
	return f, nil
}

// isKubeadm tells whether a document is the configuration, or a ConfigMap with it.
func (d *document) isKubeadm() bool {
	group, _, _ := strings.Cut(d.text("apiVersion"), "/")
	return d.text("kind") == configKey && group == "kubeadm.k8s.io" || d.inConfigMap()
}

func (d *document) inConfigMap() bool {
	return d.text("kind") == "ConfigMap" && d.text("data", configKey) != ""
}

// readClusterConfiguration reads the one configuration among documents.
func readClusterConfiguration(src *source, docs []*document) (*File, error) {
	docs = slices.DeleteFunc(slices.Clone(docs), func(d *document) bool { return !d.isKubeadm() })
	switch {
	case len(docs) == 0:
		return nil, fmt.Errorf("%s: there is no %s of kubeadm: %w", src.path, configKey, ErrNotFound)
	case len(docs) > 1:
		return nil, src.refuse(0, "holds several "+configKey+"s", "leave the one that kubeadm is to use")
	case !docs[0].inConfigMap():
		return docs[0].readConfiguration("")
	}
	text, err := docs[0].scalar(field(docs[0].root, "data", configKey))
	if err != nil {
		return nil, src.refuse(0, err.Error(), "edit it by hand")
	}
	inner := &source{path: src.path, data: text.text, in: text.view}
	innerDocs, err := parseYAML(inner)
	if err != nil {
		return nil, src.refuse(text.line(), "its "+configKey+" "+err.Error(), "put it in order first")
	}
	for _, d := range innerDocs {
		if d.isKubeadm() && !d.inConfigMap() {
			return d.readConfiguration(", in data." + configKey)
		}
	}
	return nil, src.refuse(text.line(), "its "+configKey+" is not one of kubeadm.k8s.io", "edit it by hand")
}

// readConfiguration reads one configuration. where says in what it stands.
func (d *document) readConfiguration(where string) (*File, error) {
	if err := d.checkConfiguration(); err != nil {
		return nil, err
	}
	lists, err := d.readEndpoints(field(d.root, "etcd", "external"))
	if err != nil {
		return nil, err
	}
	list := lists[0]
	file := d.src
	for len(file.in.from) > 0 {
		file = file.in.from[0].src
	}
	return &File{
		Path: d.src.path, Form: KubeadmConfig, Flag: ExternalEndpoints,
		Where:   fmt.Sprintf("line %d%s", list.line(), where),
		Servers: list.servers(), data: []byte(file.data),
		recheck: recheckEndpoints,
		rewrite: func(servers []string) ([]edit, error) {
			var edits []edit
			for _, l := range lists {
				e, err := l.rewrite(servers)
				if err != nil {
					return nil, err
				}
				edits = append(edits, e...)
			}
			return edits, nil
		},
	}, nil
}

// checkConfiguration refuses a configuration that kubeadm's endpoints are not the
// list of, or that is not known.
func (d *document) checkConfiguration() error {
	_, version, _ := strings.Cut(d.text("apiVersion"), "/")
	if !slices.Contains(kubeadmVersions, version) {
		return d.refuse(d.root, "is of version "+version+", which is not known", "bring it up to date with `kubeadm config migrate`")
	}
	if n := d.extraArg(); n != nil {
		return d.refuse(n, "apiServer.extraArgs sets etcd-servers, which overrides "+ExternalEndpoints,
			"take it out there, or change it by hand")
	}
	if field(d.root, "etcd", "external") == nil {
		refusal := d.refuse(d.root, "etcd is stacked: kubeadm points each apiserver at the member on its own host, and keeps no list",
			"leave it as it is; `etcd.external` takes a list once the control plane is to use an external etcd")
		refusal.stacked = true
		return refusal
	}
	return nil
}

// readEndpoints reads the endpoints, and the copy of them that kubeadm itself
// adds since v1.36: httpEndpoints, by which `kubeadm upgrade` asks for etcd's
// version. They are changed together.
func (d *document) readEndpoints(external *yaml.Node) ([]*list, error) {
	const instead = "write it as a list of URLs, one a line"
	l, err := d.readList(field(external, "endpoints"))
	if err != nil {
		return nil, d.refuse(external, ExternalEndpoints+" "+err.Error(), instead)
	}
	if err := d.src.checkServers(l.line(), l.servers()); err != nil {
		return nil, err
	}
	node := field(external, "httpEndpoints")
	if len(items(node)) == 0 {
		return []*list{l}, nil
	}
	http, err := d.readList(node)
	if err != nil {
		return nil, d.refuse(node, "etcd.external.httpEndpoints "+err.Error(), instead)
	}
	if !slices.Equal(http.servers(), l.servers()) {
		return nil, d.refuse(node, "etcd.external.httpEndpoints has other URLs than "+ExternalEndpoints+", which no member tells",
			"change both lists by hand")
	}
	return []*list{l, http}, nil
}

// extraArg is the flag among the extra arguments of the apiserver, if it is: a map
// up to v1beta3, a list since v1beta4.
func (d *document) extraArg() *yaml.Node {
	extra := field(d.root, "apiServer", "extraArgs")
	if n := field(extra, strings.TrimPrefix(FlagName, "--")); n != nil {
		return n
	}
	for _, item := range items(extra) {
		if "--"+textOf(field(item, "name")) == FlagName {
			return item
		}
	}
	return nil
}

// refuse is a refusal of the file, at a node of the document.
func (d *document) refuse(n *yaml.Node, reason, instead string) *Refusal {
	line := n.Line
	if len(d.src.in.from) > 0 {
		line = 0
		if at, err := d.offset(n); err == nil && at < len(d.src.data) {
			line = d.src.in.slice(at, at+1).line()
		}
	}
	return d.src.refuse(line, reason, instead)
}
