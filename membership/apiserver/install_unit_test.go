package apiserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

func unitAgent(t *testing.T) *Agent {
	return agentFor(t, fstest.MapFS{
		"etc/systemd/system/kube-apiserver.service": {Data: []byte(`[Service]
EnvironmentFile=/etc/kubernetes/apiserver.env
ExecStart=/usr/local/bin/kube-apiserver --secure-port=6443 --etcd-cafile=/etc/etcd/ca.crt --etcd-servers=${ETCD_SERVERS}
`)},
		"etc/kubernetes/apiserver.env": {Data: []byte("ETCD_SERVERS=https://10.0.0.1:2379\n")},
	}, "/etc/systemd/system/kube-apiserver.service")
}

// verifyUnit renders a unit, has systemd judge it, and returns its options.
func verifyUnit(t *testing.T, a *Agent) map[string]string {
	t.Helper()
	data, err := a.Unit()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "etcdha-follow.service")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	verify := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path)
	if out, err := verify.CombinedOutput(); err != nil || strings.Contains(string(out), "etcdha-follow") {
		t.Errorf("systemd-analyze verify: %v\n%s\n%s", err, out, data)
	}
	options, err := unit.DeserializeOptions(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, o := range options {
		if _, twice := found[o.Name]; twice {
			t.Errorf("%s is there twice", o.Name)
		}
		found[o.Name] = o.Value
	}
	return found
}

func TestAUnitWritesTwoDirectories(t *testing.T) {
	options := verifyUnit(t, unitAgent(t))
	for name, want := range map[string]string{
		"ExecStart":             "/bin/true apiserver follow --file=/etc/systemd/system/kube-apiserver.service --copies=/var/lib/etcdha/apiserver --listen=127.0.0.1:8383",
		"ReadWritePaths":        "/etc/kubernetes", // where the list stands
		"StateDirectory":        "etcdha/apiserver",
		"ProtectSystem":         "strict",
		"NoNewPrivileges":       "yes",
		"CapabilityBoundingSet": "",
		"Restart":               "always",
		"TimeoutStopSec":        "425", // twice the timeout, a minute that shows that nothing ends, and the write
		"WantedBy":              "multi-user.target",
	} {
		if got, ok := options[name]; got != want || !ok {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if _, ok := options["ProtectProc"]; ok {
		t.Error("it could not see the apiserver's process")
	}
}

// What systemd reads in a special way stands for itself.
func TestAUnitQuotes(t *testing.T) {
	a := unitAgent(t)
	a.Copies, a.Listen = `/srv/etcd copies/100%`, "unix:///run/etcdha/follow.sock"
	a.Args = []string{`--restart-command=echo "$HOME" \ && x`}
	a.FS.(fstest.MapFS)["etc/kubernetes/apiserver.env"].Sys = &syscall.Stat_t{Uid: 7, Gid: 7}
	options := verifyUnit(t, a)
	for name, want := range map[string]string{
		"ExecStart": `/bin/true apiserver follow --file=/etc/systemd/system/kube-apiserver.service "--copies=/srv/etcd copies/100%%" ` +
			`--listen=unix:///run/etcdha/follow.sock "--restart-command=echo \"$$HOME\" \\ && x"`,
		"ExecStartPre":          `+/bin/mkdir -p -m 0700 "/srv/etcd copies/100%%"`,
		"ReadWritePaths":        `/etc/kubernetes "-/srv/etcd copies/100%%" /run/etcdha`,
		"CapabilityBoundingSet": "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER",
	} {
		if options[name] != want {
			t.Errorf("%s=%s, want %s", name, options[name], want)
		}
	}
}

func TestUnitsThatCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(*Agent){
		"absolute path":     func(a *Agent) { a.Binary = "etcdha" },
		"cannot stand":      func(a *Agent) { a.Args = []string{"--restart-command=a\nExecStart=b"} },
		"runs no apiserver": func(a *Agent) { a.File.Form = etcdservers.KubeadmConfig },
	} {
		a := unitAgent(t)
		spoil(a)
		if _, err := a.Unit(); !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
