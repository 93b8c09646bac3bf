package manifest

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
)

// user is who a container is that needs no file of the node: nobody whom an image or
// the node knows.
const user = 65532

// grace is how long kubelet waits for a pod that ends, in seconds: what a daemon takes at most, and a margin for
// the members of a rehearsal that have to end. TimeoutStopSec of the service of systemd is the same.
const (
	graceOfRuns   = 30 // --grace
	records       = 10 // of runs that were broken off, in slow stores
	release       = 5  // of the locks of elections
	notifications = 5  // that still wait
	margin        = 10

	grace = graceOfRuns + records + release + notifications + margin
)

// labels are those of all objects. component is "" for what everything shares.
func (r *renderer) labels(component string) object {
	l := object{{"app.kubernetes.io/name", "etcdha"}, {"app.kubernetes.io/instance", r.o.Name}}
	if component != "" {
		l = append(l, field{"app.kubernetes.io/component", component})
	}
	return l
}

func (r *renderer) metadata(name, component string) object {
	return object{{"name", name}, {"namespace", r.o.Namespace}, {"labels", r.labels(component)}}
}

// common is what a daemon and CronJobs have in common.
func (r *renderer) common() []object {
	return []object{
		{
			{"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", r.metadata(r.o.Name, "")},
			{"automountServiceAccountToken", because{"etcdha asks etcd and stores, never the API of Kubernetes: no role is bound, and no token is mounted.", false}},
		},
		{
			{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", r.metadata(r.o.Name, "")},
			{"data", object{{configName, string(r.text)}}},
		},
	}
}

// pod is the specification of a pod with one container, pinned to the nodes of the control plane or not.
func (r *renderer) pod(pinned bool, container object) object {
	p := object{
		{"serviceAccountName", r.o.Name},
		{"automountServiceAccountToken", false},
		{"enableServiceLinks", false},
		{"priorityClassName", because{"A cluster that is full needs its backups no less.", "system-cluster-critical"}},
		{"terminationGracePeriodSeconds", because{"Runs get 30 s to come to their end; then records are written, locks given back, and webhooks told.", grace}},
	}
	if r.hostNetwork {
		p = append(p,
			field{"hostNetwork", because{"The member of the node is reached on loopback.", true}},
			field{"dnsPolicy", because{"The node's: the DNS of the cluster may be gone when etcd is.", "Default"}})
	}
	if pinned {
		p = append(p,
			field{"nodeSelector", object{{"node-role.kubernetes.io/control-plane", ""}}},
			field{"tolerations", []object{{{"key", "node-role.kubernetes.io/control-plane"}, {"operator", "Exists"}}}})
	}
	return append(p,
		field{"securityContext", r.podSecurity()},
		field{"containers", []object{container}},
		field{"volumes", r.volumes()})
}

func (r *renderer) podSecurity() object {
	seccomp := field{"seccompProfile", object{{"type", "RuntimeDefault"}}}
	if r.hostFiles() {
		why := "The keys of etcd are root's, with mode 0600. Root without capabilities reads what is its own, and nothing else."
		if len(r.readable) == 0 {
			why = "The directory of backups is root's."
		}
		return object{{"runAsUser", because{why, 0}}, {"runAsGroup", 0}, seccomp}
	}
	return object{
		{"runAsNonRoot", true}, {"runAsUser", user}, {"runAsGroup", user},
		{"fsGroup", because{"Files of Secrets are readable by this group.", user}}, seccomp,
	}
}

func (r *renderer) container(args []string, memory memory) object {
	c := object{
		{"name", "etcdha"}, {"image", r.o.Image},
		{"args", args},
		{"env", r.environment()},
		{"resources", memory.resources()},
		{"securityContext", object{
			{"allowPrivilegeEscalation", false}, {"readOnlyRootFilesystem", true},
			{"capabilities", object{{"drop", []string{"ALL"}}}},
		}},
	}
	return append(c, field{"volumeMounts", r.mounts()})
}

func (r *renderer) environment() any {
	var env []object
	for _, name := range r.variables {
		env = append(env, object{{"name", name}, {"valueFrom", object{
			{"secretKeyRef", object{{"name", r.envSecret()}, {"key", name}}}}}})
	}
	if r.spool != defaultSpool {
		env = append(env, object{{"name", "TMPDIR"}, {"value", r.spool}})
	}
	if env == nil {
		return nil
	}
	return env
}

// volumes are the configuration with the Secrets that it names, the spool, and directories of the
// node, at the same paths in the pod.
func (r *renderer) volumes() []object {
	mode, spool := octal(0o440), object{}
	if r.hostFiles() {
		mode = octal(0o400)
	}
	if r.o.SpoolLimit > 0 {
		spool = append(spool, field{"sizeLimit", quantity(r.o.SpoolLimit)})
	}
	sources := []object{{{"configMap", object{
		{"name", r.o.Name}, {"items", []object{{{"key", configName}, {"path", configName}}}},
	}}}}
	for _, s := range r.secrets {
		var items []object
		for _, key := range s.keys {
			items = append(items, object{{"key", key}, {"path", "secrets/" + s.name + "/" + key}})
		}
		sources = append(sources, object{{"secret", object{{"name", s.name}, {"items", items}}}})
	}
	list := []object{
		{{"name", "config"}, {"projected", object{{"defaultMode", mode}, {"sources", sources}}}},
		{{"name", "spool"}, {"emptyDir", spool}},
	}
	for i, dir := range slices.Concat(r.readable, r.writable) {
		kind := any("Directory")
		if i >= len(r.readable) {
			kind = because{"Not made if it is missing: it may be where a disk is mounted.", kind}
		}
		list = append(list, object{{"name", hostVolume(i)}, {"hostPath", object{{"path", dir}, {"type", kind}}}})
	}
	return list
}

func (r *renderer) mounts() []object {
	list := []object{
		{{"name", "config"}, {"mountPath", configDir}, {"readOnly", true}},
		{{"name", "spool"}, {"mountPath", r.spool}},
	}
	for i, dir := range slices.Concat(r.readable, r.writable) {
		mount := object{{"name", hostVolume(i)}, {"mountPath", dir}}
		if i < len(r.readable) {
			mount = append(mount, field{"readOnly", true})
		}
		list = append(list, mount)
	}
	return list
}

// quantity is a number of bytes as Kubernetes has it.
func quantity(n int64) string {
	switch {
	case n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + "Gi"
	case n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "Mi"
	}
	return strconv.FormatInt(n, 10)
}

func hostVolume(i int) string { return fmt.Sprintf("host-%d", i) }

// endpoint is where kubelet and Prometheus find the daemon's server. A port of 0 is nowhere.
type endpoint struct {
	host string // for kubelet; "" is the address of the pod
	port int
	// public tells whether it can be reached from other hosts.
	public bool
}

func endpointOf(listen string, hostNetwork bool) (endpoint, error) {
	if listen == "" {
		return endpoint{}, nil
	}
	const hint = "for example 127.0.0.1:2391, or :2391 with a tokenFile"
	if strings.HasPrefix(listen, "unix:") {
		return endpoint{}, fail.WithHint(fail.Usagef("server.listen %q: nobody can reach a socket in a pod", listen), hint)
	}
	host, port, err := net.SplitHostPort(listen)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || number == 0 {
		return endpoint{}, fail.WithHint(fail.Usagef("server.listen %q is no host:port", listen), hint)
	}
	switch {
	case !loopback(host):
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = ""
		}
		return endpoint{host: host, port: int(number), public: true}, nil
	case hostNetwork:
		return endpoint{host: host, port: int(number)}, nil
	}
	return endpoint{}, nil // kubelet is on another loopback
}
