package throwaway_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// The life of a cluster: it starts, serves over TLS alone, is killed, comes
// back with its data, and leaves nothing.
func TestLifeOfACluster(t *testing.T) {
	defer unix.Umask(unix.Umask(0)) // so that every mode below is chosen, not masked
	t.Setenv("ETCD_NAME", "stolen")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	parent := t.TempDir()
	c := newCluster(t, options(parent, 3))
	start(t, c)

	put(t, c.Members[0], c, "key", "value")
	for _, m := range c.Members {
		holds(t, m, c, "key", "value")
	}
	servesOverTLSAlone(t, c)
	listensNowhereElse(t, c)
	hasItsOwnEnvironment(t, c)
	isPrivate(t, c.Dir)
	logsAreKept(t, c)

	c.Kill()
	if pids := membersOf(c.Dir); len(pids) > 0 {
		t.Errorf("after Kill there run %v", pids)
	}
	start(t, c)
	holds(t, c.Members[2], c, "key", "value")

	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if pids := membersOf(c.Dir); len(pids) > 0 {
		t.Errorf("after Close there run %v", pids)
	}
	if left, err := os.ReadDir(parent); len(left) > 0 || err != nil {
		t.Errorf("after Close there is %v, %v", left, err)
	}
}

// start starts the cluster from a thread that ends: a child must be tied to
// the process, not to the thread that happened to start it.
func start(t *testing.T, c *throwaway.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		started <- c.Start(ctx)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if pids := membersOf(c.Dir); len(pids) != len(c.Members) {
		t.Fatalf("there run %v, want %d members", pids, len(c.Members))
	}
}

func dial(t *testing.T, m *throwaway.Member, c *throwaway.Cluster) *clientv3.Client {
	t.Helper()
	client, err := c.Config().Dial(m.ClientURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func put(t *testing.T, m *throwaway.Member, c *throwaway.Cluster, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := dial(t, m, c).Put(ctx, key, value); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, m *throwaway.Member, c *throwaway.Cluster, key, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := dial(t, m, c).Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != want {
		t.Errorf("%s holds %v, want %s", m.Name, resp.Kvs, want)
	}
}

// isPrivate fails if anybody else could look into dir or what is in it.
func isPrivate(t *testing.T, dir string) {
	t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		seen[filepath.Base(name)] = true
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if fi.Mode().Perm() != want {
			t.Errorf("mode of %s is %v, want %v", name, fi.Mode(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"member.key", "client.key", "ca.crt", "lock", "m3", "etcd.yaml", "etcd.log", "data", "db"} {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

func logsAreKept(t *testing.T, c *throwaway.Cluster) {
	t.Helper()
	dir := t.TempDir()
	kept, err := c.KeepLogs(dir)
	if err != nil || len(kept) != len(c.Members) {
		t.Fatalf("kept %q, %v", kept, err)
	}
	for i, name := range kept {
		data, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(data), "ready to serve client requests") {
			t.Errorf("%s holds %d bytes, %v; want the log of a member that served", name, len(data), err)
		}
		if !strings.HasSuffix(name, c.Members[i].Name+".log") {
			t.Errorf("the log of %s is named %s", c.Members[i].Name, name)
		}
	}
	isPrivateFiles(t, kept)
}

func isPrivateFiles(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		if fi, err := os.Stat(name); err != nil || fi.Mode() != 0o600 {
			t.Errorf("mode of %s is %v, %v; want 0600", name, fi.Mode(), err)
		}
	}
}

// A cluster that cannot start says why, in the words of the member that ended.
func TestMemberThatExits(t *testing.T) {
	own := fmt.Sprintf("'%s' %s", os.Args[0], memberCommand)
	for _, c := range []struct {
		name    string
		members int
		command []string
		want    string // regexp
	}{
		{"at once", 1, []string{"/bin/sh", "-c", "echo first; echo no space left >&2; exit 1"}, "etcd m1 has exited: no space left"},
		{"without a word", 1, []string{"/bin/false"}, "etcd m1 has exited: exit status 1"},
		{"never started", 1, []string{"/nonexistent/etcd"}, "start etcd: fork/exec /nonexistent/etcd: no such file or directory"},
		{"most of them", 3, []string{"/bin/sh", "-c", `case "$0" in *m1/etcd.yaml) exec ` + own + ` "$0";; esac; echo no space left; exit 1`},
			"etcd m[23] has exited: no space left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			o := options(parent, c.members)
			o.Command = c.command
			cluster := newCluster(t, o)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := cluster.Start(ctx); err == nil || !regexp.MustCompile("^"+c.want+"$").MatchString(err.Error()) {
				t.Errorf("start: %v; want %s", err, c.want)
			}
			if err := cluster.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if left, err := os.ReadDir(parent); len(left) > 0 || err != nil {
				t.Errorf("after Close there is %v, %v", left, err)
			}
		})
	}
}

// Members that run and never serve are given up with the context, and killed.
func TestMemberThatNeverServes(t *testing.T) {
	o := options(t.TempDir(), 1)
	o.Command = []string{"/bin/sh", "-c", `exec tail -f -- /dev/null "$0"`}
	c := newCluster(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan error)
	go func() { started <- c.Start(ctx) }()
	waitFor(t, "the member to run", func() bool { return len(membersOf(c.Dir)) == 1 })
	cancel()
	if err := <-started; !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "wait for a leader: context canceled") {
		t.Errorf("start: %v; want %v", err, context.Canceled)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if pids := membersOf(c.Dir); len(pids) > 0 {
		t.Errorf("after Close there run %v", pids)
	}
}

func TestInitialCluster(t *testing.T) {
	c := newCluster(t, options(t.TempDir(), 3))
	var want []string
	urls := map[string]bool{}
	for i, m := range c.Members {
		want = append(want, fmt.Sprintf("m%d=%s", i+1, m.PeerURL))
		urls[m.PeerURL], urls[m.ClientURL] = true, true
		for _, u := range []string{m.PeerURL, m.ClientURL} {
			if !strings.HasPrefix(u, "https://127.0.0.1:") {
				t.Errorf("%s listens at %s", m.Name, u)
			}
		}
	}
	if is := c.InitialCluster(); is != strings.Join(want, ",") {
		t.Errorf("initial cluster is %s, want %s", is, want)
	}
	if len(urls) != 6 {
		t.Errorf("the members share addresses: %v", urls)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close of what never ran: %v", err)
	}
}
