//go:build linux

package controlplane

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An external etcd goes from three members to five and loses the first three,
// while agents keep both apiservers in step and clients write. One agent is run by
// hand, the other one by kubelet.
func TestExternalEtcdMoves(t *testing.T) {
	s := external(t, 3, 5)
	s.uploadConfig(externalEtcd(clientURLs(s.etcds[:3]...)))
	o := s.operate()
	s.follow(s.cps[0])
	s.cps[1].installFollow()
	w := s.write()
	w.flows(t)

	s.apply(s.etcds...)
	if got, want := o.names(), []string{"e1", "e2", "e3", "e4", "e5"}; !slices.Equal(got, want) {
		t.Fatalf("members: %v, expected %v", got, want)
	}
	s.eventuallyServe(t, s.etcds...)
	w.flows(t)

	s.apply(s.etcds[3:]...)
	if got, want := o.names(), []string{"e4", "e5"}; !slices.Equal(got, want) {
		t.Fatalf("members: %v, expected %v", got, want)
	}
	w.flows(t)
	w.stop(t)
	s.eventuallyServe(t, s.etcds[3:]...)
	s.oneEach(t)
	s.neverBothRestarting(t)
	for _, h := range s.cps {
		if n := h.starts(); n > 4 { // the first one, with four and five members, with two
			t.Errorf("%s was started %d times", h.name, n)
		}
	}
	s.kubeadmAgrees(t, s.etcds[3:]...)
}

// follow runs the agent on a host.
func (s *site) follow(h *host) {
	s.t.Helper()
	agent := h.start(append([]string{tool("etcdha"), "apiserver", "follow"}, impatient...)...)
	s.agents = append(s.agents, agent)
}

// installFollow runs the agent by kubelet, as apiserver install wants it.
func (h *host) installFollow() {
	h.t.Helper()
	pod := h.etcdha(append([]string{"apiserver", "install", "--render=static-pod", "--image=example.org/etcdha:1"}, impatient...)...)
	h.write(manifests+"/etcdha.yaml", pod.stdout)
	eventually(h.t, "kubelet runs the agent", func() bool { return h.lives("etcdha.yaml") == 1 })
}

// impatient is for agents: the membership changes within minutes here.
var impatient = []string{"--listen=127.0.0.1:2479", "--period=1s", "--settle=2s", "--timeout=2m"}

// agentsRun makes sure that no agent has ended.
func (s *site) agentsRun(t *testing.T) {
	t.Helper()
	for _, agent := range s.agents {
		if agent.ended() {
			t.Fatal(agent.wait())
		}
	}
}

// apply makes etcd's members those of the hosts, with etcdha on cp1.
func (s *site) apply(members ...*host) result {
	s.t.Helper()
	return s.startApply(members...).waitDone()
}

func (s *site) startApply(members ...*host) *command {
	s.t.Helper()
	h := s.cps[0]
	h.write("/etc/kubernetes/target.yaml", target(s.t, members...))
	args := []string{tool("etcdha"), "member", "apply", "--target=/etc/kubernetes/target.yaml", "--no-backup", "--yes", "--wait=3m"}
	return h.start(append(args, etcdFlags(s.etcds...)...)...)
}

// waitDone waits for a command that has to succeed.
func (c *command) waitDone() result {
	c.h.t.Helper()
	r := c.wait()
	if r.code != 0 {
		c.h.t.Fatal(r)
	}
	return r
}

// eventuallyServe waits until both manifests and both processes have exactly
// these servers.
func (s *site) eventuallyServe(t *testing.T, members ...*host) {
	t.Helper()
	want := clientURLs(members...)
	slices.Sort(want)
	for _, h := range s.cps {
		eventually(t, h.name+" has the servers "+strings.Join(want, ","), func() bool {
			s.agentsRun(t)
			return slices.Equal(sorted(h.written()), want) && slices.Equal(sorted(h.running()), want) && s.ready(h)
		})
		if got := h.show(); !slices.Equal(sorted(got.Servers), want) {
			t.Errorf("%s: show tells %+v", h.name, got)
		}
	}
}

