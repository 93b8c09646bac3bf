//go:build linux

package controlplane

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The lab's network. Its own address is that of the clients.
const (
	bridge     = "lab0"
	labAddress = "192.0.2.1"
)

// enterLab runs this binary again, as the first process of a namespace, and
// returns its exit code. The kernel ends the lab when this process ends.
func enterLab() (int, error) {
	runtime.LockOSThread() // the parent-death signal is sent when the thread ends
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGQUIT, unix.SIGTERM, unix.SIGINT) // a timeout of go test is told by the lab
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), partVariable+"=lab")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("make namespaces, which takes root on Linux: %w", err)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// openLab makes the network to which hosts are attached.
func openLab() error {
	if err := ownProc(); err != nil {
		return err
	}
	return ip(
		"link set lo up",
		"link add "+bridge+" type bridge",
		"addr add "+labAddress+"/24 dev "+bridge,
		"link set "+bridge+" up",
	)
}

// ownProc makes /proc show the processes of this namespace, and keeps all mounts in it.
func ownProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount / private", err)
	}
	return os.NewSyscallError("mount /proc", unix.Mount("proc", "/proc", "proc", 0, ""))
}

// ip runs commands of ip(8).
func ip(lines ...string) error {
	for _, line := range lines {
		if _, err := output("sh", "-c", "ip "+line); err != nil {
			return err
		}
	}
	return nil
}
