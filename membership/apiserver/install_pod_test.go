package apiserver

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// agentFor is the agent for a file of a host whose files all are root's.
func agentFor(t *testing.T, files fstest.MapFS, name string) *Agent {
	t.Helper()
	for _, f := range files {
		f.Sys = &syscall.Stat_t{}
	}
	f, err := etcdservers.Read(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return &Agent{
		FS: files, File: f, Follow: name, Image: "registry.example.com/etcdha:v1", Binary: "/bin/true",
		Listen: DefaultListen, Copies: DefaultCopies,
	}
}

func podAgent(t *testing.T) *Agent {
	return agentFor(t, newFollowed(t).files, followedFile)
}

// pod is what kubelet reads of a manifest, as far as it matters here.
type pod struct {
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		HostNetwork, HostPID          bool
		PriorityClassName             string
		TerminationGracePeriodSeconds int
		Tolerations                   []struct{ Operator string }
		Containers                    []struct {
			Command       []string
			Image         string
			LivenessProbe *struct {
				HTTPGet struct {
					Scheme, Host, Path string
					Port               int
				}
			}
			SecurityContext struct {
				ReadOnlyRootFilesystem   bool
				AllowPrivilegeEscalation *bool
				Capabilities             struct{ Add, Drop []string }
			}
			VolumeMounts []struct {
				Name, MountPath string
				ReadOnly        bool
			}
		}
		Volumes []struct {
			Name     string
			HostPath struct{ Path, Type string }
		}
	}
}

func renderPod(t *testing.T, a *Agent) pod {
	t.Helper()
	data, err := a.StaticPod()
	if err != nil {
		t.Fatal(err)
	}
	var p pod
	if err := yaml.Unmarshal(data, &p); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return p
}

func TestAStaticPodSeesTheHostAndWritesTwoDirectories(t *testing.T) {
	p := renderPod(t, podAgent(t))
	s, c := p.Spec, p.Spec.Containers[0]
	if !s.HostNetwork || !s.HostPID || s.PriorityClassName != "system-node-critical" || s.Tolerations[0].Operator != "Exists" ||
		s.TerminationGracePeriodSeconds < int(DefaultTimeout.Seconds()) || p.Metadata.Namespace != "kube-system" {
		t.Errorf("pod: %+v", p)
	}
	want := []string{"etcdha", "apiserver", "follow", "--file=" + followedFile, "--copies=/var/lib/etcdha/apiserver", "--listen=127.0.0.1:8383"}
	if !slices.Equal(c.Command, want) || c.Image != "registry.example.com/etcdha:v1" {
		t.Errorf("it runs %v in %s", c.Command, c.Image)
	}
	if get := c.LivenessProbe.HTTPGet; get.Scheme != "HTTPS" || get.Host != "127.0.0.1" || get.Port != 8383 || get.Path != "/healthz" {
		t.Errorf("probe: %+v", get)
	}
	if sc := c.SecurityContext; !sc.ReadOnlyRootFilesystem || *sc.AllowPrivilegeEscalation ||
		!slices.Equal(sc.Capabilities.Drop, []string{"ALL"}) || len(sc.Capabilities.Add) > 0 {
		t.Errorf("security: %+v", sc)
	}
	var mounts []string
	for i, m := range c.VolumeMounts {
		volume := s.Volumes[i]
		if volume.Name != m.Name || volume.HostPath.Path != m.MountPath {
			t.Errorf("%+v is mounted as %+v", volume, m)
		}
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		mounts = append(mounts, m.MountPath+" "+mode+" "+volume.HostPath.Type)
	}
	if want := []string{
		"/etc/kubernetes/manifests rw Directory", "/var/lib/etcdha/apiserver rw DirectoryOrCreate", "/etc/kubernetes/pki ro Directory",
	}; !slices.Equal(mounts, want) {
		t.Errorf("mounts: %q", mounts)
	}
}

// Its own manifest lies beside that of the apiserver, and must not be taken for one.
func TestTheAgentsManifestIsNoApiserver(t *testing.T) {
	a := podAgent(t)
	data, err := a.StaticPod()
	if err != nil {
		t.Fatal(err)
	}
	files := a.FS.(fstest.MapFS)
	files["etc/kubernetes/manifests/etcdha-follow.yaml"] = &fstest.MapFile{Data: data}
	if _, err := etcdservers.Read(files, "/etc/kubernetes/manifests/etcdha-follow.yaml"); !errors.Is(err, etcdservers.ErrNotFound) {
		t.Errorf("Read: %v", err)
	}
	if found, err := etcdservers.Find(files); !slices.Equal(found, []string{followedFile}) {
		t.Errorf("Find: %v, %v", found, err)
	}
}

