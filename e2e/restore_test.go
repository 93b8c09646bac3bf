package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestRestoredMembersStartAsPrinted restores three members, each in a folder
// that stands for its host, starts stock etcd with exactly the flags that the
// restore prints, and finds the data.
func TestRestoredMembersStartAsPrinted(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fill(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "s.db")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", file)...)
	before, err := c.client.Get(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}

	peers := map[string]string{}
	var initial []string
	for _, name := range []string{"a", "b", "c"} {
		peers[name] = "http://" + freeAddress(t)
		initial = append(initial, name+"="+peers[name])
	}
	var endpoints []string
	for name, peer := range peers {
		host := filepath.Join(dir, name)
		must(t, "mkdir", host)
		out := runIn(t, host, tool("etcdha"), "restore", file, "--data-dir=etcd", "--name="+name, "--restore-id=tonight", "--kubernetes",
			"--initial-cluster="+strings.Join(initial, ","), "--initial-advertise-peer-urls="+peer)
		client := "http://" + freeAddress(t)
		endpoints = append(endpoints, client)
		startEtcd(t, host, append(printedFlags(t, out, name), "--listen-client-urls="+client, "--advertise-client-urls="+client))
	}

	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var after *clientv3.GetResponse
	eventually(t, "the restored cluster answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		after, err = client.Get(ctx, "/registry/pods/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		return err == nil
	})
	// The events' lease of 5 s runs out now as it does in any cluster.
	pods, err := c.client.Get(t.Context(), "/registry/pods/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	if after.Count != pods.Count || before.Count <= pods.Count {
		t.Errorf("%d pods are restored of %d", after.Count, pods.Count)
	}
	if after.Header.Revision <= 1_000_000_000 {
		t.Errorf("revision %d went back", after.Header.Revision)
	}
	members, err := client.MemberList(t.Context())
	if err != nil || len(members.Members) != 3 {
		t.Errorf("%d members: %v", len(members.Members), err)
	}
}

// printedFlags are the flags that a restore printed for one member.
func printedFlags(t *testing.T, out, name string) []string {
	t.Helper()
	_, block, found := strings.Cut(out, "--name="+name+" \\\n")
	if !found {
		t.Fatalf("no flags for %s:\n%s", name, out)
	}
	block, _, _ = strings.Cut(block, "\n\n")
	flags := []string{"--name=" + name}
	for line := range strings.Lines(block) {
		flags = append(flags, strings.TrimSuffix(strings.TrimSpace(line), " \\"))
	}
	return flags
}

func runIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func startEtcd(t *testing.T, dir string, args []string) {
	t.Helper()
	cmd := exec.Command(tool("etcd37/etcd"), args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
