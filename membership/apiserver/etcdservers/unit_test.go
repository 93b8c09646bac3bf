package etcdservers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/etcdha/etcdha/internal/fail"
)

const (
	unitPath   = "/etc/systemd/system/kube-apiserver.service"
	vendored   = "/usr/lib/systemd/system/kube-apiserver.service"
	twoServers = "https://10.0.0.1:2379,https://10.0.0.2:2379"
)

// on is a host with some files.
func on(files map[string]string) fstest.MapFS {
	host := fstest.MapFS{}
	for name, content := range files {
		host[name[1:]] = &fstest.MapFile{Data: []byte(content)}
	}
	return host
}

// serviceWith is a unit with some lines in [Service].
func serviceWith(lines ...string) string {
	return "[Unit]\nDescription=Kubernetes API Server\n\n[Service]\n" + strings.Join(lines, "\n") + "\n"
}

// What is not known before the service runs, or would not change anything, is
// refused with a reason that a person can act on.
func TestRefusedUnits(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		read   string
		reason string
	}{
		"specifier in the list": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=https://%H:2379")},
			reason: "kube-apiserver.service:5: the list is not known before the service runs: systemd puts something in place of %H",
		},
		"variable of the manager": {
			files: map[string]string{unitPath: serviceWith("PassEnvironment=A ETCD", "ExecStart=/usr/bin/kube-apiserver --etcd-servers=${ETCD}")},

			reason: "the manager of systemd passes ETCD",
		},
		"flags from the manager": {
			files:  map[string]string{unitPath: serviceWith("PassEnvironment=OPTS", "ExecStart=/usr/bin/kube-apiserver $OPTS")},
			reason: "--etcd-servers is not seen: the manager of systemd passes OPTS",
		},
		"environment file that is not there": {
			files:  map[string]string{unitPath: serviceWith("EnvironmentFile=/run/flags", "ExecStart=/usr/bin/kube-apiserver $OPTS")},
			reason: "--etcd-servers is not seen: /run/flags is not there",
		},
		"variable without braces in a word": {
			files:  map[string]string{unitPath: serviceWith("Environment=ETCD="+twoServers, "ExecStart=/usr/bin/kube-apiserver --etcd-servers=$ETCD")},
			reason: `the list has "$ETCD": systemd replaces ${NAME} within a word`,
		},
		"environment file of this host's name": {
			files:  map[string]string{unitPath: serviceWith("EnvironmentFile=/etc/%H.env", "ExecStart=/usr/bin/kube-apiserver --etcd-servers=${ETCD}")},
			reason: "/etc/%H.env is not there",
		},
		"variable that is taken away": {
			files:  map[string]string{unitPath: serviceWith("Environment=ETCD="+twoServers, "UnsetEnvironment=ETCD", "ExecStart=/usr/bin/kube-apiserver --etcd-servers=${ETCD}")},
			reason: "the list is empty; not set is ETCD",
		},
		"flag in two places": {
			files: map[string]string{unitPath: serviceWith("Environment=MORE=--etcd-servers=https://10.0.0.3:2379",
				"ExecStart=/usr/bin/kube-apiserver --etcd-servers="+twoServers+" $MORE")},
			reason: "--etcd-servers is given twice",
		},
		"list in two variables": {
			files:  map[string]string{unitPath: serviceWith("Environment=A=https://10.0.0.1:2379 B=https://10.0.0.2:2379", "ExecStart=/usr/bin/kube-apiserver --etcd-servers=${A},${B}")},
			reason: "put together from several places",
		},
		"list in two files": {
			files: map[string]string{
				unitPath:     serviceWith("Environment=A=https://10.0.0.1:2379", "EnvironmentFile=/etc/b.env", "ExecStart=/usr/bin/kube-apiserver --etcd-servers=${A},${B}"),
				"/etc/b.env": "B=https://10.0.0.2:2379\n",
			},
			reason: "it stands in several files",
		},
		"two commands": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers="+twoServers, "ExecStart=/bin/true")},
			reason: "kube-apiserver.service:6: is no sound unit: it has more than one ExecStart=",
		},
		"two commands by a semicolon": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/bin/true ; /usr/bin/kube-apiserver --etcd-servers=" + twoServers)},
			reason: "more than one ExecStart=",
		},
		"quote that is open": {
			files:  map[string]string{unitPath: serviceWith(`ExecStart=/usr/bin/kube-apiserver "--etcd-servers=` + twoServers)},
			reason: "is no sound unit: a quote is not closed",
		},
		"section that is open": {
			files:  map[string]string{unitPath: "[Service\nExecStart=/usr/bin/kube-apiserver --etcd-servers=" + twoServers + "\n"},
			reason: "kube-apiserver.service:1: is no sound unit: a section is not closed",
		},
		"prefix of a later systemd": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=|/usr/bin/kube-apiserver --etcd-servers=" + twoServers)},
			reason: `a prefix '|' that is not known`,
		},
		"unit that another one hides": {
			files:  map[string]string{vendored: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=" + twoServers), unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver $X")},
			read:   vendored,
			reason: "does not count, since there is " + unitPath,
		},
		"drop-in without the list": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=" + twoServers), unitPath + ".d/a.conf": "[Service]\nLimitNOFILE=1\n"},
			read:   unitPath + ".d/a.conf",
			reason: "does not hold the list that counts for kube-apiserver.service",
		},
		"drop-in that another one hides": {
			files: map[string]string{
				unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver $X"), unitPath + ".d/a.conf": "[Service]\n",
				vendored + ".d/a.conf": "[Service]\nEnvironment=X=--etcd-servers=" + twoServers + "\n",
			},
			read:   vendored + ".d/a.conf",
			reason: "another drop-in has its name",
		},
		"drop-in of many units": {
			files:  map[string]string{"/etc/systemd/system/kube-.service.d/a.conf": "[Service]\nEnvironment=X=--etcd-servers=" + twoServers + "\n"},
			read:   "/etc/systemd/system/kube-.service.d/a.conf",
			reason: "belongs to several units",
		},
		"script": {
			files: map[string]string{
				unitPath:                      serviceWith("ExecStart=/usr/local/bin/apiserver.sh"),
				"/usr/local/bin/apiserver.sh": "#!/bin/sh\nexec kube-apiserver --etcd-servers=" + twoServers + "\n",
			},
			reason: "runs /usr/local/bin/apiserver.sh, which is a script",
		},
		"script on the line": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/bin/sh -c 'sleep 1; exec kube-apiserver --etcd-servers=" + twoServers + "'")},
			reason: "more than one plain command line",
		},
		"generated drop-in": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver $X"), "/run/systemd/generator/kube-apiserver.service.d/a.conf": "[Service]\nEnvironment=X=--etcd-servers=" + twoServers + "\n"},
			reason: "is a generated unit",
		},
		"comment that may go on": {
			files: map[string]string{
				unitPath:     serviceWith("EnvironmentFile=/etc/flags", "ExecStart=/usr/bin/kube-apiserver $OPTS"),
				"/etc/flags": "# the flags \\\nOPTS=--etcd-servers=" + twoServers + "\n",
			},
			reason: "a comment that ends in a backslash",
		},
		"list that is forgotten": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers="+twoServers, "ExecStart=")},
			reason: "kube-apiserver.service:5: mentions the list of etcd servers where it is not read, or does not count",
		},
		"list in another section": {
			files:  map[string]string{unitPath: "[Install]\nExecStart=/usr/bin/kube-apiserver --etcd-servers=" + twoServers + "\n"},
			reason: "mentions the list",
		},
		"another program": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/flanneld --etcd-servers=" + twoServers)},
			reason: "kube-apiserver.service:5: runs /usr/bin/flanneld with --etcd-servers, and no kube-apiserver is seen",
		},
		"script of a shell": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/bin/bash /opt/run.sh --log=/var/log/kube-apiserver --etcd-servers=" + twoServers)},
			reason: "runs /bin/bash with --etcd-servers",
		},
		"a word that is called apiserver": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/wardle apiserver --etcd-servers=" + twoServers)},
			reason: "runs /usr/bin/wardle",
		},
		"URL behind the list": {
			files:  map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=https://10.0.0.1:2379, https://10.0.0.2:2379")},
			reason: "a URL stands behind the list as a word of its own",
		},
		"environment file with two lists": {
			files:  map[string]string{"/etc/flags": "A=--etcd-servers=" + twoServers + "\nETCD_SERVERS=" + twoServers + "\n"},
			read:   "/etc/flags",
			reason: "several variables carry the list",
		},
		"environment file that is no text": {
			files:  map[string]string{"/etc/flags": "A=\xff\nETCD_SERVERS=" + twoServers + "\n"},
			read:   "/etc/flags",
			reason: "is no text that systemd reads",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.read == "" {
				c.read = unitPath
			}
			f, err := Read(on(c.files), c.read)
			var refusal *Refusal
			if !errors.As(err, &refusal) || !errors.Is(err, fail.ErrUnsafe) {
				t.Fatalf("%+v, %v", f, err)
			}
			if !strings.Contains(err.Error(), c.reason) || refusal.Instead == "" {
				t.Errorf("%v; instead: %s", err, refusal.Instead)
			}
		})
	}
}

