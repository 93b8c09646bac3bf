package membership

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// What [StartedMember.Render] can write.
const (
	RenderFlags     = "flags"      // a command line
	RenderStaticPod = "static-pod" // a manifest as kubeadm writes it for stacked etcd
	RenderSystemd   = "systemd"    // a unit
)

// DefaultDataDir is where kubeadm and most packages keep the data of etcd.
const DefaultDataDir = "/var/lib/etcd"

// StartedMember is an etcd that has to be started to be a member that was added.
type StartedMember struct {
	Name           string
	ID             quorum.ID
	PeerURLs       []string
	ClientURLs     []string  // on the host of the peer URLs, as the leader has them
	InitialCluster string    // name=peerURL of all members, as etcd wants it
	Version        string    // of the leader's etcd
	OldID          quorum.ID // whose data directory may be there; 0 if that is not known
	DataDir        string
}

// NewMember says how the etcd of the member with that id is started.
func NewMember(o *Observation, id quorum.ID, name string) StartedMember {
	n := StartedMember{Name: name, ID: id, DataDir: DefaultDataDir}
	var cluster []string
	for i := range o.Members {
		m := &o.Members[i]
		if m.Ghost {
			continue
		}
		label := m.Name
		if m.ID == id {
			label, n.PeerURLs = name, m.PeerURLs
		}
		for _, u := range m.PeerURLs {
			cluster = append(cluster, label+"="+u)
		}
	}
	n.InitialCluster = strings.Join(cluster, ",")
	leader := o.member(o.Leader)
	if leader != nil && leader.Status != nil {
		n.Version = leader.Status.Version
	}
	n.ClientURLs = clientURLs(n.PeerURLs, leader)
	return n
}

// clientURLs are the client URLs of a host by its peer URLs: with the scheme
// and the port of the leader's.
func clientURLs(peerURLs []string, leader *Member) []string {
	like := &url.URL{}
	if leader != nil && len(leader.ClientURLs) > 0 {
		if u, err := url.Parse(leader.ClientURLs[0]); err == nil {
			like = u
		}
	}
	var urls []string
	for _, s := range peerURLs {
		if u, err := url.Parse(s); err == nil {
			u.Scheme = cmp.Or(like.Scheme, u.Scheme)
			u.Host = net.JoinHostPort(u.Hostname(), cmp.Or(like.Port(), "2379"))
			urls = append(urls, u.String())
		}
	}
	return urls
}

type variable struct{ name, value string }

func (n StartedMember) environment() []variable {
	return []variable{
		{"ETCD_NAME", n.Name},
		{"ETCD_INITIAL_CLUSTER", n.InitialCluster},
		{"ETCD_INITIAL_ADVERTISE_PEER_URLS", strings.Join(n.PeerURLs, ",")},
		{"ETCD_INITIAL_CLUSTER_STATE", "existing"},
	}
}

// Environment is what etcdctl prints after it has added a member.
func (n StartedMember) Environment() string {
	var b strings.Builder
	for _, v := range n.environment() {
		fmt.Fprintf(&b, "%s=%q\n", v.name, v.value)
	}
	return b.String()
}

// Render writes what the host of the new member needs, in one of the forms
// [RenderFlags], [RenderStaticPod] and [RenderSystemd]. An old data directory
// has to be moved aside first: the text says how. Certificates are where
// kubeadm has them.
func (n StartedMember) Render(form string) (string, error) {
	if strings.ContainsFunc(n.DataDir, unicode.IsControl) {
		return "", fail.Usagef("the data directory %q cannot be written in a line", n.DataDir)
	}
	switch form {
	case RenderFlags:
		return n.commandLine(), nil
	case RenderStaticPod:
		return n.staticPod()
	case RenderSystemd:
		return n.unit(), nil
	}
	return "", fail.WithHint(fail.Usagef("cannot render %q", form), "use %s, %s or %s", RenderFlags, RenderStaticPod, RenderSystemd)
}

// Aside is what the old member directory is called after it was moved aside.
func (n StartedMember) Aside() string {
	if n.OldID == 0 {
		return "before-" + n.ID.String()
	}
	return n.OldID.String()
}

// beforeStart says what has to be done once, before the first start. An old etcd
// that something goes on to start would find the directory empty.
const beforeStart = `# Once, before the first start, where an old member ran on this host: take its
# unit or manifest away. Started again without its data, it would begin a cluster
# of its own.
#   systemctl disable --now etcd
#   mv /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/etcd.yaml.old
# The old member cannot be the new one. Its data is moved aside and not deleted.
`

// moveAside is the command for that. What lies at the new name already was moved
// before, and then what is there now is the new member's.
func (n StartedMember) moveAside() string {
	member := n.DataDir + "/member"
	return fmt.Sprintf("[ ! -e %[1]s ] || [ -e %[2]s ] || mv %[1]s %[2]s\n", shellQuote(member), shellQuote(member+"."+n.Aside()))
}

// commented is all of it where a file can hold no commands.
func (n StartedMember) commented() string { return beforeStart + "#   " + n.moveAside() }

// commandLine is for a shell.
func (n StartedMember) commandLine() string {
	words := []string{"etcd"}
	for _, f := range n.flags() {
		words = append(words, shellQuote("--"+f.name+"="+f.value))
	}
	return beforeStart + n.moveAside() + "\n" + strings.Join(words, " \\\n  ") + "\n"
}

// unit is a systemd unit.
func (n StartedMember) unit() string {
	words := []string{"/usr/local/bin/etcd"}
	for _, f := range n.flags() {
		words = append(words, systemdQuote("--"+f.name+"="+f.value))
	}
	return n.commented() + `
[Unit]
Description=etcd
Documentation=https://etcd.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart=` + strings.Join(words, " \\\n  ") + `
Restart=always
RestartSec=5s
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`
}