// written are the servers in the manifest, as kubelet reads it.
func (h *host) written() []string {
	h.t.Helper()
	p, err := parsePod(h.read(manifest))
	check(h.t, err)
	return serversIn(p.Spec.Containers[0].Command)
}

// running are the servers of the process that runs; none if there is no one process.
func (h *host) running() []string {
	h.t.Helper()
	var servers []string
	for _, r := range h.apiservers() {
		if !r.Ended.IsZero() {
			continue
		}
		if servers != nil {
			return nil
		}
		servers = serversIn(r.Args)
	}
	return servers
}

// uploadConfig puts kubeadm's configuration into the cluster, as kubeadm init does.
func (s *site) uploadConfig(etcd string) {
	s.t.Helper()
	h := s.cps[0]
	h.write(kubeadmConfig, initConfiguration(h)+"---\n"+clusterConfiguration(etcd))
	h.must(tool("kubernetes/kubeadm"), "init", "phase", "upload-config", "kubeadm", "--config="+kubeadmConfig, "--kubeconfig="+superAdmin)
}

// clusterConfig is the ClusterConfiguration that the cluster holds, on which the
// next kubeadm upgrade would go.
func (s *site) clusterConfig(t *testing.T) string {
	t.Helper()
	code, body, err := s.get(s.cps[0], "/api/v1/namespaces/kube-system/configmaps/kubeadm-config")
	if err != nil || code != http.StatusOK {
		t.Fatalf("kubeadm-config: %d %v %s", code, err, body)
	}
	var m struct {
		Data map[string]string `json:"data"`
	}
	check(t, json.Unmarshal([]byte(body), &m))
	return m.Data["ClusterConfiguration"]
}

// kubeadmAgrees makes sure that kubeadm, from what the cluster holds, writes the
// list that the manifests have.
func (s *site) kubeadmAgrees(t *testing.T, members ...*host) {
	t.Helper()
	want := clientURLs(members...)
	slices.Sort(want)
	config := s.clusterConfig(t)
	for _, h := range s.etcds {
		if kept := slices.Contains(members, h); strings.Contains(config, h.clientURL()) != kept { // httpEndpoints, too
			t.Errorf("%s is a member: %v; kubeadm-config has\n%s", h.name, kept, config)
		}
	}
	for _, h := range s.cps {
		p, err := parsePod(h.kubeadmWrites(tool("kubernetes/kubeadm"), initConfiguration(h)+"---\n"+config))
		check(t, err)
		got := serversIn(p.Spec.Containers[0].Command)
		if own := h.show().Servers; !slices.Equal(got, own) {
			t.Errorf("kubeadm would write %v for %s, whose manifest has %v", got, h.name, own)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("kubeadm would write %v for %s, expected %v", got, h.name, want)
		}
	}
}

// kubeadmWrites is the manifest that a kubeadm, given a configuration that it
// accepts, writes for the host. kubelet does not get it.
func (h *host) kubeadmWrites(binary, config string) string {
	h.t.Helper()
	root := filepath.Join(ownDirs[0], "kubeadm-root")
	check(h.t, os.MkdirAll(h.path(root+"/tmp"), 0o700))
	h.write(root+"/kubeadm.yaml", config)
	h.must(binary, "--rootfs="+root, "config", "validate", "--config=/kubeadm.yaml")
	h.must(binary, "--rootfs="+root, "init", "phase", "control-plane", "apiserver", "--config=/kubeadm.yaml")
	return h.read(root + manifest)
}

// serversIn are the servers of a command line.
func serversIn(args []string) []string {
	for _, arg := range args {
		if list, ok := strings.CutPrefix(arg, "--etcd-servers="); ok {
			return strings.Split(list, ",")
		}
	}
	return nil
}
