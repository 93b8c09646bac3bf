package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// marker is the value of a Secret, as a search would find it.
const marker = "correct-horse-battery-staple"

// TestPlainBytesStay searches for a Secret everywhere that killed and failed
// saves have been: stores, unfinished uploads, spool, temporary directory. The
// stored bytes are not compressed, so that encryption alone can hide it.
func TestPlainBytesStay(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillPlain(t, 4500)
	for i := range 50 {
		key := fmt.Sprintf("/registry/secrets/ns/secret-%d", i)
		if _, err := c.client.Put(t.Context(), key, "k8s\x00"+marker); err != nil {
			t.Fatal(err)
		}
	}
	server, keys := startS3(t), newKeyring(t)
	server.MakeBucket(t, "sealed")
	proxy := server.NewProxy(t)
	store, spool := filepath.Join(t.TempDir(), "store"), t.TempDir()
	save := with(c.flags(), "snapshot", "save", "--store="+store, "--store="+proxy.URL("sealed", "x", faulty...).String(),
		"--spool-dir="+spool, "--compress=none", "--encrypt-to="+keys.recipient)
	k := newKiller(t, 5)
	// versitygw keeps parts of unfinished uploads beside the objects.
	places := []string{store, spool, k.tmp, filepath.Dir(server.CAFile)}

	k.undisturbed(save)
	searched := 0
	for k.kills < 30 {
		k.killed(save)
		searched += searchNothing(t, places)
	}
	for _, kind := range []s3test.Kind{s3test.ResetRequest, s3test.ResetAfter, s3test.Stall, s3test.SlowDown} {
		proxy.Plan(s3test.Fault{Kind: kind, Times: -1, Match: writing})
		_, stderr, code := etcdha(t, save...)
		if code != 12 {
			t.Errorf("%s: exit %d\n%s", kind, code, stderr)
		}
		searched += searchNothing(t, places)
	}
	k.report()
	t.Logf("%d files were searched", searched)

	// What is searched for would be found.
	proxy.Plan()
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store="+t.TempDir(), "--store="+proxy.URL("sealed", "plain").String(), "--compress=none")...)
	if len(holding(t, filepath.Dir(server.CAFile))) == 0 {
		t.Error("a backup in the clear does not hold the Secret")
	}
}

// searchNothing has to find no Secret, and returns in how many files.
func searchNothing(t *testing.T, places []string) (searched int) {
	t.Helper()
	for _, place := range places {
		if found := holding(t, place); len(found) > 0 {
			t.Fatalf("the Secret lies in the clear in %v", found)
		}
		_ = filepath.WalkDir(place, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				searched++
			}
			return nil
		})
	}
	return searched
}

// holding are the files that hold the Secret.
func holding(t *testing.T, dir string) []string {
	t.Helper()
	stdout, stderr, code := run(t, "grep", "-r", "-l", "-a", "-F", marker, dir)
	if code > 1 {
		t.Fatalf("grep: exit %d\n%s", code, stderr)
	}
	return strings.Fields(stdout)
}

// TestCredentialsAreNotShown lets every command that talks to S3 fail in every
// way, and looks at what it prints and at what anybody may see of the process.
func TestCredentialsAreNotShown(t *testing.T) {
	c := startCluster(t, "37", 1)
	server := startS3(t)
	server.MakeBucket(t, "shown")
	store := server.URL("shown", "x").String()
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store="+store)...)
	const wrong = "wrong-and-still-a-secret"
	for _, trouble := range []struct {
		name, store string
		env         []string
	}{
		{"no such bucket", server.URL("no-such-bucket", "x").String(), nil},
		{"wrong secret key", store, []string{"AWS_SECRET_ACCESS_KEY=" + wrong}},
		{"wrong session token", store, []string{"AWS_SESSION_TOKEN=" + wrong}},
		{"wrong access key", store, []string{"AWS_ACCESS_KEY_ID=nobody"}},
		{"no such profile", server.URL("shown", "x", "profile=nobody").String(), nil},
		{"no trust", "s3://shown/x?path-style=true&endpoint=" + server.Endpoint, nil},
		{"nobody there", "s3://shown/x?endpoint=https://127.0.0.1:1&retries=1", nil},
		{"no answer", "s3://shown/x?endpoint=https://" + silentServer(t) + "&retries=1&timeout=1s", nil},
		{"credentials in the URL", "s3://" + server.AccessKey + ":" + server.SecretKey + "@shown/x", nil},
		{"credentials as settings", "s3://shown/x?secret-key=" + server.SecretKey, nil},
	} {
		for _, command := range [][]string{
			with(c.flags(), "snapshot", "save"), {"snapshot", "list"}, {"snapshot", "verify", "latest"}, {"snapshot", "get", "latest", "x.db"},
			{"snapshot", "copy", "--all", "--to=" + t.TempDir()}, {"snapshot", "prune", "--keep-last=1", "--apply"}, {"snapshot", "hold", "latest"},
			{"storage", "check"},
		} {
			cmd := exec.CommandContext(t.Context(), tool("etcdha"), append(command, "--store="+trouble.store)...)
			cmd.Env, cmd.Dir = append(os.Environ(), trouble.env...), t.TempDir()
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("%s: %v succeeds", trouble.name, command)
			}
			if text := string(out); strings.Contains(text, server.SecretKey) || strings.Contains(text, wrong) || !strings.Contains(text, "etcdha: ") {
				t.Errorf("%s: %v prints:\n%s", trouble.name, command, text)
			}
		}
	}
}

// TestCredentialsAreNotInTheProcessList holds a process where it can be looked at.
func TestCredentialsAreNotInTheProcessList(t *testing.T) {
	server := startS3(t)
	server.MakeBucket(t, "listed")
	proxy := server.NewProxy(t)
	proxy.Plan(s3test.Fault{Kind: s3test.Stall, Times: -1})
	cmd := exec.CommandContext(t.Context(), tool("etcdha"), "snapshot", "list", "--store="+proxy.URL("listed", "x").String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	eventually(t, "it asks for a listing", func() bool { return len(proxy.Requests()) > 0 })
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "cmdline"))
	if err != nil || !strings.Contains(string(line), "s3://listed") {
		t.Fatalf("arguments are %q: %v", line, err)
	}
	for _, secret := range []string{server.SecretKey, server.AccessKey} {
		if strings.Contains(string(line), secret) {
			t.Errorf("arguments are %q", line)
		}
	}
}
