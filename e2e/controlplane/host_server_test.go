//go:build linux

package controlplane

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hostServer is the first process of a host. It does there what the lab asks for.
type hostServer struct {
	dir     string
	kubelet *kubelet

	mu       sync.Mutex
	children map[int]*child
}

type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// kubeletInterval is 20 s in life, unless the file system tells of changes.
const kubeletInterval = 200 * time.Millisecond

const manifests = "/etc/kubernetes/manifests"

// playHost is a host, until it is switched off.
func playHost() error {
	dir := os.Getenv("HOST_DIR")
	if err := mountHost(filepath.Join(dir, "disk")); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(os.Getenv("HOST_NAME"))); err != nil {
		return os.NewSyscallError("sethostname", err)
	}
	s := &hostServer{dir: dir, kubelet: newKubelet(manifests, dir, kubeletInterval), children: make(map[int]*child)}
	server := rpc.NewServer()
	if err := server.RegisterName("Host", s); err != nil {
		return err
	}
	// No network reaches it, and the directory is the test's own.
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		return err
	}
	server.Accept(l)
	return nil
}

// ownDirs are the directories in which hosts differ. They are in memory.
var ownDirs = []string{"/etc/kubernetes", "/var/lib/etcd", "/var/lib/etcdha"}

// mountHost gives the host its own /proc and its own directories, without a
// trace on the machine: what is written into /etc and /var/lib goes to memory.
func mountHost(disk string) error {
	if err := errors.Join(os.Mkdir(disk, 0o700), ownProc()); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "mode=0700"); err != nil {
		return os.NewSyscallError("mount tmpfs", err)
	}
	for i, dir := range []string{"/etc", "/var/lib"} {
		upper, work := fmt.Sprintf("%s/upper%d", disk, i), fmt.Sprintf("%s/work%d", disk, i)
		if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
			return err
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)
		if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
			return os.NewSyscallError("mount overlay on "+dir, err)
		}
	}
	for _, dir := range ownDirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return os.NewSyscallError("mount "+dir, err)
		}
	}
	return os.MkdirAll(manifests, 0o700)
}

// Boot attaches the host to the network, and starts kubelet.
func (s *hostServer) Boot(address string, _ *struct{}) error {
	if err := ip("link set lo up", "addr add "+address+"/24 dev eth0", "link set eth0 up"); err != nil {
		return err
	}
	go s.kubelet.run()
	return nil
}

// StartArgs and [SignalArgs] are exported, as net/rpc wants it.
type StartArgs struct {
	Args           []string
	Stdout, Stderr string // files
}

// Start starts a command.
func (s *hostServer) Start(a StartArgs, pid *int) error {
	stdout, err := os.Create(a.Stdout)
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := os.Create(a.Stderr)
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd := exec.Command(a.Args[0], a.Args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = stdout, stderr, "/etc/kubernetes"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/etc/kubernetes"}
	if err := cmd.Start(); err != nil {
		return err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	s.mu.Lock()
	s.children[cmd.Process.Pid] = c
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		close(c.done)
	}()
	*pid = cmd.Process.Pid
	return nil
}

// Ended tells whether a command has ended.
func (s *hostServer) Ended(pid int, ended *bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.children[pid].done:
		*ended = true
	default:
	}
	return nil
}

// Wait waits for the end of a command, and tells its exit code.
func (s *hostServer) Wait(pid int, code *int) error {
	s.mu.Lock()
	c := s.children[pid]
	s.mu.Unlock()
	<-c.done
	*code = c.cmd.ProcessState.ExitCode()
	return nil
}

type SignalArgs struct {
	PID    int
	Signal syscall.Signal
}

// Signal sends a signal to a command, or to a container.
func (s *hostServer) Signal(a SignalArgs, _ *struct{}) error { return unix.Kill(a.PID, a.Signal) }

// Runs are all lives of containers.
func (s *hostServer) Runs(_ struct{}, all *[]Run) error {
	*all = s.kubelet.all()
	return nil
}
