package apiserver

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// Agent is what an agent is installed with, on the host that it is rendered for.
type Agent struct {
	FS   fs.FS             // the root of the host
	File *etcdservers.File // that the agent keeps
	// Follow is what it was asked for: a unit, the list of which may stand in
	// another file.
	Follow string
	// Image is the container image of etcdha, Binary the path of its program: a pod
	// needs the one, a unit the other.
	Image, Binary string
	Listen        string        // see [Follower.Listen]; "" for none
	Copies        string        // the directory for copies
	Kubeconfig    string        // "" for none
	Timeout       time.Duration // see [Site]; default: DefaultTimeout
	Args          []string      // more flags of "apiserver follow"
}

// stopGrace is how long an agent that is stopped may take: a rewiring ends by
// putting the old file back, restarts the apiserver with it and waits until that is
// ready. One that is killed leaves that to the next start.
func (a *Agent) stopGrace() time.Duration {
	timeout := cmp.Or(a.Timeout, DefaultTimeout)
	return writeTime + timeout + (timeout + lastGrace)
}

// check refuses an agent for what runs no apiserver.
func (a *Agent) check() error {
	if a.File.Form == etcdservers.KubeadmConfig {
		return fail.WithHint(fail.Usagef("%s runs no apiserver", a.File.Path), "give the manifest or the unit of the apiserver as --file")
	}
	return nil
}

// command is the command line of the agent, its own name first.
func (a *Agent) command(name string) []string {
	line := []string{name, "apiserver", "follow", "--file=" + a.Follow, "--copies=" + a.Copies, "--listen=" + a.Listen}
	if a.Timeout != 0 {
		line = append(line, "--timeout="+a.Timeout.String())
	}
	if a.Kubeconfig != "" {
		line = append(line, "--kubeconfig="+a.Kubeconfig)
	}
	return append(line, a.Args...)
}

// maxLinks ends a circle of links, as in the kernel.
const maxLinks = 40

// target is where the file lies that is written: that of the apiserver may be a link.
func (a *Agent) target() string {
	name := a.File.Path
	for range maxLinks {
		to, err := fs.ReadLink(a.FS, strings.TrimPrefix(name, "/"))
		if err != nil {
			return name // it is no link
		}
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(name), to)
		}
		name = path.Clean(to)
	}
	return name
}

// pkiFlags name the files that an agent reads: with them it asks etcd and the
// apiservers, and answers itself.
var pkiFlags = []string{
	"--etcd-cafile", "--etcd-certfile", "--etcd-keyfile",
	"--tls-cert-file", "--tls-private-key-file", "--client-ca-file",
	"--kubelet-certificate-authority", "--kubelet-client-certificate", "--kubelet-client-key",
}

// credentials are those files, where they lie on the host.
func (a *Agent) credentials() []string {
	var names []string
	for _, flag := range pkiFlags {
		if name, ok := a.File.Value(flag); ok && path.IsAbs(name) {
			names = append(names, path.Clean(a.File.HostPath(name)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// directories are those of files, without those that lie in another of them.
func directories(names []string) []string {
	var dirs []string
	for _, name := range names {
		dirs = append(dirs, path.Dir(name))
	}
	slices.Sort(dirs)
	var outer []string
	for _, dir := range dirs {
		if !slices.ContainsFunc(outer, func(o string) bool { return dir == o || strings.HasPrefix(dir, o+"/") }) {
			outer = append(outer, dir)
		}
	}
	return outer
}

// capabilities are those that root needs where files are not root's: to write
// there, and to give the new file its owner and mode. Without them root has the
// rights of any owner. To read command lines in /proc takes none.
func (a *Agent) capabilities() []string {
	names := append(a.credentials(), a.target(), path.Dir(a.target()))
	if a.Kubeconfig != "" {
		names = append(names, a.Kubeconfig)
	}
	for _, name := range names {
		info, err := fs.Stat(a.FS, strings.TrimPrefix(name, "/"))
		if err != nil {
			continue // it may come with the apiserver
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && (owner.Uid != 0 || owner.Gid != 0) {
			return []string{"CHOWN", "DAC_OVERRIDE", "FOWNER"}
		}
	}
	return nil
}
