package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// TestRehearsalOfEverythingHard rehearses a backup that has all of it at once:
// authentication on, leases of 5 s, a NOSPACE alarm, and 3 GiB of data. Then
// one stored byte is flipped.
func TestRehearsalOfEverythingHard(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillGiB(t, 3)
	lease, err := c.client.Grant(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := c.client.Put(t.Context(), fmt.Sprintf("/registry/events/e-%d", i), "k8s\x00event", clientv3.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
	}
	c.enableAuth(t)
	c.raiseNoSpace(t)
	dir := t.TempDir()
	store := filepath.Join(dir, "backups")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store", store, "--spool-dir", dir)...)
	if err := c.close(); err != nil { // its room is needed
		t.Fatal(err)
	}

	out := must(t, tool("etcdha"), "restore", "rehearse", "latest", "--store", store, "--spool-dir", dir, "--members", "3")
	for _, want := range []string{"ok    boot", "ok    leases", "1 inherited (NOSPACE), cleared", "ok    hash", "ok    keys", "ok    write"} {
		if !strings.Contains(out, want) {
			t.Errorf("rehearsal does not say %q:\n%s", want, out)
		}
	}
	status := must(t, tool("etcdha"), "snapshot", "status", "latest", "--store", store, "--spool-dir", dir)
	for _, want := range []string{"leases            1", "NOSPACE of member", "authentication    on"} {
		if !strings.Contains(status, want) {
			t.Errorf("status does not say %q:\n%s", want, status)
		}
	}

	object := only(t, store, "db.zst")
	fi, err := os.Stat(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := flipByte(object, fi.Size()/2); err != nil {
		t.Fatal(err)
	}
	stdout, _, code := etcdha(t, "restore", "rehearse", "latest", "--store", store, "--spool-dir", dir, "--members", "3")
	if code != 10 || !strings.Contains(stdout, "FAIL  stored bytes") || strings.Contains(stdout, "restore ") {
		t.Errorf("after a flipped byte: exit %d\n%s", code, stdout)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*throwaway*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// fillGiB writes values of 1 MiB that do not compress, several at a time.
func (c *cluster) fillGiB(t *testing.T, gib int) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(4)
	for i := range gib * 1024 {
		group.Go(func() error {
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			_, err := c.client.Put(ctx, fmt.Sprintf("/registry/configmaps/ns-%d/large-%d", i%16, i), "k8s\x00"+noise(rnd, 1<<20))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestAKilledRehearsalLeavesNothingRunning kills etcdha with SIGKILL while a
// rehearsal runs, with the embedded etcd and with the stock one.
func TestAKilledRehearsalLeavesNothingRunning(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fill(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "s.db")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", file)...)
	for name, etcd := range map[string][]string{"embedded": nil, "stock": {"--etcd", tool("etcd37/etcd")}} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(tool("etcdha"), with(etcd, "restore", "rehearse", file, "--keep", "--spool-dir", dir)...)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stdout)
			waitFor(t, lines, "runs until Ctrl-C")
			if keys := must(t, "sh", "-c", printedCommand(lines)); !strings.Contains(keys, "/registry/") {
				t.Errorf("the printed etcdctl line gives %q", keys)
			}
			left, _ := filepath.Glob(filepath.Join(dir, "etcdha-throwaway-*"))
			if len(left) != 1 {
				t.Fatalf("the throwaway is not in %s: %v", dir, left)
			}
			members := processesNaming(t, left[0])
			if len(members) != 3 {
				t.Fatalf("%d members run, expected 3", len(members))
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			eventually(t, "no member runs", func() bool { return len(processesNaming(t, left[0])) == 0 })
			must(t, tool("etcdha"), with(etcd, "restore", "rehearse", file, "--members", "1", "--spool-dir", dir)...)
			if _, err := os.Stat(left[0]); err == nil {
				t.Errorf("%s was not swept", left[0])
			}
		})
	}
}

func waitFor(t *testing.T, lines *bufio.Scanner, what string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), what) {
			return
		}
	}
	t.Fatalf("never printed: %s", what)
}

// printedCommand returns the etcdctl line that --keep prints, to be typed as it
// stands.
func printedCommand(lines *bufio.Scanner) string {
	command := ""
	for lines.Scan() && !strings.Contains(lines.Text(), "--limit") {
		command += lines.Text() + "\n"
	}
	return "PATH=" + tool("etcd37") + ":$PATH\n" + command + lines.Text()
}

// processesNaming returns the processes whose command line names dir.
func processesNaming(t *testing.T, dir string) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(data), dir) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// TestAKilledSaveLeavesNothing kills a save again and again, at whatever it is
// just doing: the old file stays, no half file and no half backup is visible.
func TestAKilledSaveLeavesNothing(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fill(t)
	dir := t.TempDir()
	file, store := filepath.Join(dir, "s.db"), filepath.Join(dir, "backups")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", file, "--store", store)...)
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		for range 25 {
			cmd := exec.Command(tool("etcdha"), with(c.flags(), "snapshot", "save", file, "--store", store)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// Not a wait for anything: the moment of death is the input here.
			time.Sleep(time.Duration(rnd.IntN(120)) * time.Millisecond)
			_ = cmd.Process.Signal(signal)
			_ = cmd.Wait()
		}
	}
	must(t, tool("etcdha"), "snapshot", "verify", file)
	if names, _ := filepath.Glob(filepath.Join(dir, ".*")); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
	var backups []struct{ ID string }
	unmarshal(t, must(t, tool("etcdha"), "snapshot", "list", "--store", store, "-w", "json"), &backups)
	for _, b := range backups {
		must(t, tool("etcdha"), "snapshot", "verify", b.ID, "--store", store)
	}
}

