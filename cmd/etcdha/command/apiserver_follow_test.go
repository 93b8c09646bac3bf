package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// controlPlane is a host with one apiserver, whose etcd nobody answers for.
func controlPlane(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	swap[fs.FS](t, &hostRoot, fstest.MapFS{
		"etc/kubernetes/manifests/kube-apiserver.yaml": {Data: []byte(`apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
spec:
  containers:
  - name: kube-apiserver
    command:
    - kube-apiserver
    - --advertise-address=192.0.2.10
    - --client-ca-file=/etc/kubernetes/pki/ca.crt
    - --etcd-servers=http://` + closed + `
    - --secure-port=6443
    - --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
    - --tls-private-key-file=/etc/kubernetes/pki/apiserver.key
`)},
		"etc/kubernetes/kubeadm.yaml": {Data: []byte(`apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
etcd:
  external:
    endpoints:
    - https://10.0.0.1:2379
`)},
		"etc/kubernetes/admin.conf":          {},
		"etc/kubernetes/apiserver.env":       {Data: []byte("ETCD_SERVERS=https://10.0.0.1:2379\n")},
		"etc/kubernetes/rendered-later.yaml": {Data: []byte("kind: Pod\nspec:\n  command: [kube-apiserver, --etcd-servers={{ etcd_servers }}]\n")},
	})
}

// agentCommand runs "etcdha apiserver" until it ends.
func agentCommand(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	app := newApp("v0")
	app.Writer, app.ErrWriter = &out, &log
	err = runApp(ctx, app, append([]string{"etcdha", "apiserver"}, args...))
	return out.String(), log.String(), err
}

func TestWhatCannotBeFollowed(t *testing.T) {
	controlPlane(t)
	for line, want := range map[string]struct {
		kind error
		text string
	}{
		"follow --period 0":                           {fail.ErrUsage, "--period and --settle"},
		"follow --file /etc/kubernetes/kubeadm.yaml":  {fail.ErrUsage, "does not tell how an apiserver is run"},
		"follow --file /etc/kubernetes/none.yaml":     {fail.ErrUsage, "open /etc/kubernetes/none.yaml: "},
		"follow --file /etc/kubernetes/apiserver.env": {fail.ErrUsage, "does not tell how an apiserver is run"},
		"rewire --file /etc/kubernetes/apiserver.env --restart-command true --etcd-servers https://10.0.0.2:2379": {fail.ErrUsage, "does not tell how an apiserver is run"},
		"install --render systemd --timeout 0":                         {fail.ErrUsage, "--timeout"},
		"follow --file /etc/kubernetes/rendered-later.yaml":            {fail.ErrUnsafe, "template"},
		"follow --listen 256.0.0.1:1":                                  {nil, "--listen"},
		"install":                                                      {fail.ErrUsage, "--render static-pod or systemd"},
		"install --render helm":                                        {fail.ErrUsage, `--render "helm"`},
		"install --render static-pod":                                  {fail.ErrUsage, "needs the image"},
		"install --render systemd --file /etc/kubernetes/kubeadm.yaml": {fail.ErrUsage, "does not tell how an apiserver is run"},
		"install --render static-pod --image e --listen unix:///run/e --file /etc/kubernetes/manifests/kube-apiserver.yaml": {fail.ErrUsage, "--listen"},
	} {
		_, _, err := agentCommand(t.Context(), strings.Fields(line)...)
		if err == nil || !strings.Contains(err.Error(), want.text) || want.kind != nil && !errors.Is(err, want.kind) {
			t.Errorf("%s: %v, want %s", line, err, want.text)
		}
	}
}

// What cannot work is no way out of it.
func TestTheWayOutForAnEnvironmentFile(t *testing.T) {
	controlPlane(t)
	line := "rewire --file /etc/kubernetes/apiserver.env --restart-command true --etcd-servers https://10.0.0.2:2379"
	stdout, _, err := agentCommand(t.Context(), strings.Fields(line)...)
	if hint := fail.Hint(err); strings.Contains(hint, "--restart-command") || !strings.Contains(hint, "--offline") || stdout != "" {
		t.Errorf("%v (hint: %s), after\n%s", err, hint, stdout)
	}
	_, _, err = agentCommand(t.Context(), "follow", "--file", "/etc/kubernetes/apiserver.env")
	if hint := fail.Hint(err); strings.Contains(hint, "--offline") {
		t.Errorf("%v (hint: %s)", err, hint)
	}
}

func TestInstallIsMadeForTheApiserverOfTheHost(t *testing.T) {
	controlPlane(t)
	pod, _, err := agentCommand(t.Context(), "install", "--render", "static-pod", "--image", "registry.example.com/etcdha:v1", "--settle", "1m", "--timeout", "10m", "--copies", "copies")
	copies, absErr := filepath.Abs("copies")
	if absErr != nil {
		t.Fatal(absErr)
	}
	for _, line := range []string{
		"    - --copies=" + copies + "\n", "    - --timeout=10m0s\n", "terminationGracePeriodSeconds: 1265\n",
		"    - --kubeconfig=/etc/kubernetes/admin.conf\n", "      path: /etc/kubernetes/admin.conf\n",
		"    - --file=/etc/kubernetes/manifests/kube-apiserver.yaml\n", "    - --settle=1m0s\n", "image: registry.example.com/etcdha:v1\n",
		"      path: /etc/kubernetes/pki\n",
	} {
		if err != nil || !strings.Contains(pod, line) {
			t.Errorf("%v, without %q:\n%s", err, line, pod)
		}
	}
	unit, _, err := agentCommand(t.Context(), "install", "--render", "systemd", "--restart-command", "true", "--kubeconfig", "/etc/kubernetes/admin.conf")
	for _, line := range []string{
		"apiserver follow --file=/etc/kubernetes/manifests/kube-apiserver.yaml --copies=/var/lib/etcdha/apiserver --listen=127.0.0.1:8383 " +
			"--kubeconfig=/etc/kubernetes/admin.conf --restart-command=true\n",
		"ReadWritePaths=/etc/kubernetes/manifests\n",
	} {
		if err != nil || !strings.Contains(unit, line) {
			t.Errorf("%v, without %q:\n%s", err, line, unit)
		}
	}
}

// An agent outlives its etcd, says what is wrong, and ends when it is told to.
func TestAnAgentWithoutEtcd(t *testing.T) {
	controlPlane(t)
	socket := filepath.Join(t.TempDir(), "agent.sock")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var log string
	go func() {
		_, stderr, err := agentCommand(ctx, "follow", "--listen", "unix://"+socket, "--period", "100ms")
		log = stderr
		ended <- err
	}()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	ready := ""
	for end := time.Now().Add(30 * time.Second); !strings.Contains(ready, "observe the members"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("readyz: %q", ready)
		}
		if r, err := client.Get("http://agent/readyz"); err == nil {
			body, _ := io.ReadAll(r.Body)
			r.Body.Close()
			ready = r.Status + " " + string(body)
		}
	}
	if !strings.HasPrefix(ready, "503 ") {
		t.Errorf("readyz: %q", ready)
	}
	stop()
	if err := <-ended; err != nil || !strings.Contains(log, "cannot follow") {
		t.Errorf("it ended with %v and the log\n%s", err, log)
	}
}