// What cannot be written with certainty is refused when it is to be written.
func TestRefusedChanges(t *testing.T) {
	for name, unit := range map[string]string{
		"escapes in the list":     serviceWith(`ExecStart=/usr/bin/kube-apiserver --etcd-servers=https:\x2f\x2f10.0.0.1:2379`),
		"line that is no setting": serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers="+twoServers, "and this"),
		"comment within the list": serviceWith(`ExecStart=/usr/bin/kube-apiserver "--etcd-servers=https://10.0.0.1:2379,\`, "# and", `https://10.0.0.2:2379"`),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Read(on(map[string]string{unitPath: unit}), unitPath)
			if err != nil {
				t.Fatal(err)
			}
			if after, err := f.With([]string{"https://10.0.0.9:2379"}); !errors.Is(err, fail.ErrUnsafe) {
				t.Errorf("%s, %v", after, err)
			}
		})
	}
}

// kube-apiserver is recognised under the names that it has, and behind what starts it.
func TestCommandsOfUnits(t *testing.T) {
	for _, start := range []string{
		"/usr/bin/kube-apiserver", "/opt/kube-apiserver-linux-amd64", "/opt/kubernetes/kube-apiserver-1.30.2", "/opt/kube-apiserver-v1.36", "/usr/bin/nice -n 5 /usr/bin/kube-apiserver",
		"/usr/bin/env GOGC=50 kube-apiserver", "@/usr/bin/kube-apiserver control-plane", "/opt/hyperkube apiserver", "/usr/bin/hyperkube kube-apiserver",
		"/usr/bin/docker run --net=host registry.k8s.io/kube-apiserver:v1.36.0", "/usr/bin/podman run registry.k8s.io/kube-apiserver-amd64:v1.36.0 kube-apiserver",
		"/usr/bin/docker run hyperkube-amd64:v1.18 apiserver", "/usr/bin/ctr run registry.k8s.io/kube-apiserver@sha256:00 x", "/usr/local/bin/apiserver",
	} {
		f, err := Read(on(map[string]string{unitPath: serviceWith("ExecStart=" + start + " --etcd-servers=" + twoServers + " --audit-webhook https://a")}), unitPath)
		if err != nil || strings.Join(f.Servers, ",") != twoServers {
			t.Errorf("%s: %+v, %v", start, f, err)
		}
	}
}

