package membership_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// added is a member that was added to three voters.
func added(t *testing.T, name string) membership.StartedMember {
	t.Helper()
	o := observe(t, membershiptest.New(t, threeVoters+"\nm4 learner never-started id=deadbeef00000004"))
	return membership.NewMember(o, 0xdeadbeef00000004, name)
}

// What etcdctl member add prints, so that scripts that read it go on to work.
func TestEnvironmentIsThatOfEtcdctl(t *testing.T) {
	const want = `ETCD_NAME="m4"
ETCD_INITIAL_CLUSTER="m1=https://192.0.2.1:2380,m2=https://192.0.2.2:2380,m3=https://192.0.2.3:2380,m4=https://192.0.2.4:2380"
ETCD_INITIAL_ADVERTISE_PEER_URLS="https://192.0.2.4:2380"
ETCD_INITIAL_CLUSTER_STATE="existing"
`
	if got := added(t, "m4").Environment(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestRenderFlags(t *testing.T) {
	const want = `# Once, before the first start, where an old member ran on this host: take its
# unit or manifest away. Started again without its data, it would begin a cluster
# of its own.
#   systemctl disable --now etcd
#   mv /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/etcd.yaml.old
# The old member cannot be the new one. Its data is moved aside and not deleted.
[ ! -e /var/lib/etcd/member ] || [ -e /var/lib/etcd/member.before-deadbeef00000004 ] || mv /var/lib/etcd/member /var/lib/etcd/member.before-deadbeef00000004

etcd \
  --name=m4 \
  --data-dir=/var/lib/etcd \
  --initial-cluster=m1=https://192.0.2.1:2380,m2=https://192.0.2.2:2380,m3=https://192.0.2.3:2380,m4=https://192.0.2.4:2380 \
  --initial-cluster-state=existing \
  --initial-advertise-peer-urls=https://192.0.2.4:2380 \
  --listen-peer-urls=https://192.0.2.4:2380 \
  --advertise-client-urls=https://192.0.2.4:2379 \
  --listen-client-urls=https://127.0.0.1:2379,https://192.0.2.4:2379 \
  --cert-file=/etc/kubernetes/pki/etcd/server.crt \
  --key-file=/etc/kubernetes/pki/etcd/server.key \
  --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt \
  --client-cert-auth=true \
  --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt \
  --peer-key-file=/etc/kubernetes/pki/etcd/peer.key \
  --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt \
  --peer-client-cert-auth=true
`
	got, err := added(t, "m4").Render(membership.RenderFlags)
	if err != nil || got != want {
		t.Errorf("error %v, got\n%swant\n%s", err, got, want)
	}
	if _, err := added(t, "m4").Render("helm"); !errors.Is(err, fail.ErrUsage) || err.Error() != `cannot render "helm"` || fail.Hint(err) != "use flags, static-pod or systemd" {
		t.Errorf("error %v, hint %s", err, fail.Hint(err))
	}
}

// odd is a name with all that shells, YAML and systemd look at.
const odd = `it's $(HOME) "${x}" %n \ # & ; * {}: é`

// The command line is run by a shell in which etcd only says what it is given.
func TestAShellReadsTheCommandLineAsItIsMeant(t *testing.T) {
	n := added(t, odd)
	n.OldID = 0xabc
	n.DataDir = filepath.Join(t.TempDir(), "data $(dir) 'x'")
	if err := os.MkdirAll(filepath.Join(n.DataDir, "member", "snap"), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := n.Render(membership.RenderFlags)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // the second time, what is there is the new member's
		out, err := exec.Command("sh", "-euc", "etcd() { printf '%s\\n' \"$@\"; }\n"+text).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s\n%s", err, out, text)
		}
		args := strings.Split(string(out), "\n")
		for _, want := range []string{"--name=" + odd, "--data-dir=" + n.DataDir} {
			if !slices.Contains(args, want) {
				t.Errorf("no %s in\n%s", want, out)
			}
		}
		if i > 0 {
			break
		}
		if err := os.MkdirAll(filepath.Join(n.DataDir, "member", "new"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(n.DataDir, "member.abc", "snap")); err != nil {
		t.Errorf("the old member was not moved aside: %v", err)
	}
	if _, err := os.Stat(filepath.Join(n.DataDir, "member", "new")); err != nil {
		t.Errorf("the new member was moved as well: %v", err)
	}
}

// pod is what of a Pod is looked at here. What it does not know is an error.
type pod struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace     string
		Labels, Annotations map[string]string
	}
	Spec struct {
		Containers []struct {
			Name, Image, ImagePullPolicy                string
			Command                                     []string
			Resources                                   struct{ Requests map[string]string }
			VolumeMounts                                []struct{ MountPath, Name string }
			LivenessProbe, ReadinessProbe, StartupProbe struct {
				FailureThreshold, InitialDelaySeconds, PeriodSeconds, TimeoutSeconds int
				HTTPGet                                                              struct {
					Host, Path, Scheme string
					Port               int
				}
			}
		}
		HostNetwork       bool
		Priority          int
		PriorityClassName string
		SecurityContext   struct{ SeccompProfile struct{ Type string } }
		Volumes           []struct {
			Name     string
			HostPath struct{ Path, Type string }
		}
	}
}

func TestRenderStaticPod(t *testing.T) {
	for version, want := range map[string][]string{
		"3.6.16": {"registry.k8s.io/etcd:3.6.16-0", "--feature-gates=InitialCorruptCheck=true", "--watch-progress-notify-interval=5s"},
		"3.5.35": {"registry.k8s.io/etcd:3.5.35-0", "--experimental-initial-corrupt-check=true", "--experimental-watch-progress-notify-interval=5s"},
	} {
		n := added(t, odd)
		n.Version = version
		text, err := n.Render(membership.RenderStaticPod)
		if err != nil {
			t.Fatal(err)
		}
		var p pod
		if err := yaml.UnmarshalStrict([]byte(text), &p); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if len(p.Spec.Containers) != 1 || p.Kind != "Pod" || p.Metadata.Namespace != "kube-system" || !p.Spec.HostNetwork {
			t.Fatalf("no pod of etcd: %s", text)
		}
		etcd := p.Spec.Containers[0]
		for _, w := range append(want, "--name="+strings.ReplaceAll(odd, "$(", "$$("), "--initial-cluster-state=existing", "--listen-metrics-urls=http://127.0.0.1:2381") {
			if !slices.Contains(append(etcd.Command, etcd.Image), w) {
				t.Errorf("no %s in\n%s", w, text)
			}
		}
		if get := etcd.ReadinessProbe.HTTPGet; get.Host != "127.0.0.1" || get.Port != 2381 || get.Path != "/readyz" || get.Scheme != "HTTP" {
			t.Errorf("readiness probe %+v", get)
		}
		if url := p.Metadata.Annotations["kubeadm.kubernetes.io/etcd.advertise-client-urls"]; url != "https://192.0.2.4:2379" {
			t.Errorf("kubeadm would read %q", url)
		}
		for i, path := range []string{"/etc/kubernetes/pki/etcd", "/var/lib/etcd"} {
			if v := p.Spec.Volumes[i]; v.HostPath.Path != path || v.HostPath.Type != "DirectoryOrCreate" {
				t.Errorf("volume %+v", v)
			}
		}
		if !strings.Contains(text, "#   [ ! -e /var/lib/etcd/member ] || [ -e /var/lib/etcd/member.before-deadbeef00000004 ] || mv /var/lib/etcd/member /var/lib/etcd/member.before-deadbeef00000004\n") {
			t.Errorf("nothing is moved aside:\n%s", text)
		}
	}
}

func TestRenderSystemd(t *testing.T) {
	n := added(t, odd)
	text, err := n.Render(membership.RenderSystemd)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#   [ ! -e /var/lib/etcd/member ] || [ -e /var/lib/etcd/member.before-deadbeef00000004 ] || mv /var/lib/etcd/member /var/lib/etcd/member.before-deadbeef00000004\n",
		"\n[Service]\nType=notify\nExecStart=/usr/local/bin/etcd \\\n",
		`  "--name=it's $$(HOME) \"$${x}\" %%n \\ # & ; * {}: é" ` + "\\\n",
		"  --initial-cluster-state=existing \\\n",
		"\n[Install]\nWantedBy=multi-user.target\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	n.DataDir = "/data\nExecStartPre=/bin/rm"
	if _, err := n.Render(membership.RenderSystemd); !errors.Is(err, fail.ErrUsage) {
		t.Errorf("error %v", err)
	}
}

// etcd listens at addresses and not at names, and at no port twice.
func TestWhereANewMemberListens(t *testing.T) {
	for peer, want := range map[string]string{
		"https://m4.example:2380":    "--listen-peer-urls=https://0.0.0.0:2380 --advertise-client-urls=https://m4.example:2379 --listen-client-urls=https://0.0.0.0:2379",
		"https://[2001:db8::4]:2380": "--listen-peer-urls='https://[2001:db8::4]:2380' --advertise-client-urls='https://[2001:db8::4]:2379' --listen-client-urls='https://[::1]:2379,https://[2001:db8::4]:2379'",
		"https://127.0.0.1:2380":     "--listen-peer-urls=https://127.0.0.1:2380 --advertise-client-urls=https://127.0.0.1:2379 --listen-client-urls=https://127.0.0.1:2379",
		"http://192.0.2.4:2380":      "--listen-peer-urls=http://192.0.2.4:2380 --advertise-client-urls=https://192.0.2.4:2379 --listen-client-urls=https://127.0.0.1:2379,https://192.0.2.4:2379",
	} {
		o := observe(t, membershiptest.New(t, threeVoters+"\nm4 learner never-started id=deadbeef00000004 peer="+peer))
		text, err := membership.NewMember(o, 0xdeadbeef00000004, "m4").Render(membership.RenderFlags)
		if err != nil {
			t.Fatal(err)
		}
		text = strings.NewReplacer(" \\\n  ", " ", "'--", "--").Replace(text)
		if !strings.Contains(strings.ReplaceAll(text, "'", ""), strings.ReplaceAll(want, "'", "")) {
			t.Errorf("%s: no %s in\n%s", peer, want, text)
		}
		if plain := strings.HasPrefix(peer, "http:"); plain == strings.Contains(text, "--peer-cert-file") {
			t.Errorf("%s: peer certificates are wrong in\n%s", peer, text)
		}
	}
}
