package etcdservers

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	manifests     = "/etc/kubernetes/manifests"
	kubeletConfig = "/var/lib/kubelet/config.yaml"
)

// unitNames are the services that run kube-apiserver, and those of systems that
// run it within themselves.
var unitNames = []string{
	"kube-apiserver.service", "kubernetes-apiserver.service",
	"k3s.service", "rke2-server.service", "k0scontroller.service",
	"snap.microk8s.daemon-apiserver.service", "snap.microk8s.daemon-kubelite.service",
}

// foreignFiles are where other systems have their apiserver's flags.
var foreignFiles = []string{
	"/etc/rancher/k3s/config.yaml",
	"/etc/rancher/rke2/config.yaml",
	"/var/lib/rancher/rke2/agent/pod-manifests/kube-apiserver.yaml",
	"/var/snap/microk8s/current/args/kube-apiserver",
	"/etc/k0s/k0s.yaml",
}

// Find returns the files, absolute and sorted, in which the host whose root is fsys
// may have its apiserver: manifests that run kube-apiserver, its unit, and what
// belongs to other systems, so that [Read] says how those want it. The caller
// decides what to do about more than one.
func Find(fsys fs.FS) ([]string, error) {
	dirs := []string{manifests}
	if dir := staticPodPath(fsys); dir != "" && path.Clean(dir) != manifests {
		dirs = append(dirs, path.Clean(dir))
	}
	var found []string
	for _, dir := range dirs {
		more, err := findManifests(fsys, dir)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	for _, name := range unitNames {
		where := hierarchyOf(fsys, unitDirs[0])
		if unit, ok := where.find(name); ok && !where.masked(unit) {
			found = append(found, unit)
		}
	}
	for _, name := range foreignFiles {
		if info, err := fs.Stat(fsys, inside(name)); err == nil && info.Mode().IsRegular() {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// staticPodPath is where kubelet looks for manifests; "" if its configuration does
// not say.
func staticPodPath(fsys fs.FS) string {
	var config struct {
		StaticPodPath string `yaml:"staticPodPath"`
	}
	data, err := readFile(fsys, kubeletConfig)
	if err != nil || yaml.Unmarshal(data, &config) != nil || !path.IsAbs(config.StaticPodPath) {
		return ""
	}
	return config.StaticPodPath
}

// findManifests returns the manifests of kube-apiserver in a directory. As kubelet
// does, it leaves out names that begin with a dot, and directories. A single file
// may stand for the directory.
func findManifests(fsys fs.FS, dir string) ([]string, error) {
	info, err := fs.Stat(fsys, inside(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := []string{dir}
	if info.IsDir() {
		entries, err := fs.ReadDir(fsys, inside(dir))
		if err != nil {
			return nil, err
		}
		names = nil
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
				names = append(names, path.Join(dir, e.Name()))
			}
		}
	}
	var found []string
	for _, name := range names {
		if data, err := readFile(fsys, name); err == nil && isManifest(string(data)) {
			found = append(found, name)
		}
	}
	return found, nil
}

// isManifest tells a manifest of kube-apiserver roughly; [Read] looks closer.
func isManifest(data string) bool {
	return mentionsFlag(data) || strings.Contains(data, "- kube-apiserver\n") || strings.Contains(data, `"kube-apiserver"`)
}
