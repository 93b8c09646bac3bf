// Package manifest renders Kubernetes objects that run what a configuration says: a
// daemon on the nodes of the control plane or beside it, or a CronJob for each job.
//
// The file becomes a ConfigMap as it is, and what it refers to is mounted where the file
// says: references stay references, and nothing secret is in what is rendered. In a pod,
// the file is /etc/etcdha/config.yaml, and so
//
//   - secrets/NAME/KEY, relative to it, is key KEY of the Secret NAME;
//   - ${VARIABLE} is key VARIABLE of one Secret that has them all;
//   - any other file or directory is the node's.
//
// What always holds: the same input renders the same bytes; a container has no
// capability and no writable file but its spool and the stores that are directories; it
// is root only where it has to read or write files of the node; and it has no rights in
// Kubernetes, whose API it never asks.
package manifest

import (
	"cmp"
	"regexp"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// Defaults of [Options].
const (
	DefaultName      = "etcdha"
	DefaultNamespace = "kube-system"
	DefaultDBSize    = 2 << 30 // etcd's own quota, if none is set
)

// Kind is what runs a daemon.
type Kind string

// Kinds. A DaemonSet is for a stacked etcd: one pod on each node of the control plane,
// in the network of the node. A Deployment is for an external one: two pods anywhere,
// that take everything from Secrets.
const (
	DaemonSet  Kind = "DaemonSet"
	Deployment Kind = "Deployment"
)

// Options say where and how that runs which is rendered.
type Options struct {
	Name      string // of all objects; default [DefaultName]
	Namespace string // default [DefaultNamespace]
	Image     string // its entry point is etcdha
	// Kind of the daemon; "" is a DaemonSet if the configuration names files,
	// directories or a member of the node, else a Deployment.
	Kind Kind
	// DBSize is that of the largest db that is expected, in bytes. Memory is given
	// by it; default [DefaultDBSize].
	DBSize int64
	// SpoolLimit is how many bytes the spool of a pod may have before kubelet evicts
	// it; 0: as many as the node has.
	SpoolLimit int64
	// ServiceMonitor adds a Service, and what makes the Prometheus operator read it.
	ServiceMonitor bool
}

// Manifest is what was rendered.
type Manifest struct {
	title   string
	prepare []string
	objects []object
}

// Prepare returns the commands that make the Secrets which are referred to, and as comments of a shell what
// else has to be known. What is in Secrets is read from files beside the configuration.
func (m *Manifest) Prepare() []string { return m.prepare }

// Daemon renders a daemon. text is what c was read from. What cannot be run in a pod is a
// usage error.
func Daemon(c *config.File, text []byte, o Options) (*Manifest, error) {
	r, err := newRenderer(c, text, o)
	if err != nil {
		return nil, err
	}
	if err := r.checkKind(); err != nil {
		return nil, err
	}
	objects := append(r.common(), r.daemon())
	if r.o.Kind == Deployment {
		objects = append(objects, r.disruptionBudget())
	}
	if o.ServiceMonitor {
		if err := r.checkMonitor(); err != nil {
			return nil, err
		}
		objects = append(objects, r.service(), r.serviceMonitor())
	}
	return r.manifest("etcdha as a "+string(r.o.Kind), objects), nil
}

// CronJobs renders a CronJob for each job of each cluster that leaves something behind: all but
// defrag and health, which are a daemon's. A schedule that Kubernetes cannot
// express is a usage error.
func CronJobs(c *config.File, text []byte, o Options) (*Manifest, error) {
	r, err := newRenderer(c, text, o)
	if err != nil {
		return nil, err
	}
	objects := r.common()
	before := len(objects)
	for _, cluster := range c.Clusters {
		for _, job := range cluster.Jobs {
			if !inCronJobs(job.Name) {
				continue
			}
			cronJob, err := r.cronJob(cluster, job)
			if err != nil {
				return nil, err
			}
			objects = append(objects, cronJob)
		}
	}
	if len(objects) == before {
		return nil, fail.WithHint(fail.Usagef("%s schedules no job that a CronJob could run", c.Path),
			"for example jobs: {snapshot: {schedule: \"0 * * * *\"}}")
	}
	m := r.manifest("etcdha as CronJobs", objects)
	m.prepare = append(m.prepare, r.apart()...)
	return m, nil
}

// renderer is what the objects of a manifest have in common.
type renderer struct {
	o      Options
	text   []byte
	config *config.File
	needs
	server endpoint
}

func newRenderer(c *config.File, text []byte, o Options) (*renderer, error) {
	o.Name = cmp.Or(o.Name, DefaultName)
	o.Namespace = cmp.Or(o.Namespace, DefaultNamespace)
	o.DBSize = cmp.Or(o.DBSize, DefaultDBSize)
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &renderer{o: o, text: text, config: c}
	var err error
	if r.needs, err = needsOf(c, text); err != nil {
		return nil, err
	}
	r.server, err = endpointOf(c.Server.Listen, r.hostNetwork)
	return r, err
}

// maxName leaves room for a cluster and a job in the name of a CronJob.
const maxName = 25

var label = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

func (o Options) check() error {
	switch {
	case !label.MatchString(o.Name) || len(o.Name) > maxName:
		return fail.Usagef("name %q: at most %d small letters, digits and hyphens, a letter first", o.Name, maxName)
	case !label.MatchString(o.Namespace) || len(o.Namespace) > 63:
		return fail.Usagef("namespace %q: at most 63 small letters, digits and hyphens, a letter first", o.Namespace)
	case o.Image == "":
		return fail.WithHint(fail.Usagef("what is the image of etcdha?"), "--image IMAGE")
	case o.Kind != "" && o.Kind != DaemonSet && o.Kind != Deployment:
		return fail.Usagef("kind %q: %s or %s", o.Kind, DaemonSet, Deployment)
	case o.DBSize < 0 || o.SpoolLimit < 0:
		return fail.Usagef("a size is not negative")
	}
	return nil
}

// checkKind chooses the kind of the daemon, and refuses one that cannot have what the
// configuration names.
func (r *renderer) checkKind() error {
	if r.o.Kind == "" {
		r.o.Kind = Deployment
		if r.onHost() || r.local {
			r.o.Kind = DaemonSet
		}
	}
	if r.o.Kind == DaemonSet || !r.onHost() {
		return nil
	}
	const hint = "a DaemonSet has it, on the nodes of the control plane; or put files at secrets/NAME/KEY beside the configuration: key KEY of the Secret NAME"
	return fail.WithHint(fail.Usagef("a Deployment has not %s, which is the node's", r.ofHost()), hint)
}

// checkMonitor refuses a daemon that Prometheus could not ask.
func (r *renderer) checkMonitor() error {
	if !r.server.public {
		return fail.WithHint(fail.Usagef("nobody can reach server.listen %q from outside of the pod", r.config.Server.Listen),
			"for example listen: :2391, with tokenFile: secrets/NAME/KEY")
	}
	if _, _, ok := r.serverSecret(r.config.Server.TokenFile); !ok {
		return fail.WithHint(fail.Usagef("a ServiceMonitor has no token to ask the daemon with: server.tokenFile %q is no key of a Secret", r.config.Server.TokenFile),
			"for example tokenFile: secrets/etcdha-token/token, beside the clientCAFile if there is one")
	}
	return nil
}

func (r *renderer) manifest(title string, objects []object) *Manifest {
	return &Manifest{title: title, prepare: r.commands(), objects: objects}
}
