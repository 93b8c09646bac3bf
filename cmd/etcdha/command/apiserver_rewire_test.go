package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
)

// wired is a control plane whose etcd is real: a manifest that names all of its
// members, and no apiserver that runs.
type wired struct {
	t       *testing.T
	file    string
	servers []string
	cluster *etcdCluster
	members *apiserver.Membership
}

func newWired(t *testing.T) *wired {
	t.Helper()
	real, cluster := realEtcd(t, 3)
	config := real.Config()
	w := &wired{t: t, file: filepath.Join(t.TempDir(), "kube-apiserver.yaml"), servers: config.Endpoints, cluster: cluster}
	manifest := fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver}
spec:
  containers:
  - name: kube-apiserver
    command:
    - kube-apiserver
    - --advertise-address=192.0.2.10
    - --secure-port=1
    - --etcd-cafile=%s
    - --etcd-certfile=%s
    - --etcd-keyfile=%s
    - --etcd-servers=%s
`, config.CACert, config.Cert, config.Key, strings.Join(w.servers, ","))
	if err := os.WriteFile(w.file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	// Variables that are meant for some other etcd.
	t.Setenv("ETCDCTL_ENDPOINTS", "https://192.0.2.77:2379")
	t.Setenv("ETCDHA_CACERT", "/nonexistent/ca.crt")
	t.Setenv("ETCDCTL_CERT", "/nonexistent/client.crt")
	var err error
	if w.members, err = cluster.Observe(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs a command on the manifest.
func (w *wired) run(args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	app := newApp("v0")
	app.Writer, app.ErrWriter = &out, &log
	args = append([]string{"etcdha", "apiserver", args[0], "--file", w.file}, args[1:]...)
	if args[2] != "show" {
		args = append(args, "--copies", w.t.TempDir())
	}
	err = runApp(w.t.Context(), app, args)
	return out.String(), log.String(), err
}

// reported leaves a report of this host, by an agent at that time.
func (w *wired) reported(at time.Time) {
	w.t.Helper()
	f, err := readServers(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := apiserver.NewReport(f, w.members, apiserver.Wish{Members: w.members.Members}, []string{"192.0.2.10"})
	if err == nil {
		r.Host, err = os.Hostname()
	}
	r.Agent, r.At = true, at
	if err = errors.Join(err, w.cluster.registry.Report(w.t.Context(), r)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wired) wantError(err error, kind error, parts ...string) {
	w.t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error()+" (hint: "+fail.Hint(err)+")", part) || kind != nil && !errors.Is(err, kind) {
			w.t.Errorf("%v (hint: %s), want %s", err, fail.Hint(err), part)
		}
	}
}

// The apiserver's etcd is the one that its file names, whatever variables say; what a
// dry run says is what would come.
func TestTheEtcdOfAnApiserver(t *testing.T) {
	w := newWired(t)
	stdout, _, err := w.run("show", "-w", "json")
	if err != nil || !strings.Contains(stdout, `"inStep":true`) {
		t.Errorf("%v\n%s", err, stdout)
	}
	_, _, err = w.run("rewire", "--from-members", "--endpoints", "https://127.0.0.1:1", "--command-timeout", "1s")
	w.wantError(err, nil, "127.0.0.1:1")

	two := strings.Join(w.servers[:2], ",")
	stdout, _, err = w.run("rewire", "--etcd-servers", two, "--dry-run", "-w", "json")
	if err != nil || !strings.Contains(stdout, `"changed":false,"wouldChange":true`) {
		t.Errorf("%v\n%s", err, stdout)
	}
	stdout, _, err = w.run("rewire", "--from-members", "--dry-run", "-w", "json")
	if err != nil || !strings.Contains(stdout, `"changed":false,"wouldChange":false`) {
		t.Errorf("%v\n%s", err, stdout)
	}
	stdout, _, err = w.run("rewire", "--etcd-servers", two+",https://127.0.0.1:1", "--dry-run")
	w.wantError(err, fail.ErrUnsafe, "https://127.0.0.1:1")
	if !strings.Contains(stdout, "+    - --etcd-servers="+two+",https://127.0.0.1:1") {
		t.Errorf("the change was not shown:\n%s", stdout)
	}

	swap(t, &canAsk, func() bool { return true })
	question := ""
	swap(t, &ask, func(_ context.Context, q string) (string, error) { question = q; return "no", nil })
	_, _, err = w.run("rewire", "--etcd-servers", two)
	w.wantError(err, nil, "the answer was not yes")
	if !strings.HasPrefix(question, "Change it, so that kubelet restarts the apiserver?") {
		t.Errorf("asked: %s", question)
	}
}

// An operator and an agent do not undo what the other one does, by turns.
func TestAListThatTheAgentWouldChangeAgain(t *testing.T) {
	w := newWired(t)
	two := strings.Join(w.servers[:2], ",")
	w.reported(time.Now().Add(-time.Hour))
	for _, more := range []string{"--yes", "--dry-run"} {
		_, _, err := w.run("rewire", "--etcd-servers", two, more)
		w.wantError(err, fail.ErrUnsafe, "the agent of this host would make it "+strings.Join(w.servers, ","), "stop the agent first")
	}
	w.reported(time.Now().Add(-3 * time.Hour)) // it has ended
	if _, _, err := w.run("rewire", "--etcd-servers", two, "--dry-run"); err != nil {
		t.Error(err)
	}
}

// Where the list is right and a member is withdrawn, the report is what is waited for.
func TestAReportThatCannotBeLeft(t *testing.T) {
	w := newWired(t)
	all := strings.Join(w.servers, ",")
	stdout, stderr, err := w.run("rewire", "--etcd-servers", all)
	if err != nil || !strings.Contains(stdout, "nothing to do") || !strings.Contains(stderr, "no report was left in etcd") {
		t.Errorf("%v\n%s%s", err, stdout, stderr)
	}
	if err := w.cluster.registry.Withdraw(t.Context(), apiserver.Withdrawal{ID: w.members.Members[0].ID, Who: "test"}); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.run("rewire", "--etcd-servers", all)
	w.wantError(err, errAwaited, "waits for the report of this apiserver, and none was left: the apiserver is not running")
}
