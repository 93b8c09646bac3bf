package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
)

// soakDaemon is the daemon of a soak, started again after it was ended.
type soakDaemon struct {
	t                           *testing.T
	s                           *soak
	config, socket, spool, said string // files
	identity                    string // file
	client                      *http.Client

	cmd    *exec.Cmd
	ended  chan struct{}
	starts int
}

func newSoakDaemon(t *testing.T, s *soak) *soakDaemon {
	t.Helper()
	dir := t.TempDir()
	d := &soakDaemon{t: t, s: s, config: filepath.Join(dir, "etcdha.yaml"), socket: filepath.Join(dir, "sock"), spool: filepath.Join(dir, "spool"),
		said: filepath.Join(dir, "log"), identity: filepath.Join(dir, "identity.txt")}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{d.identity: key.String(), filepath.Join(dir, "recipient.txt"): key.Recipient().String()} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(d.spool, 0o700); err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", d.socket)
	}
	d.client = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	t.Cleanup(d.kill)
	return d
}

// start starts the daemon with the first configuration, and an election that is over in seconds.
func (d *soakDaemon) start() {
	d.t.Helper()
	if d.runs() {
		return
	}
	if err := os.WriteFile(d.config, []byte(d.s.config(soakEvery, soakKeep)), 0o600); err != nil {
		d.t.Fatal(err)
	}
	log, err := os.OpenFile(d.said, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(tool("etcdha"), "daemon", "--config="+d.config, "--instance=soak", "--grace=10s",
		"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	d.cmd, d.ended, d.starts = cmd, ended, d.starts+1
	d.s.alone = len(d.s.figures)
	d.s.until("the daemon answers", func() bool { return d.metrics() != nil })
}

// runs tells whether it was started, and not ended by the test.
func (d *soakDaemon) runs() bool { return d.cmd != nil }

// signal tells the daemon something, if it runs.
func (d *soakDaemon) signal(sig syscall.Signal) {
	d.t.Helper()
	if !d.runs() {
		return
	}
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatalf("the daemon has ended by itself: %v\n%s", err, d.lastWords())
	}
}

// kill ends it at once, if it runs.
func (d *soakDaemon) kill() {
	if d.runs() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		d.cmd = nil
	}
}

// stop ends it as an operator does, which is no failure.
func (d *soakDaemon) stop() {
	d.t.Helper()
	if !d.runs() {
		return
	}
	d.signal(syscall.SIGTERM)
	d.signal(syscall.SIGCONT) // else one that is frozen hears nothing
	<-d.ended
	defer func() { d.cmd = nil }()
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Fatalf("the daemon was asked to end: exit %d\n%s", code, d.lastWords())
	}
}

// lastWords are the end of its log.
func (d *soakDaemon) lastWords() string {
	data, _ := os.ReadFile(d.said) // it says what is missing
	lines := strings.SplitAfter(string(data), "\n")
	return "the daemon's last words:\n" + strings.Join(lines[max(0, len(lines)-60):], "")
}

// metrics are the values at this moment by name and labels, nil if nobody answers.
func (d *soakDaemon) metrics() map[string]float64 {
	resp, err := d.client.Get("http://daemon/metrics")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	all := make(map[string]float64)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, text, ok := cutLast(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			all[name] = value
		}
	}
	return all
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func ofJob(metric, job string) string {
	return fmt.Sprintf(`etcdha_job_%s{cluster="%s",job_name="%s"}`, metric, soakCluster, job)
}

// soakJobs have to pass when all is well. health never does: members on loopback are a finding.
var soakJobs = []string{"snapshot", "verify-sample", "verify", "rehearse", "prune", "defrag"}

// wellSince tells whether every job has passed since a moment, and the cluster and its
// stores are seen.
func (d *soakDaemon) wellSince(moment time.Time) (well bool, why string) {
	m := d.metrics()
	if m == nil {
		return false, "nobody answers"
	}
	began := float64(moment.UnixMilli()) / 1000
	for _, job := range soakJobs {
		took := m[ofJob("last_run_duration_seconds", job)]
		if m[ofJob("last_run_successful", job)] != 1 || m[ofJob("last_run_timestamp_seconds", job)]-took < began {
			return false, job + " has not passed"
		}
	}
	for _, name := range []string{`store_up{cluster="production",store="s3"}`, `store_up{cluster="production",store="dir"}`, `cluster_up{cluster="production"}`, "config_last_load_successful"} {
		if m["etcdha_"+name] != 1 {
			return false, name
		}
	}
	return true, ""
}
