package etcdservers

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

// The flag is taken apart as it was meant, not as CSV.
func TestSplit(t *testing.T) {
	for value, want := range map[string]string{
		"":                            "",
		"https://a:2379":              "https://a:2379",
		"https://a:2379,https://b":    "https://a:2379|https://b",
		"https://a:2379, https://b,,": "https://a:2379|https://b",
		`"https://a","https://b"`:     `"https://a"|"https://b"`,
	} {
		if got := strings.Join(Split(value), "|"); got != want {
			t.Errorf("%q gives %q, not %q", value, got, want)
		}
	}
}

// A list of servers has nothing in it that etcd's clients would take for another
// server, or for none.
func TestCheckServers(t *testing.T) {
	for list, want := range map[string]string{
		"https://10.0.0.1:2379 http://etcd-0.example.net:2379/ https://[fd00::1]:2379 https://etcd_1 https://a.b.": "",
		"":                                     "is empty",
		"10.0.0.1:2379":                        "is no URL of an etcd server",
		"unix:///run/etcd":                     "begin with https://",
		"HTTPS://10.0.0.1:2379":                "begin with https://",
		"https://:2379":                        "neither a name nor an address",
		"https://":                             "neither a name nor an address",
		"https://..:2379":                      "neither a name nor an address",
		"https://a..b:2379":                    "neither a name nor an address",
		"https://-a:2379":                      "neither a name nor an address",
		"https://10.0.0.300:2379":              "neither a name nor an address",
		"https://[::g]:2379":                   "cannot be read as a URL",
		"https://10.0.0.1:99999":               "port is not between 1 and 65535",
		"https://10.0.0.1:0":                   "port is not between 1 and 65535",
		"https://10.0.0.1:":                    "port behind its colon is missing",
		"https://10.0.0.1:2379/v3":             "has a path",
		"https://10.0.0.1:2379?x=y":            "plain letters and digits",
		"https://a:2379 https://A:2379/":       "https://A:2379/ is in the list twice",
		"https://a:2379 https://root:pw@b":     "server 2 of the list has a name or a password",
		"https://root:p%w@b:2379":              "server 1 of the list has a name or a password",
		"https://" + strings.Repeat("a.", 130): "neither a name nor an address",
	} {
		err := CheckServers(strings.Fields(list))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, fail.ErrUsage)) {
			t.Errorf("%q: %v, not %q", list, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "p%w")) {
			t.Errorf("%q shows a password: %v", list, err)
		}
	}
}

// What stands for servers and is none is refused in every form that has a list.
func TestListsThatAreNoServers(t *testing.T) {
	forms := map[string]func(string) string{
		"pod.yaml":   func(s string) string { return pod("command: [kube-apiserver, '--etcd-servers=" + s + "']") },
		"items.yaml": func(s string) string { return pod("command:\n- kube-apiserver\n- --etcd-servers\n- '" + s + "'") },
		"shell.yaml": func(s string) string { return pod(`command: [sh, -c, "kube-apiserver --etcd-servers='` + s + `'"]`) },
		"flags.env":  func(s string) string { return "OPTS='--etcd-servers=" + s + "'\n" },
		"list.env":   func(s string) string { return "ETCD_SERVERS='" + s + "'\n" },
		"apiserver.service": func(s string) string {
			return serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=" + strings.ReplaceAll(s, "%", "%%"))
		},
		"kubeadm.yaml": func(s string) string {
			return clusterConfiguration("v1beta4", "etcd:\n  external:\n    endpoints:\n    - '"+s+"'\n")
		},
	}
	for list, want := range map[string]string{
		"ETCD_SERVERS_PLACEHOLDER":        "is a template",
		"PLACEHOLDER":                     "is a template",
		"%ETCD_SERVERS%":                  "is a template",
		"[[etcd]]":                        "is a template",
		"@ETCD@":                          "is a template",
		"https://@ETCD@:2379":             "is a template",
		"https://ETCD_HOST:2379":          "is a template",
		"https://etcd-placeholder:2379":   "is a template",
		"etcd-servers":                    "is no URL",
		"10.0.0.1:2379":                   "is no URL",
		"unix:///run/etcd":                "is no URL",
		"https://:2379":                   "is no URL",
		"https://root:secret@10.0.0.1:23": "a name or a password",
	} {
		for name, write := range forms {
			_, err := readFrom(name, []byte(write(list)))
			refused(t, err, want)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%s shows a password: %v", name, err)
			}
		}
	}
	for name, write := range forms { // and so they are read
		if f := mustRead(t, name, []byte(write("https://10.0.0.1:2379"))); !slices.Equal(f.Servers, []string{"https://10.0.0.1:2379"}) {
			t.Errorf("%s reads %q", name, f.Servers)
		}
	}
}
