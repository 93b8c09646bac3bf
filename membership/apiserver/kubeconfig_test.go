package apiserver

import (
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

// Who asks is told by what the kubeconfig has, in it or in files beside it.
func TestKubeconfig(t *testing.T) {
	k := startKubernetes(t, external)
	cert, key := k.ca.issue(t, "kubernetes-super-admin")
	inline := func(file string) string { return base64.StdEncoding.EncodeToString(contents(t, file)) }
	if err := os.WriteFile(filepath.Join(k.ca.dir, "token"), []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ cluster, user, who string }{
		"data":     {"certificate-authority-data: " + inline(k.ca.file()), "client-certificate-data: " + inline(cert) + "\nclient-key-data: " + inline(key), "kubernetes-super-admin"},
		"files":    {"certificate-authority: " + k.ca.file(), "client-certificate: " + cert + "\nclient-key: " + key, "kubernetes-super-admin"},
		"relative": {"certificate-authority: ca.crt", "client-certificate: kubernetes-super-admin.crt\nclient-key: kubernetes-super-admin.key", "kubernetes-super-admin"},
		"name":     {"certificate-authority: ca.crt\ntls-server-name: 127.0.0.1", "token: abc", "abc"},
		"file":     {"certificate-authority: ca.crt", "token: abc\ntokenFile: token", "from-a-file"},
	} {
		client, err := OpenKube(k.writeConfig(t, c.cluster, c.user))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		k.asked = nil
		if m, err := client.KubeadmConfig(t.Context()); err != nil || len(m.File.Servers) != 2 || k.asked[0] != "GET "+c.who {
			t.Errorf("%s: %+v, %v; asked by %q", name, m, err, k.asked)
		}
	}
}

func TestKubeconfigThatIsRefused(t *testing.T) {
	k := startKubernetes(t, external)
	ca := "certificate-authority: ca.crt"
	for name, c := range map[string]struct{ cluster, user, want, hint string }{
		"no verification": {"insecure-skip-tls-verify: true", "token: s3cret", "insecure-skip-tls-verify", "name the CA"},
		"a proxy":         {ca + "\nproxy-url: http://proxy.example", "token: s3cret", "proxy-url", "admin.conf"},
		"a program":       {ca, "exec: {command: aws}", "its user has exec", "admin.conf"},
		"a plugin":        {ca, "auth-provider: {name: oidc}", "its user has auth-provider", "admin.conf"},
		"somebody else":   {ca, "token: s3cret\nas: admin", "its user has as,", "admin.conf"},
		"a password":      {ca, "username: u\npassword: s3cret", "its user has username", "admin.conf"},
		"no key":          {ca, "client-certificate: ca.crt", "client certificate and key", ""},
		"no such file":    {ca, "client-certificate: gone.crt\nclient-key: gone.key", "gone.crt", ""},
		"no CA in it":     {"certificate-authority: admin.conf", "token: s3cret", "no certificate", ""},
		"broken":          {ca, "token: [s3cret", "no YAML", ""},
		"not base64":      {ca, "client-key-data: s3cret!", "no YAML", ""},
	} {
		_, err := OpenKube(k.writeConfig(t, c.cluster, c.user))
		if err == nil || !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), c.want) || !strings.Contains(fail.Hint(err), c.hint) {
			t.Errorf("%s: %v, hint %q", name, err, fail.Hint(err))
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: it tells the secret: %v", name, err)
		}
	}
	for name, replace := range map[string][2]string{
		"its server is not asked over TLS": {"server: https://127", "server: http://127"},
		"its server is no URL":             {"server: https://127", "server: https://u:p@127"},
		"not there":                        {"current-context: admin@", "current-context: gone@"},
		"names a cluster or a user":        {"- name: admin\n  user:", "- name: root\n  user:"},
	} {
		file := k.kubeconfig(t, "token: abc")
		text := strings.Replace(string(contents(t, file)), replace[0], replace[1], 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKube(file); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenKube(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, fail.ErrUsage) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A token goes to the server of the kubeconfig, verified, and nowhere else.
func TestTheTokenGoesNowhereElse(t *testing.T) {
	k, other := startKubernetes(t, external), startKubernetes(t, external)
	file := k.kubeconfig(t, "token: s3cret")
	client, err := OpenKube(file)
	if err != nil {
		t.Fatal(err)
	}
	client.server = other.url // whose certificate another CA has signed
	if _, err := client.KubeadmConfig(t.Context()); err == nil || len(other.asked) > 0 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v, asked %q", err, other.asked)
	}
	client.server = k.url
	if err := client.http.CheckRedirect(nil, nil); !errors.Is(err, http.ErrUseLastResponse) {
		t.Errorf("it follows redirects: %v", err)
	}
}
