//go:build !linux

package throwaway

import (
	"os/exec"
	"syscall"
)

// supervise runs its arguments and kills them when its standard input ends,
// which it does when this process dies.
const supervise = `exec 3<&0; "$@" </dev/null 3<&- & child=$!
(cat <&3 >/dev/null; kill -9 $child) & watch=$!
wait $child; status=$?; kill $watch; exit $status`

// startTied starts cmd under a shell that ends it with this process.
func startTied(cmd *exec.Cmd) (<-chan struct{}, error) {
	cmd.Args = append([]string{"sh", "-c", supervise, "sh", cmd.Path}, cmd.Args[1:]...)
	path, err := exec.LookPath("sh")
	if err != nil {
		return nil, err
	}
	cmd.Path = path
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := cmd.StdinPipe(); err != nil { // kept open by cmd until Wait
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	return done, nil
}