func TestWhatAPodIsGivenBeyondThat(t *testing.T) {
	a := podAgent(t)
	a.FS.(fstest.MapFS)[followedFile[1:]].Sys = &syscall.Stat_t{Uid: 1000}
	a.Kubeconfig, a.Listen, a.Args = "/etc/kubernetes/admin.conf", "0.0.0.0:9000", []string{"--settle=1m0s"}
	p := renderPod(t, a)
	c := p.Spec.Containers[0]
	if add := c.SecurityContext.Capabilities.Add; !slices.Equal(add, []string{"CHOWN", "DAC_OVERRIDE", "FOWNER"}) {
		t.Errorf("capabilities: %v", add)
	}
	if !slices.Contains(c.Command, "--kubeconfig=/etc/kubernetes/admin.conf") || !slices.Contains(c.Command, "--settle=1m0s") {
		t.Errorf("it runs %v", c.Command)
	}
	if last := p.Spec.Volumes[len(p.Spec.Volumes)-1]; last.HostPath.Path != a.Kubeconfig || last.HostPath.Type != "File" {
		t.Errorf("volumes: %+v", p.Spec.Volumes)
	}
	if get := c.LivenessProbe.HTTPGet; get.Host != "127.0.0.1" || get.Port != 9000 {
		t.Errorf("probe: %+v", get)
	}
	a.Listen = ""
	if probe := renderPod(t, a).Spec.Containers[0].LivenessProbe; probe != nil {
		t.Errorf("probe: %+v", probe)
	}
}

func TestPodsThatCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(*Agent){
		"needs the image":      func(a *Agent) { a.Image = "" },
		"run by systemd":       func(a *Agent) { a.File.Form = etcdservers.SystemdUnit },
		"runs no apiserver":    func(a *Agent) { a.File.Form = etcdservers.KubeadmConfig },
		"kubelet probes a pod": func(a *Agent) { a.Listen = "unix:///run/etcdha.sock" },
		"is no host:port":      func(a *Agent) { a.Listen = "8383" },
	} {
		a := podAgent(t)
		spoil(a)
		if _, err := a.StaticPod(); !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDirectories(t *testing.T) {
	got := directories([]string{"/etc/pki/etcd/ca.crt", "/etc/pki/ca.crt", "/etc/pki-2/a", "/etc/pki/ca.key", "/srv/x"})
	if want := []string{"/etc/pki", "/etc/pki-2", "/srv"}; !slices.Equal(got, want) {
		t.Errorf("directories: %v", got)
	}
}

// A manifest may be a link to a file elsewhere: that is the one that is written.
func TestAPodOfALinkedManifest(t *testing.T) {
	for _, link := range []string{"/srv/kube/apiserver.yaml", "../../../srv/kube/apiserver.yaml"} {
		a := linkedAgent(t, link)
		a.Timeout = 10 * time.Minute
		p := renderPod(t, a)
		mounts := make(map[string]string)
		for _, m := range p.Spec.Containers[0].VolumeMounts {
			mounts[m.MountPath] = map[bool]string{true: "ro", false: "rw"}[m.ReadOnly]
		}
		if mounts["/srv/kube"] != "rw" || mounts["/etc/kubernetes/manifests"] != "ro" {
			t.Errorf("%s: mounts: %v", link, mounts)
		}
		if c := p.Spec.Containers[0]; len(c.SecurityContext.Capabilities.Add) == 0 || !slices.Contains(c.Command, "--timeout=10m0s") {
			t.Errorf("%s: container %+v", link, c)
		}
		// An agent that is stopped at the worst moment needs both waits.
		if grace := p.Spec.TerminationGracePeriodSeconds; grace < 2*600 {
			t.Errorf("it has %d s to end", grace)
		}
		if data, err := a.Unit(); err != nil || !strings.Contains(string(data), "\nReadWritePaths=/srv/kube\n") {
			t.Errorf("%v\n%s", err, data)
		}
	}
}

// linkedAgent is for a manifest that is a link, to a file that is not root's.
func linkedAgent(t *testing.T, link string) *Agent {
	t.Helper()
	files := newFollowed(t).files
	files["srv/kube/apiserver.yaml"] = files[followedFile[1:]]
	a := agentFor(t, files, "/srv/kube/apiserver.yaml")
	files["srv/kube/apiserver.yaml"].Sys = &syscall.Stat_t{Uid: 7}
	files[followedFile[1:]] = &fstest.MapFile{Data: []byte(link), Mode: fs.ModeSymlink, Sys: &syscall.Stat_t{}}
	a.File.Path, a.Follow = followedFile, followedFile
	return a
}