// TestADiskThatFillsUp runs on file systems of a few MiB: every command fails
// with the reason, keeps what was there, and leaves nothing.
func TestADiskThatFillsUp(t *testing.T) {
	c := startCluster(t, "37", 1)
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range 12 {
		if _, err := c.client.Put(t.Context(), fmt.Sprintf("/large/%d", i), noise(rnd, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	good := filepath.Join(t.TempDir(), "good.db")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", good)...)
	small := func(t *testing.T, script string, args ...string) (string, int) {
		t.Helper()
		// A mount namespace of its own, so that nothing has to be unmounted.
		mount := t.TempDir()
		shell := `mount -t tmpfs -o size=8m,mode=700 tmpfs "$0" && cd "$0" && ` + script + `; code=$?; echo "left:" $(find . -mindepth 1); exit $code`
		stdout, stderr, code := run(t, "unshare", with([]string{"--mount", "--map-root-user", "sh", "-c", shell, mount}, args...)...)
		return stdout + stderr, code
	}
	flags := strings.Join(c.flags(), " ")
	binary := tool("etcdha")
	const failed, unavailable = 1, 12
	for _, test := range []struct {
		name, script, want, left string
		code                     int
	}{
		{"no room for the spool", binary + " snapshot save --store /tmp --spool-dir . " + flags, "no room in", "left:\n", failed},
		{"no room for the file", "echo old > s.db; " + binary + " snapshot save s.db " + flags, "no room in", "left: ./s.db\n", failed},
		{"a store that fills up", binary + " snapshot save --store s --spool-dir " + filepath.Dir(good) + " " + flags, "no space left on device", "", unavailable},
		{"no room for a data directory", binary + " restore " + good + " --data-dir d", "no room in d: ", "left:\n", failed},
		{"a rehearsal without room", binary + " restore rehearse " + good + " --spool-dir .", "no room in", "left:\n", failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, code := small(t, test.script)
			if code != test.code || !strings.Contains(out, test.want) || !strings.Contains(out, test.left) {
				t.Errorf("exit %d:\n%s", code, out)
			}
			if _, left, _ := strings.Cut(out, "left:"); strings.Contains(strings.SplitN(left, "\n", 2)[0], "db.zst") {
				t.Errorf("something half-written is left:\n%s", out)
			}
		})
	}
}
