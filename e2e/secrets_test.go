package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPasswordsAreNotShown looks at what anybody may see of the process: its
// arguments, and what it prints.
func TestPasswordsAreNotShown(t *testing.T) {
	const secret = "correct-horse-battery"
	// A server that never answers holds the process where it can be looked at.
	address := silentServer(t)
	for _, args := range [][]string{
		{"--user=root:" + secret}, {"--user", "root:" + secret}, {"--user=root", "--password=" + secret}, {"--user=root", "--password", secret},
	} {
		cmd := exec.Command(tool("etcdha"), with(args, "snapshot", "save", filepath.Join(t.TempDir(), "s.db"), "--endpoints="+address, "--dial-timeout=1s", "--command-timeout=1s")...)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		commandLine := ""
		eventually(t, "the arguments are blanked", func() bool {
			data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "cmdline"))
			commandLine = string(data)
			return err == nil && strings.Contains(commandLine, "snapshot") && !strings.Contains(commandLine, secret)
		})
		if !strings.Contains(commandLine, "root") || !strings.Contains(commandLine, strings.Repeat("x", len(secret))) {
			t.Errorf("arguments are %q", commandLine)
		}
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if strings.Contains(lines.Text(), secret) {
				t.Errorf("printed: %s", lines.Text())
			}
		}
		_ = cmd.Wait()
	}
}

// TestPasswordFile logs in with a password, as clusters without client
// certificates do.
func TestPasswordFile(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.enableAuth(t)
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for file, password := range map[string]string{good: "the-root-password\n", bad: "another\n"} {
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := filepath.Join(dir, "s.db")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", snapshot, "--user=root", "--password-file="+good)...)
	_, stderr, code := etcdha(t, with(c.flags(), "snapshot", "save", snapshot, "--user=root", "--password-file="+bad)...)
	if code != 1 || !strings.Contains(stderr, "wrong user name or password") || !strings.Contains(stderr, "hint: check --user and --password") {
		t.Errorf("exit %d:\n%s", code, stderr)
	}
}
