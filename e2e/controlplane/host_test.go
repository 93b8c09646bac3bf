//go:build linux

package controlplane

import (
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// host is a machine of the lab, with a kubelet.
type host struct {
	t       *testing.T
	name    string
	address string
	dir     string // for sockets and logs, the same path in the lab and on the host
	cmd     *exec.Cmd
	rpc     *rpc.Client
}

var commands atomic.Int64 // numbers the logs of commands

// newHost boots a host. It is gone when the test ends.
func newHost(t *testing.T, name, address string) *host {
	t.Helper()
	h := &host{t: t, name: name, address: address, dir: t.TempDir()}
	log, err := os.Create(h.log("host"))
	check(t, err)
	defer log.Close()
	h.cmd = exec.Command(os.Args[0])
	h.cmd.Stdout, h.cmd.Stderr = log, log
	h.cmd.Env = append(os.Environ(), partVariable+"=host", "HOST_DIR="+h.dir, "HOST_NAME="+name)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS,
	}
	check(t, h.cmd.Start())
	t.Cleanup(h.stop)
	check(t, ip(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", h.port(), h.cmd.Process.Pid),
		"link set "+h.port()+" master "+bridge+" up",
	))
	eventually(t, name+" is up", func() bool {
		h.rpc, err = rpc.Dial("unix", filepath.Join(h.dir, "socket"))
		return err == nil
	})
	check(t, h.call("Boot", address, nil))
	return h
}

func (h *host) log(name string) string { return filepath.Join(h.dir, name+".log") }

// port is the host's end of the bridge.
func (h *host) port() string { return "p" + strings.ReplaceAll(h.address, ".", "") }

// stop switches the host off.
func (h *host) stop() {
	if h.rpc != nil {
		_ = h.rpc.Close()
	}
	_ = h.cmd.Process.Kill() // the first process of its namespace: all others end, too
	_ = h.cmd.Wait()
	_ = ip("link del " + h.port()) // the kernel does it as well, a little later
	if h.t.Failed() {
		h.keepLogs()
	}
}

// keepLogs keeps what go test -artifacts keeps.
func (h *host) keepLogs() {
	names, _ := filepath.Glob(filepath.Join(h.dir, "*.log"))
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil {
			_ = os.WriteFile(filepath.Join(h.t.ArtifactDir(), h.name+"-"+filepath.Base(name)), data, 0o600)
		}
	}
}

// in is the host for a test within its test: what fails there fails that one.
func (h *host) in(t *testing.T) *host {
	same := *h
	same.t = t
	return &same
}

// call asks the host; see hostServer.
func (h *host) call(method string, args, reply any) error {
	if reply == nil {
		reply = new(struct{})
	}
	if err := h.rpc.Call("Host."+method, args, reply); err != nil {
		return fmt.Errorf("%s: %s: %w", h.name, method, err)
	}
	return nil
}

// path is where the lab sees a file of the host.
func (h *host) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(h.cmd.Process.Pid), "root", name)
}

func (h *host) read(name string) string {
	h.t.Helper()
	data, err := os.ReadFile(h.path(name))
	check(h.t, err)
	return string(data)
}

// write writes a file of the host as kubeadm does, or an editor, so that kubelet
// never sees half of it.
func (h *host) write(name, data string) {
	h.t.Helper()
	file := h.path(name)
	check(h.t, os.MkdirAll(filepath.Dir(file), 0o700))
	temporary := filepath.Join(filepath.Dir(file), ".new-"+filepath.Base(file))
	check(h.t, os.WriteFile(temporary, []byte(data), 0o600))
	check(h.t, os.Rename(temporary, file))
}

// command is a command that runs on a host.
type command struct {
	h         *host
	line      string
	pid       int
	out, errs string // files
}

// start runs a command on the host.
func (h *host) start(args ...string) *command {
	h.t.Helper()
	name := fmt.Sprintf("%03d-%s", commands.Add(1), filepath.Base(args[0]))
	c := &command{h: h, line: strings.Join(args, " "), out: h.log(name + ".out"), errs: h.log(name + ".err")}
	check(h.t, h.call("Start", StartArgs{Args: args, Stdout: c.out, Stderr: c.errs}, &c.pid))
	return c
}

// result is how a command has ended.
type result struct {
	line           string
	code           int // -1 if it was killed
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("%s: exit %d\n%s%s", r.line, r.code, r.stdout, r.stderr)
}

// wait returns when the command has ended.
func (c *command) wait() result {
	c.h.t.Helper()
	r := result{line: c.h.name + "# " + c.line}
	check(c.h.t, c.h.call("Wait", c.pid, &r.code))
	r.stdout, r.stderr = c.stdout(), c.stderr()
	return r
}

// ended tells whether the command has ended.
func (c *command) ended() bool {
	var ended bool
	check(c.h.t, c.h.call("Ended", c.pid, &ended))
	return ended
}

func (c *command) stdout() string { data, _ := os.ReadFile(c.out); return string(data) }
func (c *command) stderr() string { data, _ := os.ReadFile(c.errs); return string(data) }

func (c *command) signal(s syscall.Signal) {
	_ = c.h.call("Signal", SignalArgs{c.pid, s}, nil) // it may have ended
}

// run runs a command on the host to its end.
func (h *host) run(args ...string) result {
	h.t.Helper()
	return h.start(args...).wait()
}

// must runs a command on the host that has to succeed.
func (h *host) must(args ...string) result {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 0 {
		h.t.Fatal(r)
	}
	return r
}

// runs are all containers that kubelet has ever run on the host.
func (h *host) runs() []Run {
	h.t.Helper()
	var all []Run
	check(h.t, h.call("Runs", struct{}{}, &all))
	return all
}

// Run is one life of a container.
type Run struct {
	File, Container string
	PID             int // on the host
	Args            []string
	Started         time.Time
	Ended           time.Time // zero while it lives
	Killed          bool      // it did not end in the time that it was given
}
