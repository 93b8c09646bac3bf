package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// bin is where make test has built etcdha and the etcd tools of each version.
var bin string

// versions are the etcd releases that etcdha promises to work with.
var versions = []string{"35", "36", "37"}

func TestMain(m *testing.M) {
	var err error
	if bin, err = filepath.Abs("../bin"); err == nil {
		_, err = os.Stat(filepath.Join(bin, "etcdha"))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\nhint: make test builds what these tests run\n", err)
		os.Exit(2) //nolint:forbidigo // a test binary's own exit
	}
	for _, name := range os.Environ() {
		if key, _, _ := strings.Cut(name, "="); strings.HasPrefix(key, "ETCD") {
			_ = os.Unsetenv(key) // the tests say what they mean
		}
	}
	m.Run()
}

// tool is the path of a built binary, such as "etcd37/etcdctl".
func tool(name string) string { return filepath.Join(bin, name) }

// cluster is a real etcd cluster for one test.
type cluster struct {
	*throwaway.Cluster
	version string
	client  *clientv3.Client
}

// startCluster starts members of stock etcd, which end with the test.
func startCluster(t *testing.T, version string, members int) *cluster {
	t.Helper()
	c, err := newCluster(t.Context(), t.TempDir(), version, members)
	if c != nil {
		t.Cleanup(func() { _ = c.close() })
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newCluster(ctx context.Context, dir, version string, members int) (*cluster, error) {
	tc, err := throwaway.New(throwaway.Options{
		Parent: dir, Members: members, Command: []string{tool("etcd" + version + "/etcd")},
		Token: "e2e-" + filepath.Base(dir), Quota: 8 << 30, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	c := &cluster{Cluster: tc, version: version}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := tc.Start(ctx); err != nil {
		return c, err
	}
	config := tc.Config()
	c.client, err = config.Dial(config.Endpoints[0])
	return c, err
}

func (c *cluster) close() error {
	if c.client != nil {
		_ = c.client.Close()
	}
	return c.Close()
}

// flags connect etcdha, or a stock tool, to the cluster.
func (c *cluster) flags() []string {
	config := c.Config()
	return []string{
		"--endpoints=" + strings.Join(config.Endpoints, ","),
		"--cacert=" + config.CACert, "--cert=" + config.Cert, "--key=" + config.Key,
	}
}

// etcdha runs the binary and returns what it printed and its exit code.
func etcdha(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return run(t, tool("etcdha"), args...)
}

func run(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must runs a command that has to succeed.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", filepath.Base(name), strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func with(args []string, more ...string) []string {
	return append(append([]string{}, args...), more...)
}

// silentServer accepts connections and never says anything.
func silentServer(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	return l.Addr().String()
}
