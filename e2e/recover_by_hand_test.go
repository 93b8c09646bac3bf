package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// byHand is the shell script that docs/recover-by-hand.md is.
func byHand(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/recover-by-hand.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for i, part := range strings.Split(string(page), "```sh\n") {
		block, _, closed := strings.Cut(part, "```\n")
		if i > 0 && closed {
			script.WriteString(block)
		}
	}
	if script.Len() == 0 {
		t.Fatal("the page has no commands")
	}
	return script.String()
}

// recoverByHand runs the page in a directory with nothing but stock tools.
func recoverByHand(t *testing.T, dir string) (output string, ok bool) {
	t.Helper()
	path := tool("etcd37") + string(os.PathListSeparator) + os.Getenv("PATH")
	for _, d := range filepath.SplitList(path) {
		if _, err := os.Stat(filepath.Join(d, "etcdha")); err == nil {
			t.Fatalf("etcdha is in %s", d)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", byHand(t))
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + path, "HOME=" + dir, "TMPDIR=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// keyring is what the page asks for besides the objects, and what saves need.
type keyring struct{ identity, recipient, sign, verify string }

func newKeyring(t *testing.T) keyring {
	t.Helper()
	dir := t.TempDir()
	k := keyring{identity: filepath.Join(dir, "key.txt"), sign: filepath.Join(dir, "sign.pem"), verify: filepath.Join(dir, "verify.pem")}
	must(t, "age-keygen", "-o", k.identity)
	k.recipient = strings.TrimSpace(must(t, "age-keygen", "-y", k.identity))
	must(t, "openssl", "genpkey", "-algorithm", "ed25519", "-out", k.sign)
	must(t, "openssl", "pkey", "-in", k.sign, "-pubout", "-out", k.verify)
	return k
}

// copyTo lays the keys beside the objects of a backup.
func (k keyring) copyTo(t *testing.T, dir string, signed bool) {
	t.Helper()
	must(t, "cp", k.identity, dir)
	if signed {
		must(t, "cp", k.verify, dir)
	}
}

// sealings are the ways to store a backup, and the data object of each.
var sealings = []struct {
	name, data string
	flags      func(k keyring) []string
}{
	{"zstd in age", "db.zst.age", func(k keyring) []string { return []string{"--encrypt-to=" + k.recipient} }},
	{"zstd", "db.zst", func(keyring) []string { return nil }},
	{"age", "db.age", func(k keyring) []string { return []string{"--compress=none", "--encrypt-to=" + k.recipient} }},
	{"plain", "db", func(keyring) []string { return []string{"--compress=none"} }},
}

// TestRecoverByHand follows the page for each way to store a backup, from a
// directory and from a bucket: what comes out boots and holds the same keys.
func TestRecoverByHand(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillPlain(t, 300)
	want := everything(t, c.client)
	keys, server := newKeyring(t), startS3(t)
	server.MakeBucket(t, "by-hand")
	for _, sealing := range sealings {
		for _, signed := range []bool{false, true} {
			name := strings.ReplaceAll(sealing.name, " ", "-") + map[bool]string{true: "-signed"}[signed]
			t.Run(name, func(t *testing.T) {
				store := t.TempDir()
				flags := append(sealing.flags(keys), "--store="+store, "--store="+server.URL("by-hand", name).String())
				if signed {
					flags = append(flags, "--sign-key="+keys.sign)
				}
				must(t, tool("etcdha"), with(c.flags(), append([]string{"snapshot", "save"}, flags...)...)...)
				bucket := t.TempDir()
				download(t, server, "by-hand", name, bucket)
				for _, dir := range []string{store, bucket} {
					dir = filepath.Dir(only(t, dir, "manifest.json"))
					if _, err := os.Stat(filepath.Join(dir, sealing.data)); err != nil {
						t.Error(err)
					}
					keys.copyTo(t, dir, signed)
					if out, ok := recoverByHand(t, dir); !ok {
						t.Fatalf("the page fails:\n%s", out)
					}
					checkRestored(t, filepath.Join(dir, "restored"), want)
				}
			})
		}
	}
}

// checkRestored boots what the page has restored, and looks for the keys.
func checkRestored(t *testing.T, data string, want map[string]string) {
	t.Helper()
	const peer = "https://127.0.0.1:2380" // the page's; nobody listens there
	url := "http://" + freeAddress(t)
	startEtcd(t, filepath.Dir(data), []string{
		"--data-dir=" + data, "--name=m1", "--initial-cluster=m1=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--listen-peer-urls=http://" + freeAddress(t), "--listen-client-urls=" + url, "--advertise-client-urls=" + url, "--unsafe-no-fsync",
		"--heartbeat-interval=50", "--election-timeout=500",
	})
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	eventually(t, "the restored member answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Get(ctx, "x")
		return err == nil
	})
	got := everything(t, client)
	if len(got) != len(want) {
		t.Errorf("%d keys are restored, %d were saved", len(got), len(want))
	}
	for key, value := range want {
		if got[key] != value {
			t.Fatalf("%s has another value", key)
		}
	}
	status, err := client.Status(t.Context(), url)
	if err != nil || status.Header.Revision <= 1_000_000_000 {
		t.Errorf("revision %v is not bumped: %v", status, err)
	}
}

// TestRecoverByHandRefusesDamage changes a byte of each object, and the keys:
// the page stops before there is anything that etcd would start from.
func TestRecoverByHandRefusesDamage(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillPlain(t, 50)
	keys, wrong := newKeyring(t), newKeyring(t)
	refused := 0
	for _, sealing := range sealings {
		store := t.TempDir()
		must(t, tool("etcdha"), with(c.flags(), append(sealing.flags(keys), "snapshot", "save", "--store="+store, "--sign-key="+keys.sign)...)...)
		dir := filepath.Dir(only(t, store, "manifest.json"))
		keys.copyTo(t, dir, true)
		sound := filepath.Join(t.TempDir(), "backup")
		must(t, "cp", "-r", dir, sound)
		if out, ok := recoverByHand(t, sound); !ok {
			t.Fatalf("%s: the page fails without damage:\n%s", sealing.name, out)
		}
		refuse := func(what string, spoil func(dir string) error) {
			t.Helper()
			spoiled := filepath.Join(t.TempDir(), "backup")
			must(t, "cp", "-r", dir, spoiled)
			if err := spoil(spoiled); err != nil {
				t.Fatal(err)
			}
			out, ok := recoverByHand(t, spoiled)
			if _, err := os.Stat(filepath.Join(spoiled, "restored")); ok || err == nil {
				t.Errorf("%s, %s: restored all the same:\n%s", sealing.name, what, out)
			}
			refused++
		}
		for _, object := range []string{"manifest.json", "manifest.sig", sealing.data} {
			size := fileSize(t, filepath.Join(dir, object))
			for at := range places(size, size/12) {
				refuse(fmt.Sprintf("byte %d of %s", at, object), func(dir string) error { return flipByte(filepath.Join(dir, object), at) })
			}
			refuse(object+" cut off", func(dir string) error { return os.Truncate(filepath.Join(dir, object), size-1) })
			refuse(object+" gone", func(dir string) error { return os.Remove(filepath.Join(dir, object)) })
		}
		refuse("signed by another", func(dir string) error { return os.Rename(copied(t, wrong.verify), filepath.Join(dir, "verify.pem")) })
		if strings.HasSuffix(sealing.data, ".age") {
			refuse("another's key", func(dir string) error { return os.Rename(copied(t, wrong.identity), filepath.Join(dir, "key.txt")) })
		}
	}
	t.Logf("%d damaged backups were refused", refused)
}
