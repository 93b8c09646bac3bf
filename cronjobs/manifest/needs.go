package manifest

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// Where a pod has its configuration, and its spool if the configuration has none.
const (
	configDir    = "/etc/etcdha"
	configName   = "config.yaml"
	defaultSpool = "/tmp" // what os.TempDir says in a pod
)

// needs are what a configuration wants to be in its pod.
type needs struct {
	variables   []string // of the environment
	secrets     []secret // by name
	readable    []string // directories of the node, to be read
	writable    []string // directories of the node that are stores
	spool       string
	hostNetwork bool // something listens on loopback
	local       bool // there is a member on the node
}

// secret is a Secret, and the keys of it that are files.
type secret struct {
	name string
	keys []string
}

// onHost tells whether a pod has to be on a certain node to have what it needs.
func (n needs) onHost() bool { return n.hostNetwork || n.hostFiles() }

func (n needs) hostFiles() bool { return len(n.readable)+len(n.writable) > 0 }

// ofHost names something of the node that is needed.
func (n needs) ofHost() string {
	for _, dir := range slices.Concat(n.readable, n.writable) {
		return dir
	}
	return "127.0.0.1"
}

func needsOf(c *config.File, text []byte) (needs, error) {
	n := needs{spool: defaultSpool}
	if c.SpoolDir != "" {
		n.spool = inPod(c, text, c.SpoolDir)
	}
	secrets := map[string][]string{}
	for _, file := range n.references(c) {
		file = inPod(c, text, file)
		if name, key, ok := keyOfSecret(file); ok {
			secrets[name] = append(secrets[name], key)
		} else if err := checkDirectory(file, path.Dir(file), n.spool); err != nil {
			return n, err
		} else {
			n.readable = append(n.readable, path.Dir(file))
		}
	}
	n.readable = outermost(n.readable)
	for name, keys := range secrets {
		n.secrets = append(n.secrets, secret{name, sorted(keys)})
	}
	slices.SortFunc(n.secrets, func(a, b secret) int { return strings.Compare(a.name, b.name) })
	return n, n.ofClusters(c, text)
}

// references are the files that have to be there; the variables are kept at once. The etcd of a
// rehearsal is a program, which comes with the image.
func (n *needs) references(c *config.File) []string {
	programs := map[string]bool{}
	for _, cluster := range c.Clusters {
		programs[cluster.Rehearsal.Etcd] = true
	}
	var files []string
	for _, r := range c.References() {
		switch {
		case r.Kind == config.Variable:
			n.variables = append(n.variables, r.Name)
		case !programs[r.Name]:
			files = append(files, r.Name)
		}
	}
	for _, s := range c.Stores {
		if u, err := url.Parse(s.URL); err == nil && u.Query().Has("ca-file") {
			files = append(files, u.Query().Get("ca-file"))
		}
	}
	n.variables = sorted(n.variables)
	return sorted(files)
}

// ofClusters learns what endpoints and stores want.
func (n *needs) ofClusters(c *config.File, text []byte) error {
	for _, cluster := range c.Clusters {
		n.local = n.local || cluster.Local != ""
		n.hostNetwork = n.hostNetwork || slices.ContainsFunc(append(slices.Clone(cluster.Endpoints), cluster.Local), onLoopback)
		for _, store := range cluster.Stores {
			// One that is a variable has to be a bucket: nobody knows what to mount for it.
			if strings.HasPrefix(store.URL, "s3://") || strings.Contains(store.URL, config.Placeholder) {
				continue
			}
			dir := inPod(c, text, strings.TrimPrefix(store.URL, "file://"))
			if err := checkDirectory(dir, dir, n.spool); err != nil {
				return err
			}
			n.writable = append(n.writable, dir)
		}
	}
	n.writable = sorted(n.writable)
	return nil
}

// inPod is a path as the pod sees it. What the configuration names in full is the same there; any
// other is relative to the configuration.
func inPod(c *config.File, text []byte, name string) string {
	rel, err := filepath.Rel(filepath.Dir(c.Path), name)
	if err != nil || filepath.IsAbs(name) && inFull(text, name, rel) {
		return path.Clean(name)
	}
	return path.Join(configDir, filepath.ToSlash(rel))
}

// inFull tells whether the text names an absolute path as such, and not by one that is relative to
// its own directory here.
func inFull(text []byte, name, rel string) bool {
	outside := strings.HasPrefix(rel, "../") && !bytes.Contains(text, []byte("../"))
	return outside || bytes.Contains(text, []byte(name))
}

var secretKey = regexp.MustCompile(`^` + configDir + `/secrets/([a-z0-9][-.a-z0-9]*)/([-._a-zA-Z0-9]+)$`)

// keyOfSecret says which key of which Secret a file is.
func keyOfSecret(file string) (name, key string, ok bool) {
	m := secretKey.FindStringSubmatch(file)
	if m == nil || strings.HasPrefix(m[2], "..") {
		return "", "", false
	}
	return m[1], m[2], true
}

// checkDirectory refuses a directory of the node that would hide a part of the pod, or that
// the pod has already.
func checkDirectory(file, dir, spool string) error {
	const hint = "files of Secrets are at secrets/NAME/KEY beside the configuration, those of the node in a directory of their own"
	for _, own := range []string{configDir, spool, "/proc", "/dev", "/sys"} {
		if within(dir, own) || within(own, dir) {
			return fail.WithHint(fail.Usagef("%s: %s cannot be mounted into a pod, which has its own %s", file, dir, own), hint)
		}
	}
	return nil
}

// within tells whether name is dir or below it.
func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// outermost leaves out what lies in another of them.
func outermost(dirs []string) []string {
	var out []string
	for _, dir := range sorted(dirs) {
		if !slices.ContainsFunc(out, func(o string) bool { return within(dir, o) }) {
			out = append(out, dir)
		}
	}
	return out
}

func sorted(list []string) []string {
	list = slices.Sorted(slices.Values(list))
	return slices.Compact(list)
}

func onLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && loopback(u.Hostname())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// commands make the Secrets. Values are read from files, so that no shell keeps them.
func (r *renderer) commands() []string {
	create := "kubectl -n " + r.o.Namespace + " create secret generic "
	var list []string
	if len(r.variables) > 0 {
		list = append(list, fmt.Sprintf("%s%s --from-env-file=%s.env  # lines NAME=VALUE: %s",
			create, r.envSecret(), r.o.Name, strings.Join(r.variables, ", ")))
	}
	for _, s := range r.secrets {
		line := create + s.name
		for _, key := range s.keys {
			line += " --from-file=secrets/" + s.name + "/" + key
		}
		list = append(list, line)
	}
	return list
}

// apart warns of stores that are directories: each run of a CronJob finds those of the node where
// its pod is. With a single node of the control plane that is right.
func (r *renderer) apart() []string {
	var list []string
	for _, dir := range r.writable {
		list = append(list, "# "+dir+" is the directory of each node: with several nodes of the control plane, backups are spread over them, and each run sees, verifies and prunes those of its own; mount a network file system there, or use S3")
	}
	return list
}

// envSecret is the Secret that has the variables.
func (r *renderer) envSecret() string { return r.o.Name + "-env" }
