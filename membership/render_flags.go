package membership

import (
	"net"
	"net/url"
	"path"
	"strings"
)

// pki is where kubeadm keeps the certificates of etcd.
const pki = "/etc/kubernetes/pki/etcd"

type flag struct{ name, value string }

// flags are those that every etcd of such a cluster is started with.
func (n StartedMember) flags() []flag {
	flags := []flag{
		{"name", n.Name},
		{"data-dir", n.DataDir},
		{"initial-cluster", n.InitialCluster},
		{"initial-cluster-state", "existing"},
		{"initial-advertise-peer-urls", strings.Join(n.PeerURLs, ",")},
		{"listen-peer-urls", strings.Join(listen(n.PeerURLs), ",")},
		{"advertise-client-urls", strings.Join(n.ClientURLs, ",")},
		{"listen-client-urls", strings.Join(n.listenClient(), ",")},
	}
	if secure(n.ClientURLs) {
		flags = append(flags,
			flag{"cert-file", path.Join(pki, "server.crt")},
			flag{"key-file", path.Join(pki, "server.key")},
			flag{"trusted-ca-file", path.Join(pki, "ca.crt")},
			flag{"client-cert-auth", "true"})
	}
	if secure(n.PeerURLs) {
		flags = append(flags,
			flag{"peer-cert-file", path.Join(pki, "peer.crt")},
			flag{"peer-key-file", path.Join(pki, "peer.key")},
			flag{"peer-trusted-ca-file", path.Join(pki, "ca.crt")},
			flag{"peer-client-cert-auth", "true"})
	}
	return flags
}

// listen are the URLs to listen at: etcd binds to addresses, not to names.
func listen(urls []string) []string {
	var out []string
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil {
			if net.ParseIP(u.Hostname()) == nil {
				u.Host = net.JoinHostPort("0.0.0.0", u.Port())
			}
			out = append(out, u.String())
		}
	}
	return out
}

// loopback is the loopback address of the family that the member uses.
func (n StartedMember) loopback() string {
	for _, s := range n.PeerURLs {
		if u, err := url.Parse(s); err == nil && strings.Contains(u.Hostname(), ":") {
			return "::1"
		}
	}
	return "127.0.0.1"
}

// listenClient is where clients ask: also at the loopback address, for tools on
// the host of the member.
func (n StartedMember) listenClient() []string {
	urls := listen(n.ClientURLs)
	if len(urls) == 0 || strings.Contains(urls[0], "//0.0.0.0:") {
		return urls
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return urls
	}
	u.Host = net.JoinHostPort(n.loopback(), u.Port())
	if local := u.String(); local != urls[0] {
		urls = append([]string{local}, urls...)
	}
	return urls
}

func secure(urls []string) bool { return len(urls) > 0 && strings.HasPrefix(urls[0], "https:") }

// plain are the characters that no shell and no systemd looks at.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=/:.,@+"

func isPlain(s string) bool { return s != "" && strings.Trim(s, plain) == "" }

// shellQuote makes one word of s for a POSIX shell.
func shellQuote(s string) string {
	if isPlain(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// systemdQuote makes one word of s for ExecStart (systemd.service(5), "Command
// lines"): C escapes in quotes, and $ and % doubled.
func systemdQuote(s string) string {
	if isPlain(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `$$`, `%`, `%%`).Replace(s) + `"`
}
