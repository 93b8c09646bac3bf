package restore_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
)

// apiserver is the name of a process that stands for a kube-apiserver. It is
// no kube-apiserver's, which other tests on this machine could meet.
const apiserver = "kube-apiserver-of-a-test"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == apiserver {
		_, _ = os.Stdout.WriteString("ready\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it, or ends
		return
	}
	m.Run()
}

func TestARunningProcessIsFound(t *testing.T) {
	if pid := restore.FindProcess("/proc", apiserver); pid != "" {
		t.Fatalf("process %s is called %s already", pid, apiserver)
	}
	link := filepath.Join(t.TempDir(), apiserver)
	must(os.Symlink(must1(os.Executable()), link))
	cmd := exec.Command(link, "--etcd-servers=https://127.0.0.1:2379", "kube-scheduler")
	stdin, stdout := must1(cmd.StdinPipe()), must1(cmd.StdoutPipe())
	must(cmd.Start())
	must1(io.ReadFull(stdout, make([]byte, len("ready\n"))))

	if pid := restore.FindProcess("/proc", apiserver); pid != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("found process %q, want %d", pid, cmd.Process.Pid)
	}
	for _, other := range []string{"kube-scheduler", link, apiserver[:20]} {
		if pid := restore.FindProcess("/proc", other); pid == strconv.Itoa(cmd.Process.Pid) {
			t.Errorf("it is taken for %s", other)
		}
	}

	stdin.Close()
	must(cmd.Wait())
	if pid := restore.FindProcess("/proc", apiserver); pid != "" {
		t.Errorf("process %s is found when it has ended", pid)
	}
}

// The process table as Linux shows it: arguments end in a zero byte, kernel
// threads have none, and processes end while they are looked at.
func TestTheProcessTable(t *testing.T) {
	proc := t.TempDir()
	for dir, cmdline := range map[string]string{
		"1":    "/sbin/init\x00",
		"2":    "", // a kernel thread
		"30":   "vi\x00/etc/kubernetes/manifests/kube-apiserver\x00",
		"self": "kube-apiserver\x00",
	} {
		makeTree(proc, dir+"/")
		must(os.WriteFile(filepath.Join(proc, dir, "cmdline"), []byte(cmdline), 0o600))
	}
	must(os.Symlink("/nowhere", filepath.Join(proc, "4"))) // has ended
	if pid := restore.FindProcess(proc, "kube-apiserver"); pid != "" {
		t.Errorf("found process %s", pid)
	}
	for _, command := range []string{"kube-apiserver", "/usr/local/bin/kube-apiserver\x00--etcd-servers=x\x00"} {
		makeTree(proc, "500/")
		must(os.WriteFile(filepath.Join(proc, "500", "cmdline"), []byte(command), 0o600))
		if pid := restore.FindProcess(proc, "kube-apiserver"); pid != "500" {
			t.Errorf("%q: found process %q", command, pid)
		}
	}
	if pid := restore.FindProcess(filepath.Join(proc, "missing"), "kube-apiserver"); pid != "" {
		t.Errorf("found process %s on a system without a process table", pid)
	}
}

func TestAnAnswerOfAnyKindIsAnAPIServer(t *testing.T) {
	answer := func(code int) *httptest.Server {
		return httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
	}
	hanging := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	hanging.StartTLS()
	strict := httptest.NewUnstartedServer(http.NotFoundHandler())
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	strict.Config.ErrorLog = log.New(io.Discard, "", 0)
	strict.StartTLS()
	for name, server := range map[string]*httptest.Server{
		"ready":                      answer(http.StatusOK),
		"not ready, as without etcd": answer(http.StatusInternalServerError),
		"who are you":                answer(http.StatusUnauthorized),
		"wants a certificate":        strict,
		"waits for its etcd":         hanging,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // enough to greet
			defer cancel()
			err := restore.CheckNotAnswering(ctx, server.URL+"/")
			if !errors.Is(err, fail.ErrUnsafe) || err.Error() != "a kube-apiserver answers at "+server.URL+"/" {
				t.Errorf("error %v", err)
			}
			if hint := fail.Hint(err); !strings.HasPrefix(hint, "stop every kube-apiserver first") || !strings.Contains(hint, "--apiserver-stopped") {
				t.Errorf("hint %q", hint)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	refused := must1(net.Listen("tcp", "127.0.0.1:0"))
	refused.Close()
	if err := restore.CheckNotAnswering(t.Context(), "https://"+refused.Addr().String()); err != nil {
		t.Errorf("nobody listens: %v", err)
	}
	// A load balancer with nobody behind it takes connections and drops them.
	balancer := must1(net.Listen("tcp", "127.0.0.1:0"))
	defer balancer.Close()
	go func() {
		for {
			c, err := balancer.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	if err := restore.CheckNotAnswering(t.Context(), "https://"+balancer.Addr().String()); err != nil {
		t.Errorf("a load balancer with nobody behind it: %v", err)
	}
}

// Who takes a connection and keeps it is somebody, whatever holds it up.
func TestSilenceIsNoAbsence(t *testing.T) {
	silent := must1(net.Listen("tcp", "127.0.0.1:0")) // the system accepts
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := restore.CheckNotAnswering(ctx, "https://"+silent.Addr().String()); !errors.Is(err, fail.ErrUnsafe) {
		t.Errorf("error %v", err)
	}
}

func TestAnAPIServerAtNoAddress(t *testing.T) {
	for _, url := range []string{"https://a b", "127.0.0.1:6443", "localhost", "ftp://localhost"} {
		if err := restore.CheckNotAnswering(t.Context(), url); !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), "--apiserver") {
			t.Errorf("%s: error %v", url, err)
		}
	}
}