// A unit without the flag, or one that is masked, is sound and has no list.
func TestUnitsWithoutAList(t *testing.T) {
	for name, host := range map[string]fstest.MapFS{
		"no flag": on(map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers-overrides=/events#https://10.0.0.1:2379")}),
		"empty":   on(map[string]string{unitPath: ""}),
		"binary":  on(map[string]string{unitPath: serviceWith("ExecStart=/usr/bin/agent run"), "/usr/bin/agent": "\x7fELF"}),
	} {
		t.Run(name, func(t *testing.T) {
			if f, err := Read(host, unitPath); !errors.Is(err, ErrNotFound) {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

// The file of a template runs under names that are not known.
func TestTemplateHasNoNameToRestart(t *testing.T) {
	const template = "/etc/systemd/system/kube-apiserver@.service"
	f, err := Read(on(map[string]string{template: serviceWith("ExecStart=/usr/bin/kube-apiserver --etcd-servers=" + twoServers)}), template)
	if err != nil || f.Unit != "" || f.Path != template {
		t.Fatalf("%+v, %v", f, err)
	}
}

// An older content of the file is read with the rest of the unit as it is now.
func TestHoldingAnOlderContent(t *testing.T) {
	host := on(map[string]string{
		unitPath:     serviceWith("EnvironmentFile=/etc/flags", "ExecStart=/usr/bin/kube-apiserver $OPTS --v=2"),
		"/etc/flags": "OPTS=--etcd-servers=" + twoServers + "\n",
	})
	f, err := Read(host, unitPath)
	if err != nil {
		t.Fatal(err)
	}
	older, err := f.Holding([]byte("OPTS=--etcd-servers=https://10.0.0.9:2379\n"))
	if err != nil || older.Path != "/etc/flags" || !slices.Equal(older.Servers, []string{"https://10.0.0.9:2379"}) {
		t.Fatalf("%+v, %v", older, err)
	}
	again, err := older.With(f.Servers)
	if err != nil || string(again) != "OPTS=--etcd-servers="+twoServers+"\n" {
		t.Fatalf("%q, %v", again, err)
	}
}

// By the bytes alone, only the list may have changed.
func TestOnlyTheList(t *testing.T) {
	from, to := []string{"https://a:1", "https://b:1"}, []string{"https://c:1"}
	for _, c := range []struct {
		after string
		same  bool
	}{
		{"x=https://c:1 y", true},
		{"x=https://c:1 y ", false},
		{"x=https://c:1", false},
		{"X=https://c:1 y", false},
		{"x=https://a:1,https://c:1 y", false},
		{"x=https://a:1,https://b:1 y", false},
		{"https://c:1", false},
	} {
		if err := onlyList("x=https://a:1,https://b:1 y", c.after, from, to); (err == nil) != c.same {
			t.Errorf("%q: %v", c.after, err)
		}
	}
}
